"""Writes faithful.json and iris.json: scikit-learn's GaussianMixture after 1 and 25 EM iterations from a fixed start.

With tol=0 and max_iter=n, scikit-learn does n E-steps and n M-steps. lower_bounds_ holds the mean log-likelihood
that each of these E-steps saw, score() that of the final parameters: a trace of n + 1 values.
"""
import csv, json, pathlib, sys, warnings
import numpy, sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

HERE = pathlib.Path(__file__).parent
STARTS = {
    "faithful": dict(
        columns=["eruptions", "waiting"], weights=[0.4, 0.6], means=[[2.5, 60.0], [4.0, 75.0]],
        covariances=[[[0.5, 1.0], [1.0, 50.0]], [[0.25, -0.5], [-0.5, 64.0]]]),
    "iris": dict(
        columns=["Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width"], weights=[0.25, 0.35, 0.4],
        means=[[5.2, 3.2, 2.0, 0.5], [5.8, 2.9, 4.0, 1.2], [6.4, 3.0, 5.2, 1.8]],
        covariances=[(numpy.diag(v) + 0.05).tolist() for v in ([0.2, 0.15, 0.3, 0.1], [0.3, 0.1, 0.4, 0.1], [0.4, 0.1, 0.5, 0.2])]),
}


def constrained(kind, weights, full):
    """K covariance matrices in the shape that scikit-learn keeps for this kind."""
    full = numpy.array(full)
    diagonals = numpy.diagonal(full, axis1=1, axis2=2)
    return {"full": full, "tied": numpy.tensordot(weights, full, 1), "diag": diagonals,
            "spherical": diagonals.mean(axis=1)}[kind]


def matrices(kind, covariances, k, d):
    """The same as K full matrices, to have one shape in the file."""
    if kind == "tied":
        return [covariances.tolist()] * k
    to_matrix = {"full": lambda c: c, "diag": numpy.diag, "spherical": lambda c: c * numpy.eye(d)}[kind]
    return [to_matrix(c).tolist() for c in covariances]


warnings.simplefilter("ignore", ConvergenceWarning)
for name, start in STARTS.items():
    with open(HERE.parent / "data" / f"{name}.csv", newline="") as file:
        x = numpy.array([[float(row[c]) for c in start["columns"]] for row in csv.DictReader(file)])
    k, d = len(start["weights"]), x.shape[1]
    runs = []
    for kind in ["full", "tied", "diag", "spherical"]:
        covariances = constrained(kind, start["weights"], start["covariances"])
        precisions = 1 / covariances if kind in ("diag", "spherical") else numpy.linalg.inv(covariances)
        for n in (1, 25):
            m = GaussianMixture(k, covariance_type=kind, tol=0, reg_covar=0, max_iter=n, weights_init=start["weights"],
                                means_init=start["means"], precisions_init=precisions).fit(x)
            assert m.n_iter_ == n and not m.converged_
            runs.append(dict(
                covariance_type=kind, iterations=n,
                start=dict(weights=start["weights"], means=start["means"], covariances=matrices(kind, covariances, k, d)),
                end=dict(weights=m.weights_.tolist(), means=m.means_.tolist(), covariances=matrices(kind, m.covariances_, k, d)),
                trace=[*map(float, m.lower_bounds_), float(m.score(x))], bic=float(m.bic(x)), aic=float(m.aic(x))))
    versions = dict(python=sys.version.split()[0], numpy=numpy.__version__, scikit_learn=sklearn.__version__)
    lines = ",\n".join(map(json.dumps, runs))
    (HERE / f"{name}.json").write_text(
        f'{{"versions": {json.dumps(versions)},\n"columns": {json.dumps(start["columns"])},\n"runs": [\n{lines}\n]}}\n')
