// Armadillo's gmm_full and gmm_diag as a peer; peer.rs says what it is given and what it answers.
#include <armadillo>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

// All numbers of a file.
template <class T> static std::vector<T> numbers(const std::string &path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) throw std::runtime_error("cannot read " + path);
    std::vector<T> values(file.tellg() / sizeof(T));
    file.seekg(0);
    file.read(reinterpret_cast<char *>(values.data()), values.size() * sizeof(T));
    return values;
}

template <class T> using Full = arma::gmm_priv::gmm_full<T>;
template <class T> using Diag = arma::gmm_priv::gmm_diag<T>;

// With one thread CPU time counts, as in clock.rs.
static double seconds() {
    if (std::string(std::getenv("OMP_NUM_THREADS")) == "1") return double(std::clock()) / CLOCKS_PER_SEC;
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Start {
    arma::rowvec weights;
    arma::mat means;
    std::vector<double> covariances;

    template <class T> arma::Cube<T> shape(const Full<T> &) const {
        arma::uword d = means.n_rows;
        return arma::conv_to<arma::Cube<T>>::from(arma::cube(covariances.data(), d, d, means.n_cols));
    }
    template <class T> arma::Mat<T> shape(const Diag<T> &) const {
        return arma::conv_to<arma::Mat<T>>::from(arma::mat(covariances.data(), means.n_rows, means.n_cols));
    }
};

template <class T> static arma::cube doubles(const arma::Cube<T> &c) { return arma::conv_to<arma::cube>::from(c); }
template <class T> static arma::mat doubles(const arma::Mat<T> &c) { return arma::conv_to<arma::mat>::from(c); }

template <class T, class Model>
static double fit(Model &model, const arma::Mat<T> &samples, const Start &start, int iterations) {
    model.set_params(arma::conv_to<arma::Mat<T>>::from(start.means), start.shape(model),
                     arma::conv_to<arma::Row<T>>::from(start.weights));
    double begun = seconds();
    // The floor of variances must be positive: one that no variance meets.
    bool done = model.learn(samples, start.means.n_cols, arma::eucl_dist, arma::keep_existing, 0, iterations,
                            T(1e-30), false);
    if (!done) throw std::runtime_error("learn() failed");
    return seconds() - begun;
}

template <class T, class Model>
static void run(const std::string &folder, const std::string &type, int d, int k, int iterations) {
    std::vector<T> values = numbers<T>(folder + "/samples." + type);
    // Rows of samples are the columns here.
    arma::Mat<T> samples(values.data(), d, values.size() / d);
    Start start;
    std::vector<double> weights = numbers<double>(folder + "/weights.f64");
    std::vector<double> means = numbers<double>(folder + "/means.f64");
    start.weights = arma::rowvec(weights.data(), k);
    start.means = arma::mat(means.data(), d, k);
    start.covariances = numbers<double>(folder + "/covariances.f64");
    Model model;
    // The first fit pays for memory that the others find in place.
    double first = fit<T>(model, samples, start, 1);
    double one = std::min(first, fit<T>(model, samples, start, 1));
    double all = fit<T>(model, samples, start, iterations);
    std::ofstream file(folder + "/fitted.f64", std::ios::binary);
    auto put = [&](const double *from, size_t count) {
        file.write(reinterpret_cast<const char *>(from), count * sizeof(double));
    };
    arma::rowvec hefts = arma::conv_to<arma::rowvec>::from(model.hefts);
    arma::mat centres = arma::conv_to<arma::mat>::from(model.means);
    put(hefts.memptr(), k);
    put(centres.memptr(), centres.n_elem);
    if constexpr (std::is_same_v<Model, Full<T>>) {
        auto shape = doubles(model.fcovs);
        put(shape.memptr(), shape.n_elem);
    } else {
        auto shape = doubles(model.dcovs);
        put(shape.memptr(), shape.n_elem);
    }
    std::cout << one << " " << all << std::endl;
}

int main(int count, char **words) {
    if (count == 1) {
        std::cout << "Armadillo " << ARMA_VERSION_MAJOR << "." << ARMA_VERSION_MINOR << "." << ARMA_VERSION_PATCH
                  << std::endl;
        return 0;
    }
    std::string folder = words[1], kind = words[5], type = words[6];
    int d = std::stoi(words[3]), k = std::stoi(words[4]), iterations = std::stoi(words[7]);
    bool full = kind == "full";
    try {
        if (!full && kind != "diag") throw std::runtime_error("Armadillo fits full and diag, not " + kind);
        if (type == "f32") {
            full ? run<float, Full<float>>(folder, type, d, k, iterations)
                 : run<float, Diag<float>>(folder, type, d, k, iterations);
        } else {
            full ? run<double, Full<double>>(folder, type, d, k, iterations)
                 : run<double, Diag<double>>(folder, type, d, k, iterations);
        }
    } catch (const std::exception &error) {
        std::cerr << error.what() << std::endl;
        return 1;
    }
}
