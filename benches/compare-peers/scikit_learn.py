"""scikit-learn's GaussianMixture as a peer; peer.rs says what it is given and what it answers."""

import os
import pathlib
import sys
import time
import warnings

import numpy as np
import sklearn
from sklearn.mixture import GaussianMixture

if len(sys.argv) == 1:
    print(f"scikit-learn {sklearn.__version__}")
    sys.exit()

folder, n, d, k, kind, precision, iterations = sys.argv[1:]
folder, n, d, k = pathlib.Path(folder), int(n), int(d), int(k)
real = {"f32": np.float32, "f64": np.float64}[precision]

samples = np.fromfile(folder / f"samples.{precision}", real).reshape(n, d)
weights = np.fromfile(folder / "weights.f64")
means = np.fromfile(folder / "means.f64").reshape(k, d)
covariances = np.fromfile(folder / "covariances.f64")
shape = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}[kind]
covariances = covariances.reshape(shape)
precisions = np.linalg.inv(covariances) if kind in ("full", "tied") else 1 / covariances

# With one thread CPU time counts, as in clock.rs.
clock = time.process_time if os.environ["OMP_NUM_THREADS"] == "1" else time.perf_counter
# It does not converge: that is what is asked for.
warnings.filterwarnings("ignore")


def fit(iterations):
    model = GaussianMixture(
        k,
        covariance_type=kind,
        tol=0.0,
        reg_covar=0.0,
        max_iter=iterations,
        weights_init=weights.astype(real),
        means_init=means.astype(real),
        precisions_init=precisions.astype(real),
    )
    start = clock()
    model.fit(samples)
    return clock() - start, model


# The first fit pays for memory that the others find in place.
one = min(fit(1)[0] for _ in range(2))
seconds, model = fit(int(iterations))
parts = [model.weights_, model.means_, model.covariances_]
np.concatenate([part.astype(np.float64).ravel() for part in parts]).tofile(folder / "fitted.f64")
print(one, seconds)
