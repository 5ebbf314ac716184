// Pasted before the stages that take EM steps on the device.

// What is the same for all models.
struct Settings {
    // Rows of partials.
    rows: u32,
    models: u32,
    // Structs of `ranges`.
    ranges: u32,
    // A zero that compilers do not know.
    zero: u32,
    // Sums of a row of partials, and how far rows are apart.
    sums: u32,
    stride: u32,
    // Pairs of logarithms of a model, where the first stands, and how far they are apart.
    logs: u32,
    first_log: u32,
    log_stride: u32,
    // Numbers of a row of `trace`.
    row_len: u32,
    padding_0: u32,
    padding_1: u32,
}

// The host should look before the next step.
const STOPPED: u32 = 1u;
// The next step leads to where passes must go another way to keep their digits.
const LEFT: u32 = 2u;

// A model on its way.
struct Walk {
    // 0 while it goes on; else STOPPED, where the next step is the host's, or LEFT.
    stopped: u32,
    // EM steps taken, and the most that are wanted.
    steps: u32,
    most: u32,
    // How often running the estimated gain still to be had was below the tolerance, and how often is enough.
    below: u32,
    times: u32,
    // Squared lengths: the last step's, negative where there is none, and what is rounding alone.
    last: f32,
    negligible: f32,
    tol: f32,
    // Per component its weight; what of its log2 constant never changes, a whole number and a part; 0 for what is no
    // Gaussian, 1 for a Gaussian, 2 for one whose rows are whitened before they are summed.
    components: array<vec4<f32>, K>,
}

fn is_over(model: u32) -> bool {
    return walks[model].stopped != 0u || walks[model].steps == walks[model].most;
}

// Where a model's row of `trace` begins: pairs of logarithms, K shares, the step's squared length and the parameters
// after it.
fn row_of(step: u32, model: u32) -> u32 {
    return (step * settings.models + model) * settings.row_len;
}
