"""scikit-learn's default fit: fits.rs says what it is given and what it answers."""

import os
import pathlib
import sys
import time

import numpy as np
from sklearn.mixture import GaussianMixture

folder, d, k = sys.argv[1:]
samples = np.fromfile(pathlib.Path(folder) / "samples.f64").reshape(-1, int(d))
model = GaussianMixture(int(k), random_state=0)
# With one thread CPU time counts, as in clock.rs.
clock = time.process_time if os.environ["OMP_NUM_THREADS"] == "1" else time.perf_counter
start = clock()
model.fit(samples)
seconds = clock() - start
# By parts: the score of all rows at once takes gigabytes.
parts = np.array_split(samples, max(1, len(samples) // 1_000_000))
total = sum(model.score_samples(part).sum() for part in parts)
print(seconds, model.n_iter_, total / len(samples))
