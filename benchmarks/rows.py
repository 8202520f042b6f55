"""What more rows, many classes and two threads do to LMNN, NCA, MCML and LFDA.

    python benchmarks/rows.py accuracy --data DIR
    python benchmarks/rows.py growth
    python benchmarks/rows.py classes
    python benchmarks/rows.py threads --repeats 5

CPU seconds of one process on one thread, but for ``threads``: there each fit runs in a
process of its own with 1 and with 2 BLAS threads in turn, and medians of wall and CPU
seconds are compared; run it on a machine that does nothing else. Where that is not to be had,
the path tells more than the wall: CPU seconds of the main thread and the busiest other one.
"""

import argparse
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from metriclearn import LFDA, LMNN, MCML, NCA

ONE = {"n_informative": 10, "n_redundant": 0, "n_clusters_per_class": 1, "random_state": 1}
TWO = {"n_informative": 20, "n_redundant": 10, "random_state": 0}
THREADS = """
import glob, os, sys, time, warnings
import numpy as np
from sklearn.datasets import make_classification
from metriclearn import LFDA, LMNN, NCA
from metriclearn.metrics import retrieve
warnings.simplefilter("ignore")
X, y = make_classification(10_000, 50, n_informative=20, n_redundant=10, n_classes=10,
                           random_state=0)
run = {
    "NCA": lambda: NCA(batch_size=None).fit(X, y),
    "LMNN": lambda: LMNN(random_state=0).fit(X, y),
    "LFDA": lambda: LFDA().fit(X, y),
    "measures": lambda: retrieve(X, y).r_precision(),
}[sys.argv[1]]
def of_threads():
    files = glob.glob("/proc/self/task/*/schedstat")
    return {f.split("/")[4]: int(open(f).read().split()[0]) / 1e9 for f in files}
before, wall, cpu = of_threads(), time.perf_counter(), time.process_time()
run()
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
spent = {name: s - before.get(name, 0) for name, s in of_threads().items()}
main = spent.pop(str(os.getpid()), cpu)
print(wall, cpu, main + max(spent.values(), default=0))
"""


def synthetic(n, kind=None):
    kind = TWO if kind is None else kind
    return make_classification(n, n_features=50, n_classes=10, **kind)


def seconds(learner, X, y):
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner.fit(X, y)
    return time.process_time() - start


def problems(directory):
    """Test rows, and rows in random order of which the first are trained on: all the gallery."""
    for name, kind in (("one cluster a class", ONE), ("two clusters a class", TWO)):
        yield name, *shuffled(*synthetic(36_000, kind), 4000), (2000, 8000, 24_000)
    letter, mnist = (np.load(Path(directory) / f"{n}.npz") for n in ("letter", "mnist_t10k"))
    X_test, y_test, X, y = shuffled(letter["X"].astype(float), letter["y"], 4000)
    scaler = StandardScaler().fit(X)
    yield "letter", scaler.transform(X_test), y_test, scaler.transform(X), y, (2000, 8000, 16_000)
    X_test, y_test, X, y = shuffled(mnist["X"].reshape(10_000, -1) / 255.0, mnist["y"], 2000)
    pca = PCA(100, random_state=0).fit(X)
    yield "mnist_t10k", pca.transform(X_test), y_test, pca.transform(X), y, (2000, 8000)


def shuffled(X, y, n_test):
    order = np.random.RandomState(0).permutation(len(y))
    X, y = X[order], y[order]
    return X[:n_test], y[:n_test], X[n_test:], y[n_test:]


def accuracy(directory):
    learners = {"LMNN": {}, "published": {"n_impostors": None, "n_passes": 1}}
    print("| data | rows | learner | CPU s | 3-NN % | standard error |")
    print("|---|---|---|---|---|---|", flush=True)
    for name, X_test, y_test, X, y, sizes in problems(directory):
        for n in sizes:
            for who, given in learners.items():
                learner = LMNN(random_state=0, **given)
                took = seconds(learner, X[:n], y[:n])
                knn = KNeighborsClassifier(3, algorithm="brute").fit(learner.transform(X), y)
                score = knn.score(learner.transform(X_test), y_test)
                error = np.sqrt(score * (1 - score) / len(y_test))
                shares = f"{100 * score:.2f} | {100 * error:.2f}"
                print(f"| {name} | {n:,} | {who} | {took:.1f} | {shares} |", flush=True)


def growth(sizes):
    makers = {
        "LMNN": lambda: LMNN(random_state=0),
        "NCA": lambda: NCA(random_state=0),
        "LFDA": LFDA,
    }
    print("| learner | " + " | ".join(f"{n:,}" for n in sizes) + " |")
    print("|---|" + "---|" * len(sizes), flush=True)
    for name, make in makers.items():
        times = [seconds(make(), *synthetic(n)) for n in sizes]
        print(f"| {name} | " + " | ".join(f"{t:.2f}" for t in times) + " |", flush=True)
    X, y = synthetic(10_000)
    print(f"\nMCML, 10,000 rows: {seconds(MCML(), X, y):.1f} s")


def classes():
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(25_000), 2)
    X = rng.randn(25_000, 64)[y] + 0.5 * rng.randn(50_000, 64)
    print("25,000 classes of two rows, 64 features")
    print(f"LMNN(n_neighbors=1) {seconds(LMNN(n_neighbors=1, random_state=0), X, y):.1f} s")
    print(f"LFDA {seconds(LFDA(), X, y):.2f} s")


def threads(repeats):
    print("| what | wall, 1 thread | wall, 2 | ratio | CPU ratio | path ratio |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in ("NCA", "LMNN", "LFDA", "measures"):
        runs = {1: [], 2: []}
        for _ in range(repeats):
            for n in runs:
                limits = {f"{pool}_NUM_THREADS": str(n) for pool in ("OMP", "OPENBLAS", "MKL")}
                output = subprocess.run(
                    [sys.executable, "-c", THREADS, name],
                    env=os.environ | limits,
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
                runs[n].append([float(number) for number in output.split()])
        one, two = (np.median(runs[n], axis=0) for n in (1, 2))
        ratios = " | ".join(f"{ratio:.2f}" for ratio in two / one)
        print(f"| {name} | {one[0]:.2f} | {two[0]:.2f} | {ratios} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tables", nargs="+", choices=["accuracy", "growth", "classes", "threads"])
    parser.add_argument("--data", metavar="DIR", help="folder of NAME.npz, for accuracy")
    parser.add_argument("--rows", type=int, nargs="*", default=[12_500, 50_000, 200_000])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if "accuracy" in arguments.tables and arguments.data is None:
        parser.error("accuracy needs --data DIR")
    for table in arguments.tables:
        if table == "threads":
            threads(arguments.repeats)
            continue
        with threadpool_limits(1):
            if table == "accuracy":
                accuracy(arguments.data)
            elif table == "growth":
                growth(arguments.rows)
            else:
                classes()


if __name__ == "__main__":
    main()
