"""Every linear learner on the classical sets, beside other packages and Euclid.

    OMP_NUM_THREADS=1 python benchmarks/classical.py --data DIR
    OMP_NUM_THREADS=1 python benchmarks/classical.py --data DIR \
        --learners ITML "metric-learn ITML" --sets wine vowel --folds 3 --keep runs.json

Each cell is a process of its own: rows are standardized on the training part, the
learner is fitted on its defaults (seed 0), and a 3-nearest-neighbor classifier
judges on the standard split where the file has one, else on 10 stratified folds
(seed 0). No fold begins after --budget CPU seconds of fitting, and a cell ends at
--timeout CPU seconds: the folds finished by then count, and a cell without one reads
"> 60 s". Two tables are printed, each method beside its peers:

    accuracy in percent, ± standard error over folds
    median CPU seconds of a fit / MB that the first fit added to the peak of the process

and then the cells in which a learner's accuracy is below a peer's same method, or
below Euclid's, by more than two standard errors: of the paired differences over the
folds that both finished, or, on a standard split, of two independent proportions.

With --keep FILE finished cells are kept, and not run again.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import peers
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

import metriclearn
import metriclearn.mahalanobis

BUNDLED = {"wine": load_wine, "breast_cancer": load_breast_cancer, "digits": load_digits}
FROM_FILES = (
    "letter",
    "pendigits",
    "optdigits",
    "segment",
    "vowel",
    "vehicle",
    "ionosphere",
    "sonar",
    "balance_scale",
    "waveform",
)
ALONE = ("ITML", "LFDA", "LSML", "MLKR", "MMC", "RCA", "SCML", "SDML")
PEERS = {
    "LMNN": ("PyLMNN", "metric-learn LMNN"),
    "NCA": ("scikit-learn NCA", "metric-learn NCA"),
    **{name: (f"metric-learn {name}",) for name in ALONE},
}
# Compositions and the base, not methods.
META = ("MahalanobisLearner", "KernelMetric", "MahalanobisTransformer")


def our_learners():
    def make(name):
        learner = getattr(metriclearn, name)()
        if "random_state" in learner.get_params():
            learner.set_params(random_state=0)
        return learner

    names = sorted(set(metriclearn.mahalanobis.__all__) - set(META), key=str.lower)
    return {name: lambda name=name: make(name) for name in names}


def all_learners():
    theirs = peers.learners()
    ordered = {"Euclid": lambda: None}
    for name, make in our_learners().items():
        ordered[name] = make
        ordered.update({peer: theirs[peer] for peer in PEERS.get(name, ())})
    return ordered


def load(name, data):
    if name in BUNDLED:
        return (*BUNDLED[name](return_X_y=True), None)
    with np.load(Path(data) / f"{name}.npz") as file:
        X = file["X"].reshape(len(file["X"]), -1).astype(float)
        return X, file["y"], file.get("split")


def splits(X, y, split, folds):
    if split is not None:
        return [(np.flatnonzero(split == 0), np.flatnonzero(split == 1))]
    return StratifiedKFold(folds, shuffle=True, random_state=0).split(X, y)


def run_cell(args, learner, name):
    """Return the cell's state after each fold, in this process."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (args.memory * 2**30,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (args.timeout, args.timeout + 5))
    X, y, split = load(name, args.data)
    parts = list(splits(X, y, split, args.folds))
    cell = {"scores": [], "seconds": [], "of_folds": len(parts), "n_test": len(parts[0][1])}
    for train, test in parts:
        scaler = StandardScaler().fit(X[train])
        X_train, X_test = scaler.transform(X[train]), scaler.transform(X[test])
        estimator = all_learners()[learner]()
        before, start = peak_megabytes(), time.process_time()
        if estimator is not None:
            estimator.fit(X_train, y[train])
        cell["seconds"].append(time.process_time() - start)
        cell.setdefault("megabytes", peak_megabytes() - before)
        if estimator is not None:
            X_train, X_test = estimator.transform(X_train), estimator.transform(X_test)
        if np.iscomplexobj(X_train) or not np.all(np.isfinite(X_train)):
            raise FloatingPointError("NaN or complex")
        knn = KNeighborsClassifier(3).fit(X_train, y[train])
        cell["scores"].append(100 * knn.score(X_test, y[test]))
        yield cell
        if sum(cell["seconds"]) > args.budget:
            break


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cell_in_a_process(args, learner, name):
    """One cell in a fork of this process, which has imported everything already."""
    receive, send = multiprocessing.Pipe(duplex=False)

    def work():
        try:
            for cell in run_cell(args, learner, name):
                send.send(cell)
        except Exception as error:  # a learner that fails is a result
            said = str(error) if isinstance(error, FloatingPointError) else type(error).__name__
            send.send({"error": said})

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    send.close()
    result = {"error": f"> {args.timeout} s"}
    try:
        while True:
            result = receive.recv()
    except EOFError:
        process.join()
    return result


