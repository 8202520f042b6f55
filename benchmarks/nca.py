"""NCA and MLKR beside scikit-learn and metric-learn: seconds, memory, objective, accuracy.

    python benchmarks/nca.py digits synthetic
    python benchmarks/nca.py synthetic --rows 10000 --peers "scikit-learn NCA"
    python benchmarks/nca.py mlkr
    python benchmarks/nca.py batches --data DIR
    python benchmarks/nca.py growth
    python benchmarks/nca.py dtype
    python benchmarks/nca.py device --device cuda --rows 10000

Each fit runs in a fresh process on one thread; seconds are of its CPU, memory is
what the process held at most during the fit beyond what it held before.
Objectives are evaluated by code of this file, in float64, over all pairs. Rows
are standardized; 30 % are held out, stratified, with seed 0.
"""

import argparse
import os
import resource
import time
import warnings
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from peers import learners
from sklearn import config_context
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from metriclearn import LMNN, MLKR, NCA, MahalanobisLearner

OURS = {
    "NCA": NCA,
    "NCA, float32": NCA,
    "NCA, batch_size=2048": lambda: NCA(batch_size=2048, random_state=0),
    "MLKR": MLKR,
}
ON_DEVICES = {
    "NCA": NCA,
    "MLKR": MLKR,
    "LMNN": LMNN,
    "MahalanobisLearner": partial(MahalanobisLearner, random_state=0),
}
THEIRS = ["scikit-learn NCA", "metric-learn NCA"]


def classification(n):
    return make_classification(
        n,
        n_features=50,
        n_informative=20,
        n_redundant=10,
        n_classes=10,
        n_clusters_per_class=2,
        random_state=0,
    )


def regression(n):
    """Return a sine of one direction in twenty features, with noise."""
    rng = np.random.RandomState(0)
    X = rng.randn(n, 20)
    return X, np.sin(X[:, :4].sum(axis=1)) + 0.1 * rng.randn(n)


def soft_neighbor_sums(Z, y, classes):
    """``Σ p_i`` for classes, ``Σ (y - ŷ)²`` for numbers, a row block at a time."""
    total = 0.0
    for start in range(0, len(Z), 256):
        rows = np.arange(start, min(start + 256, len(Z)))
        d2 = np.sum(Z[rows] ** 2, axis=1)[:, None] + np.sum(Z**2, axis=1) - 2 * Z[rows] @ Z.T
        d2[np.arange(len(rows)), rows] = np.inf
        P = np.exp(d2.min(axis=1)[:, None] - d2)
        P /= P.sum(axis=1)[:, None]
        if classes:
            total += np.sum(P * (y[rows, None] == y))
        else:
            total += np.sum((y[rows] - P @ y) ** 2)
    return total


def split(X, y, classes):
    stratify = y if classes else None
    parts = train_test_split(X, y, test_size=0.3, random_state=0, stratify=stratify)
    return standardized(*parts)


def standardized(train, test, y_train, y_test):
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test), y_train, y_test


def fit(name, train, test, y_train, y_test, classes):
    """CPU seconds, MB, objective and score of one learner; run in a process of its own."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    learner = (OURS[name] if name in OURS else learners()[name])()
    rows = train.astype(np.float32) if "float32" in name else train
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    learner.fit(rows, y_train)
    seconds = time.process_time() - start
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    L = learner.components_.astype(np.float64)
    knn = (KNeighborsClassifier if classes else KNeighborsRegressor)(3)
    score = knn.fit(train @ L.T, y_train).score(test @ L.T, y_test)
    return seconds, megabytes, soft_neighbor_sums(train @ L.T, y_train, classes), score


def fit_on_device(make, X, y, device):
    """Wall seconds and objective of the second fit of two, to tensors on ``device``, if any."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    with config_context(array_api_dispatch=device is not None):
        if device is not None:
            import torch

            X = torch.asarray(X, device=device)
        for _ in range(2):
            learner, start = make(), time.perf_counter()
            learner.fit(X, y)
            seconds = time.perf_counter() - start
    return seconds, learner.objective_


def devices(n, device):
    """Time the same fits to numpy arrays and to tensors, in both precisions."""
    X, _, y, _ = split(*classification(n), classes=True)
    print(f"\nmake_classification, {n:,} x 50 of which 70 % are fitted; wall seconds\n")
    print(f"| learner | dtype | numpy s | {device} s | numpy / {device} | objectives |")
    print("|---|---|---|---|---|---|")
    for name, make in ON_DEVICES.items():
        for dtype in (np.float64, np.float32):
            runs = [alone(make, X.astype(dtype), y, on, run=fit_on_device) for on in (None, device)]
            (here, value), (there, other) = runs
            print(
                f"| {name} | {np.dtype(dtype)} | {here:.2f} | {there:.2f} "
                f"| {here / there:.2f} | {value:.6g}, {other:.6g} |",
                flush=True,
            )


