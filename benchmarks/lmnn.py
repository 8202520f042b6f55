"""LMNN beside PyLMNN and metric-learn: seconds, objective, accuracy, memory, growth.

    python benchmarks/lmnn.py digits synthetic --peers pylmnn metric-learn
    python benchmarks/lmnn.py mnist --data DIR
    python benchmarks/lmnn.py certificate growth dtype
    python benchmarks/lmnn.py sets --data DIR --peers pylmnn metric-learn

CPU seconds of one process on one thread. Objectives are evaluated by code of
this file alone, in float64, over all impostors, which ``digits`` and ``synthetic``
minimize as published (``n_impostors=None, n_passes=1``): the squared hinge beside
PyLMNN, the hinge beside metric-learn, both with mu = 1/2 and twice the value
(pull + push). Neither peer runs as installed under today's scikit-learn and
scipy; what each needs is patched in here.
"""

import argparse
import sys
import time
import tracemalloc
import types
import warnings
from pathlib import Path

import numpy as np
from scipy import optimize
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_classification
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.utils import validation
from threadpoolctl import threadpool_limits

from metriclearn import LMNN
from metriclearn.constraints import Triplets

SETS = ["wine", "breast_cancer", "digits", "letter", "pendigits", "optdigits", "segment", "vowel"]
SETS += ["vehicle", "ionosphere", "sonar", "balance_scale", "waveform"]


def pylmnn():
    """PyLMNN 1.6.4, which imports an absent GPyOpt and gives scipy a 2-D start."""
    stub = types.ModuleType("GPyOpt")
    stub.methods = types.ModuleType("GPyOpt.methods")
    stub.methods.BayesianOptimization = object
    sys.modules.setdefault("GPyOpt", stub)
    sys.modules.setdefault("GPyOpt.methods", stub.methods)
    import pylmnn.lmnn as module

    def minimize(fun, x0, options, **given):
        options.pop("disp")
        return optimize.minimize(fun, x0=x0.ravel(), options=options, **given)

    module.minimize = minimize
    return module.LargeMarginNearestNeighbor(random_state=0)


def patched_metric_learn():
    """metric-learn 0.7.0, which gives scikit-learn a keyword that it no longer has."""
    import metric_learn
    from metric_learn import _util as util

    def renamed(check):
        def checked(*args, force_all_finite=True, **given):
            return check(*args, ensure_all_finite=force_all_finite, **given)

        return checked

    util.check_array = renamed(validation.check_array)
    util.check_X_y = renamed(validation.check_X_y)
    return metric_learn.LMNN(random_state=0)


PEERS = {"pylmnn": (pylmnn, "squared_hinge"), "metric-learn": (patched_metric_learn, "hinge")}


def published(**given):
    """LMNN of the published sum over all impostors, which is what the peers minimize."""
    return LMNN(n_impostors=None, n_passes=1, **given)


def objective(L, X, y, loss, k=3):
    """Pull + push over all impostors; targets by Euclidean distance in the input space."""
    Z = X @ L.T
    targets = np.empty((len(X), k), dtype=int)
    for c in np.unique(y):
        rows = np.flatnonzero(y == c)
        found = NearestNeighbors(n_neighbors=k).fit(X[rows]).kneighbors(return_distance=False)
        targets[rows] = rows[found]
    d2_targets = np.sum((Z[:, None] - Z[targets]) ** 2, axis=2)
    squared = np.sum(Z**2, axis=1)
    total = d2_targets.sum()
    for block in np.array_split(np.arange(len(X)), 1 + len(X) // 200):
        d2 = squared[block, None] + squared - 2 * Z[block] @ Z.T
        d2[y[block, None] == y] = np.inf
        for j in range(k):
            h = np.maximum(1 + d2_targets[block, j, None] - d2, 0)
            total += np.sum(h if loss == "hinge" else h**2)
    return total


def halves(X, y):
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.3, random_state=0, stratify=y
    )
    scaler = StandardScaler().fit(X_train)
    return scaler.transform(X_train), y_train, scaler.transform(X_test), y_test


def digits():
    return halves(*load_digits(return_X_y=True))


def synthetic(n=10_000):
    return halves(
        *make_classification(n, 50, n_informative=20, n_redundant=10, n_classes=10, random_state=0)
    )


def accuracy(L, X_train, y_train, X_test, y_test):
    knn = KNeighborsClassifier(3).fit(X_train @ L.T, y_train)
    return knn.score(X_test @ L.T, y_test)


def fitted(learner, X, y):
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner.fit(X, y)
    return time.process_time() - start


