"""tgmm (PyTorch, on the processor) as a peer."""

import importlib.metadata

import torch
from protocol import THREADS, clock, run
from tgmm import GaussianMixture


def fit_of(task):
    torch.set_num_threads(THREADS)
    samples = torch.from_numpy(task.samples)
    weights, means, covariances = (
        torch.from_numpy(part).to(samples.dtype) for part in (task.weights, task.means, task.covariances)
    )

    def fit(iterations):
        model = GaussianMixture(
            n_components=task.k,
            n_features=task.d,
            covariance_type=task.kind,
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

    return fit


run(f"tgmm {importlib.metadata.version('tgmm')}, torch {torch.__version__.split('+')[0]}", fit_of)
