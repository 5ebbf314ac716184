"""scikit-learn's GaussianMixture as a peer."""

import numpy as np
import sklearn
from protocol import clock, run
from sklearn.mixture import GaussianMixture


def fit_of(task):
    has_matrices = task.kind in ("full", "tied")
    precisions = np.linalg.inv(task.covariances) if has_matrices else 1 / task.covariances
    real = task.samples.dtype

    def fit(iterations):
        model = GaussianMixture(
            task.k,
            covariance_type=task.kind,
            tol=0.0,
            reg_covar=0.0,
            max_iter=iterations,
            weights_init=task.weights.astype(real),
            means_init=task.means.astype(real),
            precisions_init=precisions.astype(real),
        )
        start = clock()
        model.fit(task.samples)
        return clock() - start, model

    return fit


run(f"scikit-learn {sklearn.__version__}", fit_of)