def alone(*arguments, run=fit):
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"  # read by the new process
    os.environ["SCIPY_ARRAY_API"] = "1"
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(run, arguments)


def table(title, data, names, classes=True, repeats=1):
    score = "3-NN accuracy" if classes else "3-NN R²"
    print(f"\n{title}\n")
    print(
        f"| learner | CPU s | to the first | MB | objective | {score} |\n|---|---|---|---|---|---|"
    )
    first = None
    for name in names:
        runs = [alone(name, *data, classes) for _ in range(repeats)]
        seconds, megabytes, objective, accuracy = min(runs)
        first = first or seconds
        print(
            f"| {name} | {seconds:.2f} | {seconds / first:.1f} | {megabytes:.0f} "
            f"| {objective:.1f} | {accuracy:.4f} |",
            flush=True,
        )


def dtypes(rounds=7):
    """Fits in float64 and float32, interleaved, on digits: medians of CPU seconds."""
    X, _, y, _ = split(*load_digits(return_X_y=True), classes=True)
    few = slice(800)
    problems = {
        "NCA, 800 rows": (NCA, few),
        "MLKR, 800 rows": (MLKR, few),
        "MahalanobisLearner, 1,257 rows": (MahalanobisLearner, slice(None)),
        "the same, LogDet": (partial(MahalanobisLearner, regularizer="logdet"), slice(None)),
    }
    print("\n| learner | float64 s | float32 s | float32 is faster by |\n|---|---|---|---|")
    for name, (make, rows) in problems.items():
        seconds = np.empty((rounds, 2))
        for pair in seconds:
            for column, dtype in enumerate((np.float64, np.float32)):
                start = time.process_time()
                make(random_state=0).fit(X[rows].astype(dtype), y[rows])
                pair[column] = time.process_time() - start
        double, single = np.median(seconds, axis=0)
        ratio = np.median(seconds[:, 0] / seconds[:, 1])
        print(f"| {name} | {double:.3f} | {single:.3f} | {ratio:.2f}x |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tables", nargs="+")
    parser.add_argument("--device", default="cpu", help="of torch, for the table 'device'")
    parser.add_argument("--data", type=Path, help="folder with letter.npz")
    parser.add_argument("--repeats", type=int, default=1, help="the fastest run counts")
    parser.add_argument("--rows", type=int, nargs="*", default=[2000, 5000, 10_000])
    parser.add_argument("--peers", nargs="*", choices=THEIRS, default=THEIRS)
    arguments = parser.parse_args()
    repeats = arguments.repeats
    ours, theirs = ["NCA", "NCA, float32"], arguments.peers
    if "device" in arguments.tables:
        for n in arguments.rows:
            devices(n, arguments.device)
    if "dtype" in arguments.tables:
        dtypes()
    if "digits" in arguments.tables:
        data = split(*load_digits(return_X_y=True), classes=True)
        table("digits, 1,257 x 64", data, ours + theirs, repeats=repeats)
    if "synthetic" in arguments.tables:
        for n in arguments.rows:
            data = split(*classification(n), classes=True)
            title = f"make_classification, {n:,} x 50 of which 70 % are fitted"
            table(title, data, ours + theirs, repeats=repeats)
    if "mlkr" in arguments.tables:
        for n in (1000, 2000, 5000):
            peers = ["metric-learn MLKR"] if n <= 2000 else []
            data = split(*regression(n), classes=False)
            title = f"sine, {n:,} x 20 of which 70 % are fitted"
            table(title, data, ["MLKR", *peers], classes=False, repeats=repeats)
        X, y = load_digits(return_X_y=True)
        data = split(X, y.astype(float), classes=False)
        title = "digits as numbers, 1,257 x 64"
        table(title, data, ["MLKR", "metric-learn MLKR"], classes=False, repeats=repeats)
    if "growth" in arguments.tables:
        for n in (5000, 10_000, 20_000, 40_000):
            data = split(*classification(n), classes=True)
            table(f"growth, {n:,} x 50", data, ["NCA, float32", "NCA, batch_size=2048"])
    if "batches" in arguments.tables:
        letter = np.load(arguments.data / "letter.npz")
        X, y, test = letter["X"].astype(float), letter["y"], letter["split"] == 1
        data = standardized(X[~test], X[test], y[~test], y[test])
        names = ["NCA", "NCA, float32", "NCA, batch_size=2048"]
        table("letter, 16,000 x 16", data, names, repeats=repeats)


if __name__ == "__main__":
    main()
