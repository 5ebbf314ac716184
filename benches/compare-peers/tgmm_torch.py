"""tgmm (PyTorch, on the processor) as a peer; peer.rs says what it is given and what it answers."""

import importlib.metadata
import os
import pathlib
import sys
import time
import warnings

import numpy as np
import torch
from tgmm import GaussianMixture

if len(sys.argv) == 1:
    version = torch.__version__.split("+")[0]
    print(f"tgmm {importlib.metadata.version('tgmm')}, torch {version}")
    sys.exit()

folder, n, d, k, kind, precision, iterations = sys.argv[1:]
folder, n, d, k = pathlib.Path(folder), int(n), int(d), int(k)
real = {"f32": torch.float32, "f64": torch.float64}[precision]
threads = int(os.environ["OMP_NUM_THREADS"])
torch.set_num_threads(threads)

samples = torch.from_numpy(np.fromfile(folder / f"samples.{precision}", precision.replace("f", "float")).reshape(n, d))


def start(name, shape):
    return torch.from_numpy(np.fromfile(folder / f"{name}.f64").reshape(shape)).to(real)


shape = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}[kind]
weights, means, covariances = start("weights", k), start("means", (k, d)), start("covariances", shape)

# With one thread CPU time counts, as in clock.rs.
clock = time.process_time if threads == 1 else time.perf_counter
# It does not converge: that is what is asked for.
warnings.filterwarnings("ignore")


def fit(iterations):
    model = GaussianMixture(
        n_components=k,
        n_features=d,
        covariance_type=kind,
        max_iter=iterations,
        tol=1e-300,
        reg_covar=1e-30,
        random_state=0,
        # Its tensors are rows x K x D: all rows at once would take gigabytes.
        batch_size=20_000,
        init_weights=weights,
        init_means=means,
        init_covariances=covariances,
    )
    start = clock()
    model.fit(samples)
    return clock() - start, model


# The first fit pays for memory that the others find in place.
one = min(fit(1)[0] for _ in range(2))
seconds, model = fit(int(iterations))
parts = [model.weights_, model.means_, model.covariances_]
np.concatenate([part.detach().double().numpy().ravel() for part in parts]).tofile(folder / "fitted.f64")
print(one, seconds)