def accuracy(cell):
    if cell is None or "error" in cell:
        return "" if cell is None else cell["error"]
    scores = cell["scores"]
    spread = ""
    if len(scores) > 1:
        spread = f" ± {np.std(scores, ddof=1) / np.sqrt(len(scores)):.1f}"
    fewer = f" ({len(scores)} of {cell['of_folds']})" if len(scores) < cell["of_folds"] else ""
    return f"{np.mean(scores):.1f}{spread}{fewer}"


def cost(cell):
    if cell is None or "error" in cell:
        return "" if cell is None else cell["error"]
    seconds = np.median(cell["seconds"])
    seconds = f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"
    return f"{seconds} / {cell['megabytes']:.0f}"


def table(runs, learners, names, show):
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for learner in learners:
        cells = [show(runs.get(f"{learner}|{name}")) for name in names]
        lines.append(f"| {learner} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def behind(ours, peer):
    """How far below the peer's, and the standard error of that."""
    common = min(len(ours["scores"]), len(peer["scores"]))
    a, b = (np.array(cell["scores"][:common]) for cell in (ours, peer))
    if ours["of_folds"] > 1:
        error = np.std(b - a, ddof=1) / np.sqrt(common) if common > 1 else np.inf
    else:
        p = np.array([a[0], b[0]]) / 100
        error = 100 * np.sqrt(np.sum(p * (1 - p)) / ours["n_test"])
    return np.mean(b - a), error


def worse_cells(runs, names):
    pairs = [(name, peer) for name, beside in PEERS.items() for peer in beside]
    pairs += [(name, "Euclid") for name in our_learners()]
    for learner, peer in pairs:
        for name in names:
            cells = [runs.get(f"{method}|{name}", {}) for method in (learner, peer)]
            if any("scores" not in cell for cell in cells):
                continue
            difference, error = behind(*cells)
            if difference > 2 * error:
                yield f"- {name}: {learner} is {difference:.1f} ± {error:.1f} below {peer}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of the .npz files; without it the bundled sets only")
    parser.add_argument("--learners", nargs="+", help="all by default")
    parser.add_argument("--sets", nargs="+", choices=[*BUNDLED, *FROM_FILES])
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--budget", type=float, default=15, help="no fold begins after so many s")
    parser.add_argument("--timeout", type=int, default=60, help="CPU seconds of a cell")
    parser.add_argument("--memory", type=int, default=8, help="GB that a cell may address")
    parser.add_argument("--keep", type=Path, help="JSON file of finished cells")
    args = parser.parse_args()
    learners = args.learners or list(all_learners())
    unknown = set(learners) - set(all_learners())
    if unknown:
        parser.error(f"no learner {sorted(unknown)}; there are {list(all_learners())}")
    names = args.sets or [*BUNDLED, *(FROM_FILES if args.data else ())]
    for learner in learners:
        all_learners()[learner]()  # imports are no part of a fit
    runs = json.loads(args.keep.read_text()) if args.keep and args.keep.exists() else {}
    for name in names:
        for learner in learners:
            key = f"{learner}|{name}"
            if key in runs:
                continue
            runs[key] = cell_in_a_process(args, learner, name)
            print(f"{key}: {accuracy(runs[key])} | {cost(runs[key])}", file=sys.stderr, flush=True)
            if args.keep:
                args.keep.write_text(json.dumps(runs, indent=1))
    print(table(runs, learners, names, accuracy), end="\n\n")
    print(table(runs, learners, names, cost), end="\n\n")
    print("\n".join(worse_cells(runs, names)))


if __name__ == "__main__":
    main()
