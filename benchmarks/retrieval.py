"""Recall@1, R-precision and MAP@R of one embedding, beside pytorch-metric-learning.

    OMP_NUM_THREADS=1 python benchmarks/retrieval.py                     # ours and theirs
    OMP_NUM_THREADS=1 python benchmarks/retrieval.py --only ours         # peak memory of ours
    OMP_NUM_THREADS=1 python benchmarks/retrieval.py --old-kernels

--old-kernels gives faiss, which theirs searches with, the kernels that the OpenBLAS of
its wheel falls back to on processors it does not know. Times are of the processor.
Theirs with k="max_bin_count", its quick setting.
"""

import argparse
import os
import resource
import time

import numpy as np

from metriclearn.metrics import retrieval_scores

NAMES = {
    "precision_at_1": "recall_at_1",
    "r_precision": "r_precision",
    "mean_average_precision_at_r": "map_at_r",
}


def embedding(n, d, per_class, seed=0):
    """Classes of equal size around random centers, not quite apart."""
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


def seconds(score, X, y):
    """Processor time of one run, after a small one that loads what is needed."""
    score(X[:1000], np.arange(1000) // 5)
    start = time.process_time()
    scores = score(X, y)
    return time.process_time() - start, scores


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--only", choices=["ours", "theirs"])
    parser.add_argument("--old-kernels", action="store_true")
    options = parser.parse_args()
    if options.old_kernels:
        # numpy has chosen its own already; faiss is not yet loaded.
        os.environ["OPENBLAS_CORETYPE"] = "Prescott"
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
