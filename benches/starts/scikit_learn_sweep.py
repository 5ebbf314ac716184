"""scikit-learn's default GaussianMixture over K = 1..10 on 1,000,000 x 2 samples of the notebook's mixture.

python3 scikit_learn_sweep.py [n_init] prints the seconds of each K, of the initialisation included.
"""

import sys
import time

import numpy as np
import sklearn
from sklearn.mixture import GaussianMixture

N_INIT = int(sys.argv[1]) if len(sys.argv) > 1 else 1
N = 1_000_000
WEIGHTS = np.array([0.1, 0.3, 0.2, 0.3]) / 0.9
MEANS = np.array([[1.7, 0.5], [2.0, 4.0], [0.0, 6.0], [5.0, 6.0]])
COVARIANCES = np.array(
    [
        [[0.9, 0.0], [0.0, 0.5]],
        [[0.4, 0.3], [0.3, 0.5]],
        [[2.0, 0.45], [0.45, 0.8]],
        [[0.6, 0.45], [0.45, 0.6]],
    ]
)

rng = np.random.default_rng(0)
labels = rng.choice(4, N, p=WEIGHTS)
factors = np.linalg.cholesky(COVARIANCES)[labels]
x = MEANS[labels] + np.einsum("nij,nj->ni", factors, rng.standard_normal((N, 2)))

print(f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, n_init {N_INIT}")
total = 0.0
for k in range(1, 11):
    start = time.perf_counter()
    fit = GaussianMixture(k, n_init=N_INIT, random_state=0).fit(x)
    seconds = time.perf_counter() - start
    total += seconds
    print(
        f"K {k:2} {seconds:8.2f} s  {fit.n_iter_:3} iterations  "
        f"mean log-likelihood {fit.score(x):.6f}  BIC {fit.bic(x):.0f}",
        flush=True,
    )
print(f"all {total:8.2f} s")
