"""MMC: certified optima beside metric-learn's and clarabel's, and what they are worth.

    python benchmarks/mmc.py sizes
    python benchmarks/mmc.py sets --sets iris wine breast_cancer --splits 5
    python benchmarks/mmc.py sets --sets digits --splits 1
    python benchmarks/mmc.py pairs --data DIR

CPU seconds on one thread. In the second table every learner gets the same pairs,
2,000 of each kind at most, drawn from the labels of the training part. "Objective"
is the sum of the learned distances of the dissimilar pairs after the matrix is
scaled so that the squared distances of the similar pairs sum to one, evaluated by
code of this file: the problem of Xing et al. (2003), whose optimum no matrix exceeds.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from peers import metric_learn
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from metriclearn import MMC
from metriclearn.constraints import Pairs, pairs_from_labels

SETS = {"iris": load_iris, "wine": load_wine, "breast_cancer": load_breast_cancer}
SETS["digits"] = load_digits
STORED = ["segment", "vowel", "vehicle", "ionosphere", "sonar", "balance_scale"]


def budgeted_sum(L, X, pairs):
    """``Σ_D d`` where ``Σ_S d² = 1``."""
    first, second = pairs.indices.T
    d = np.linalg.norm((X[first] - X[second]) @ L.T, axis=1)
    return d[~pairs.similar].sum() / np.sqrt(np.sum(d[pairs.similar] ** 2))


def seconds_of(function):
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def sizes():
    """Random pairs of two kinds: similar ones short in half of the directions."""
    print("\n| features | pairs of each kind | first-order s | gap | clarabel s | its objective |")
    print("|---|---|---|---|---|---|")
    for d, n in (
        (4, 1000),
        (10, 1000),
        (20, 1000),
        (20, 5000),
        (50, 1000),
        (50, 5000),
        (100, 5000),
    ):
        rng = np.random.RandomState(0)
        width = np.r_[np.ones(d - d // 2), np.full(d // 2, 0.3)]
        X = np.r_[np.zeros((1, d)), rng.randn(n, d) * width, rng.randn(n, d)]
        indices = np.column_stack([np.zeros(2 * n, int), np.arange(1, 2 * n + 1)])
        pairs = Pairs(indices, np.arange(2 * n) < n)
        seconds, mmc = seconds_of(lambda p=pairs, X=X: MMC().fit(X, constraints=p))
        row = f"| {d} | {n:,} | {seconds:.3f} | {mmc.duality_gap_:.0e} "
        if d <= 20 and n <= 1000:
            sdp = MMC(solver="sdp")
            seconds, sdp = seconds_of(lambda p=pairs, X=X, sdp=sdp: sdp.fit(X, constraints=p))
            print(
                f"{row}| {seconds:.2f} | {sdp.objective_ / mmc.objective_ - 1:+.0e} |", flush=True
            )
        else:
            print(f"{row}| refused | |", flush=True)


def peer(diagonal):
    def fit(X, pairs):
        learner = metric_learn().MMC(diagonal=diagonal, random_state=0)
        return learner.fit(X[pairs.indices], np.where(pairs.similar, 1, -1)).components_

    return fit


LEARNERS = {
    "Euclid": lambda X, pairs: np.eye(X.shape[1]),
    "MMC full": lambda X, pairs: MMC().fit(X, constraints=pairs).components_,
    "MMC diagonal": lambda X, pairs: MMC("diagonal").fit(X, constraints=pairs).components_,
    "MMC linear": lambda X, pairs: MMC("linear").fit(X, constraints=pairs).components_,
    "metric-learn full": peer(False),
    "metric-learn diagonal": peer(True),
}


def sets(wanted, n_splits):
    """Means over splits, 30 % held out, stratified."""
    print("\n| set | learner | CPU s | objective | 3-NN accuracy | standard error |")
    print("|---|---|---|---|---|---|")
    for name in wanted:
        X, y = SETS[name](return_X_y=True)
        for learner, fit in LEARNERS.items():
            runs = np.array([one_split(fit, X, y, seed) for seed in range(n_splits)])
            seconds, objective, accuracy = runs.mean(axis=0)
            error = f"{runs[:, 2].std(ddof=1) / np.sqrt(n_splits):.3f}" if n_splits > 1 else ""
            print(
                f"| {name} | {learner} | {seconds:.3f} | {objective:.2f} | {accuracy:.4f} "
                f"| {error} |",
                flush=True,
            )


def one_split(fit, X, y, seed):
    train, test, y_train, y_test = split(X, y, seed)
    pairs = pairs_from_labels(y_train, n_pairs=2000, random_state=seed)
    seconds, L = seconds_of(lambda: fit(train, pairs))
    return seconds, budgeted_sum(L, train, pairs), accuracy_of(L, train, test, y_train, y_test)


def split(X, y, seed):
    train, test, y_train, y_test = train_test_split(
        X, y, test_size=0.3, random_state=seed, stratify=y
    )
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test), y_train, y_test


def accuracy_of(L, train, test, y_train, y_test):
    knn = KNeighborsClassifier(3).fit(train @ L.T, y_train)
    return knn.score(test @ L.T, y_test)


def pairs_table(data):
    """3-NN accuracy, mean of five splits, by the number of pairs."""
    named = {name: load(return_X_y=True) for name, load in SETS.items()}
    for name in STORED if data else []:
        stored = np.load(data / f"{name}.npz")
        named[name] = stored["X"].astype(float), stored["y"]
    numbers = (200, 1000, 10_000)
    titles = [f"{variant} {n:,}" for variant in ("full", "diagonal") for n in numbers]
    print("\n| set | Euclid | " + " | ".join(titles) + " |\n|---|---|" + "---|" * len(titles))
    for name, (X, y) in named.items():
        splits = [split(X, y, seed) for seed in range(5)]
        cells = [np.mean([accuracy_of(np.eye(X.shape[1]), *parts) for parts in splits])]
        for variant in ("full", "diagonal"):
            for n in numbers:
                mmc = MMC(variant, n_pairs=n, random_state=0)
                learned = [mmc.fit(parts[0], parts[2]).components_ for parts in splits]
                scores = [accuracy_of(L, *parts) for L, parts in zip(learned, splits, strict=True)]
                cells.append(np.mean(scores))
        print(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tables", nargs="+", choices=["sizes", "sets", "pairs"])
    parser.add_argument("--data", type=Path, help="folder with more sets")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--splits", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # metric-learn divides by zero on the way
    with threadpool_limits(1):
        if "sizes" in arguments.tables:
            sizes()
        if "sets" in arguments.tables:
            sets(arguments.sets, arguments.splits)
        if "pairs" in arguments.tables:
            pairs_table(arguments.data)


if __name__ == "__main__":
    main()