def table(*rows):
    head, *body = rows
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in body:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def against_peers(name, data, peers, rounds):
    """Medians over rounds, interleaved, with the range of the ratios within each round.

    metric-learn runs once where it takes minutes.
    """
    X, y, *test = data
    losses = ("hinge", "squared_hinge")
    makers = {("metriclearn", loss): lambda loss=loss: published(loss=loss) for loss in losses}
    makers |= {(peer, PEERS[peer][1]): PEERS[peer][0] for peer in peers}
    seconds, learners = {key: [] for key in makers}, {}
    for number in range(rounds):
        for key, make in makers.items():
            if number == 0 or seconds[key][0] < 30:
                learners[key] = make()
                seconds[key].append(fitted(learners[key], X, y))
    rows = [(name, "loss", "median s", "metriclearn is faster by", "objective", "3-NN")]
    for (who, loss), of_key in seconds.items():
        faster = ""
        if who != "metriclearn":
            ratios = [b / a for a, b in zip(seconds["metriclearn", loss], of_key, strict=False)]
            faster = f"{np.median(ratios):.1f}x"
            if len(ratios) > 1:
                faster += f" ({min(ratios):.1f} to {max(ratios):.1f}, {len(ratios)} rounds)"
        L = learners[who, loss].components_
        value, score = objective(L, X, y, loss), accuracy(L, X, y, *test)
        rows.append((who, loss, f"{np.median(of_key):.2f}", faster, f"{value:.1f}", f"{score:.4f}"))
    table(*rows)


def mnist(directory):
    """Return the 10,000 test images, PCA to 164 dimensions, 7,000 to train on and all of them."""
    stored = np.load(Path(directory) / "mnist_t10k.npz")
    X, y = stored["X"].reshape(len(stored["X"]), -1) / 255.0, stored["y"]
    rows = [("mnist_t10k", "loss", "CPU s", "wall s", "iterations", "gap", "3-NN Euclid", "3-NN")]
    train = np.arange(len(y)) % 10 < 7
    for part, name in ((train, "7,000 rows"), (np.ones(len(y), bool), "10,000 rows")):
        pca = PCA(164, random_state=0).fit(X[part])
        A, B = pca.transform(X[part]), pca.transform(X[~train])
        for loss in ("hinge", "squared_hinge"):
            learner, start = LMNN(loss=loss), time.perf_counter()
            seconds = fitted(learner, A, y[part])
            wall = time.perf_counter() - start
            scores = ["", ""]
            if part is train:
                both = np.eye(164), learner.components_
                scores = [f"{accuracy(L, A, y[part], B, y[~train]):.4f}" for L in both]
            times = f"{seconds:.1f}", f"{wall:.1f}"
            gap = f"{learner.duality_gap_:.1e}"
            rows.append((name, loss, *times, learner.n_iter_, gap, *scores))
    table(*rows)


def certificate():
    """Triplets of a target neighbor and a row of another class, 50 features."""
    rows = [("features", "triplets", "draw", "s", "iterations", "duality gap")]
    for n_features, n_triplets in ((20, 1000), (20, 20_000), (50, 5000), (50, 20_000)):
        for seed in range(3):
            rng = np.random.RandomState(seed)
            X, y = make_classification(
                n_triplets // 10, n_features, n_informative=n_features // 2, n_classes=4,
                random_state=seed,
            )  # fmt: skip
            X = StandardScaler().fit_transform(X)
            anchors = rng.randint(len(X), size=n_triplets)
            triplets = []
            for i in anchors:
                same = np.flatnonzero((y == y[i]) & (np.arange(len(X)) != i))
                near = same[np.argsort(np.sum((X[same] - X[i]) ** 2, axis=1))[:3]]
                triplets.append((i, rng.choice(near), rng.choice(np.flatnonzero(y != y[i]))))
            learner, start = LMNN(), time.process_time()
            learner.fit(X, constraints=Triplets(triplets))
            seconds = time.process_time() - start
            found = f"{seconds:.2f}", learner.n_iter_, f"{learner.duality_gap_:.1e}"
            rows.append((n_features, n_triplets, seed, *found))
    table(*rows)


