"""Time Recall@1, R-precision and MAP@R of one embedding beside pytorch-metric-learning.

    OMP_NUM_THREADS=1 python benchmarks/retrieval.py                     # ours and theirs
    OMP_NUM_THREADS=1 python benchmarks/retrieval.py --only ours         # peak memory of ours
    OMP_NUM_THREADS=1 python benchmarks/retrieval.py --old-kernels
    OMP_NUM_THREADS=1 python benchmarks/retrieval.py --large-classes --data DIR

--old-kernels gives faiss, which theirs searches with, the kernels that the OpenBLAS of
its wheel falls back to on processors it does not know. Times are of the processor.
Theirs with k="max_bin_count", its quick setting.

--large-classes scores the ten classes of MNIST's test set (mnist_t10k.npz in DIR), 5,000
rows in 128 principal components and 10,000 rows of 784 pixels, beside a plain loop of
numpy in float32 as well; medians of --repeats runs, in turns.
"""

import argparse
import os
import resource
import time
from pathlib import Path

import numpy as np

from metriclearn.metrics import retrieval_scores

NAMES = {
    "precision_at_1": "recall_at_1",
    "r_precision": "r_precision",
    "mean_average_precision_at_r": "map_at_r",
}


def embedding(n, d, per_class, seed=0):
    """Make classes of equal size around random centers, not quite apart."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) // per_class)
    centers = rng.standard_normal((n // per_class + 1, d), dtype=np.float32)
    return centers[y] + 1.5 * rng.standard_normal((n, d), dtype=np.float32), y


def ours(X, y):
    """Score by metriclearn."""
    return retrieval_scores(X, y)


def theirs(X, y):
    """Score by pytorch-metric-learning, under our names."""
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    calculator = AccuracyCalculator(include=tuple(NAMES), k="max_bin_count")
    return {NAMES[name]: value for name, value in calculator.get_accuracy(X, y).items()}


def plain(X, y):
    """Score by a plain loop in float32, which puts near rows in another order now and then."""
    X = X - X.mean(axis=0)
    squares, n_relevant = np.einsum("ij,ij->i", X, X), np.bincount(y)[y] - 1
    k, values = n_relevant.max(), []
    for start in range(0, len(X), 1000):
        part = slice(start, start + 1000)
        scores = squares - 2 * (X[part] @ X.T)
        rows = np.arange(len(scores))
        scores[rows, start + rows] = np.inf
        found = np.argpartition(scores, k, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(scores, found, axis=1), axis=1)
        found = np.take_along_axis(found, order, axis=1)
        R = n_relevant[part, None]
        right = (y[found] == y[part, None]) & (np.arange(k) < R)
        precision = right.cumsum(axis=1) / np.arange(1, k + 1)
        values += [(right[:, 0], right.sum(1) / R[:, 0], (right * precision).sum(1) / R[:, 0])]
    means = (float(np.concatenate(value).mean()) for value in zip(*values, strict=True))
    return dict(zip(NAMES.values(), means, strict=True))


def seconds(score, X, y):
    """Take the processor time of one run, after a small one that loads what is needed."""
    score(X[:1000], np.arange(1000) // 5)
    start = time.process_time()
    scores = score(X, y)
    return time.process_time() - start, scores


def large_classes(folder, repeats):
    """Compare ours, the plain loop and theirs on few large classes."""
    from sklearn.decomposition import PCA

    data = np.load(Path(folder) / "mnist_t10k.npz")
    pixels, y = data["X"].reshape(10_000, -1).astype(np.float32), data["y"].astype(np.int64)
    components = PCA(128, random_state=0).fit_transform(pixels[:5000]).astype(np.float32)
    print("| rows | ours s | plain loop s | ratio | theirs s | ratio | our MAP@R |")
    print("|---|---|---|---|---|---|---|")
    for X, labels in ((components, y[:5000]), (pixels, y)):
        took = {score: [] for score in (ours, plain, theirs)}
        for _ in range(repeats):
            for score, times in took.items():
                times.append(seconds(score, X, labels))
        a, b, c = (float(np.median([t for t, _ in times])) for times in took.values())
        value = took[ours][0][1]["map_at_r"]
        rows, numbers = f"{X.shape[0]:,} × {X.shape[1]}", (a, b, a / b, c, a / c)
        print(f"| {rows} | " + " | ".join(f"{n:.2f}" for n in numbers) + f" | {value:.12f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--only", choices=["ours", "theirs"])
    parser.add_argument("--old-kernels", action="store_true")
    parser.add_argument("--large-classes", action="store_true")
    parser.add_argument("--data", help="folder with mnist_t10k.npz")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.old_kernels:
        # numpy has chosen its own already; faiss is not yet loaded.
        os.environ["OPENBLAS_CORETYPE"] = "Prescott"
    if options.large_classes:
        large_classes(options.data, options.repeats)
        raise SystemExit
    X, y = embedding(options.rows, options.features, options.per_class)
    print("| | seconds | recall@1 | R-precision | MAP@R |")
    print("|---|---|---|---|---|")
    took = {}
    for name, score in (("metriclearn", ours), ("pytorch-metric-learning", theirs)):
        if options.only in (None, score.__name__):
            took[name], scores = seconds(score, X, y)
            values = " | ".join(f"{scores[m]:.12f}" for m in NAMES.values())
            print(f"| {name} | {took[name]:.2f} | {values} |", flush=True)
    if len(took) == 2:
        print(f"\nRatio: {took['pytorch-metric-learning'] / took['metriclearn']:.1f}x")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\nLargest memory of the process: {peak:.2f} GiB")
