"""What peers in Python are given and what they answer; peer.rs says more."""

import os
import pathlib
import sys
import time
import warnings

import numpy as np

THREADS = int(os.environ.get("OMP_NUM_THREADS", "0"))
# With one thread CPU time counts, as in clock.rs.
clock = time.process_time if THREADS == 1 else time.perf_counter


class Task:
    """Samples and where fits of them start."""

    def __init__(self, arguments):
        folder, _, d, k, self.kind, self.precision, iterations = arguments
        self.folder, self.iterations = pathlib.Path(folder), int(iterations)
        self.d, self.k = d, k = int(d), int(k)
        real = {"f32": np.float32, "f64": np.float64}[self.precision]
        shape = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}[self.kind]
        self.samples = np.fromfile(self.folder / f"samples.{self.precision}", real).reshape(-1, d)
        self.weights = np.fromfile(self.folder / "weights.f64")
        self.means = np.fromfile(self.folder / "means.f64").reshape(k, d)
        self.covariances = np.fromfile(self.folder / "covariances.f64").reshape(shape)


def run(name, fit_of):
    """Says `name` where there is no task; else takes what `fit_of(task)` gives, a function of the number of iterations
    that returns seconds and a model, and answers."""
    if len(sys.argv) == 1:
        print(name)
        return
    # It does not converge: that is what is asked for.
    warnings.filterwarnings("ignore")
    task = Task(sys.argv[1:])
    fit = fit_of(task)
    # The first fit pays for memory that the others find in place.
    one = min(fit(1)[0] for _ in range(2))
    seconds, model = fit(task.iterations)
    parts = [np.asarray(part, np.float64).ravel() for part in (model.weights_, model.means_, model.covariances_)]
    np.concatenate(parts).tofile(task.folder / "fitted.f64")
    print(one, seconds)