def growth():
    """Rows of the synthetic problem against time and memory, with the exponent of the time."""
    rows = [("rows", "s", "s per iteration", "peak MB beyond X", "n x n float32 would be MB")]
    sizes, times = (2500, 5000, 10_000, 20_000, 40_000), []
    for n in sizes:
        X, y, *_ = synthetic(round(n / 0.7))
        learner = LMNN()
        times.append(fitted(learner, X, y))
        tracemalloc.start()
        LMNN(max_iter=20, tol=1e-4).fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        seconds = f"{times[-1]:.2f}", f"{times[-1] / learner.n_iter_:.3f}"
        rows.append((len(X), *seconds, f"{peak / 1e6:.0f}", f"{len(X) ** 2 * 4 / 1e6:.0f}"))
    table(*rows)
    print(f"time grows as n^{np.polyfit(np.log(sizes), np.log(times), 1)[0]:.2f}\n")


def dtype(rounds):
    """Time the same fits in float32 and float64, interleaved: medians."""
    rows = [("data", "loss", "float64 s", "float32 s", "float32 is faster by")]
    for name, data in (("digits", digits()), ("synthetic", synthetic())):
        X, y = data[:2]
        single = X.astype(np.float32)
        for loss in ("hinge", "squared_hinge"):
            pairs = [[fitted(LMNN(loss=loss), A, y) for A in (X, single)] for _ in range(rounds)]
            in_double, in_single = np.median(pairs, axis=0)
            ratio = np.median([a / b for a, b in pairs])
            rows.append((name, loss, f"{in_double:.2f}", f"{in_single:.2f}", f"{ratio:.2f}x"))
    table(*rows)


def splits(name, directory):
    """Return the standard split where the set has one, else ten stratified folds."""
    bundled = {"wine": load_wine, "breast_cancer": load_breast_cancer, "digits": load_digits}
    split = None
    if name in bundled:
        X, y = bundled[name](return_X_y=True)
    else:
        stored = np.load(Path(directory) / f"{name}.npz")
        X, y = stored["X"].astype(float), stored["y"]
        split = stored.get("split")
    if split is not None:
        yield X[split == 0], y[split == 0], X[split == 1], y[split == 1]
        return
    for train, test in StratifiedKFold(10, shuffle=True, random_state=0).split(X, y):
        yield X[train], y[train], X[test], y[test]


def sets(directory, peers, names):
    """3-NN accuracy in percent (± standard error over folds) and mean fit seconds."""
    learners = {"LMNN": LMNN, "squared hinge": lambda: LMNN(loss="squared_hinge")}
    learners["passes by validation"] = lambda: LMNN(n_passes="auto", random_state=0)
    learners |= {peer: PEERS[peer][0] for peer in peers}
    print("| " + " | ".join(["data", "Euclid", *learners]) + " |")
    print("|" + " --- |" * (len(learners) + 2))
    for name in names:
        scores = {who: [] for who in ("Euclid", *learners)}
        seconds = {who: 0.0 for who in learners}
        for X, y, X_test, y_test in splits(name, directory):
            scaler = StandardScaler().fit(X)
            X, X_test = scaler.transform(X), scaler.transform(X_test)
            scores["Euclid"].append(accuracy(np.eye(X.shape[1]), X, y, X_test, y_test))
            for who, make in learners.items():
                learner = make()
                seconds[who] += fitted(learner, X, y)
                scores[who].append(accuracy(learner.components_, X, y, X_test, y_test))
        cells = []
        for who, of_who in scores.items():
            n = len(of_who)
            error = f" ± {100 * np.std(of_who, ddof=1) / np.sqrt(n):.1f}" if n > 1 else ""
            fit = f" ({seconds[who] / n:.2f} s)" if who in seconds else ""
            cells.append(f"{100 * np.mean(of_who):.1f}{error}{fit}")
        print("| " + " | ".join([name, *cells]) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    problems = ("digits", "synthetic", "mnist", "certificate", "growth", "dtype", "sets")
    parser.add_argument("problems", nargs="+", choices=problems)
    parser.add_argument("--peers", nargs="*", choices=sorted(PEERS), default=[])
    parser.add_argument("--data", metavar="DIR", help="folder of NAME.npz, for mnist and sets")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sets", nargs="*", choices=SETS, default=SETS)
    args = parser.parse_args()
    if args.data is None and {"mnist", "sets"} & set(args.problems):
        parser.error("mnist and sets need --data DIR")
    with threadpool_limits(1):
        run(args)


def run(args):
    for problem in args.problems:
        if problem in ("digits", "synthetic"):
            data = digits() if problem == "digits" else synthetic()
            against_peers(problem, data, args.peers, args.rounds)
        elif problem == "dtype":
            dtype(args.rounds)
        elif problem == "mnist":
            mnist(args.data)
        elif problem == "sets":
            sets(args.data, args.peers, args.sets)
        else:
            {"certificate": certificate, "growth": growth}[problem]()


if __name__ == "__main__":
    main()
