"""Every linear learner on the classical sets, beside other packages and Euclid.

    OMP_NUM_THREADS=1 python benchmarks/classical.py --data DIR
    OMP_NUM_THREADS=1 python benchmarks/classical.py --data DIR \
        --learners ITML "metric-learn ITML" --sets wine vowel --folds 3 --keep runs.json

Each cell is a process of its own: rows are standardised on the training part, the
learner is fitted on its defaults (seed 0), and a 3-nearest-neighbour classifier
judges on the standard split where the file has one, else on 10 stratified folds
(seed 0), fewer where --budget CPU seconds are used up. A cell reads

    accuracy in percent (± standard error over folds) / CPU seconds of one fit /
    MB that fitting added to the peak of the process

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
META = ("MahalanobisLearner", "KernelMetric")  # compositions, not methods


def our_learners():
    def make(name):
        learner = getattr(metriclearn, name)()
        if "random_state" in learner.get_params():
            learner.set_params(random_state=0)
        return learner

    names = sorted(set(metriclearn.mahalanobis.__all__) - set(META), key=str.lower)
    return {name: lambda name=name: make(name) for name in names}


def all_learners():
    return {"Euclid": lambda: None, **our_learners(), **peers.learners()}


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
    """One cell, in this process."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (args.memory * 2**30,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (args.timeout, args.timeout + 5))
    X, y, split = load(name, args.data)
    make = all_learners()[learner]
    parts = []
    for train, test in splits(X, y, split, args.folds):
        scaler = StandardScaler().fit(X[train])
        parts.append((scaler.transform(X[train]), y[train], scaler.transform(X[test]), y[test]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fitted, seconds = [], []
    for X_train, y_train, _, _ in parts:
        estimator, start = make(), time.process_time()
        fitted.append(estimator if estimator is None else estimator.fit(X_train, y_train))
        seconds.append(time.process_time() - start)
        if sum(seconds) > args.budget:
            break
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    scores = []
    for estimator, (X_train, y_train, X_test, y_test) in zip(fitted, parts, strict=False):
        if estimator is not None:
            X_train, X_test = estimator.transform(X_train), estimator.transform(X_test)
        if np.iscomplexobj(X_train) or not np.all(np.isfinite(X_train)):
            return {"error": "NaN or complex"}
        knn = KNeighborsClassifier(3).fit(X_train, y_train)
        scores.append(100 * knn.score(X_test, y_test))
    error = np.std(scores, ddof=1) / np.sqrt(len(scores)) if len(scores) > 1 else None
    return {
        "accuracy": np.mean(scores),
        "error_of_mean": error,
        "folds": len(scores),
        "of_folds": len(parts),
        "seconds": np.median(seconds),
        "megabytes": added / 1024,
    }


def cell_in_a_process(args, learner, name):
    """One cell in a fork of this process, which has imported everything already."""
    receive, send = multiprocessing.Pipe(duplex=False)

    def work():
        try:
            send.send(run_cell(args, learner, name))
        except Exception as error:  # a learner that fails is a result
            send.send({"error": type(error).__name__})

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    send.close()
    try:
        result = receive.recv()
    except EOFError:
        result = {"error": f"> {args.timeout} s"}
    process.join()
    return result


def show(cell):
    if cell is None:
        return ""
    if "error" in cell and "accuracy" not in cell:
        return cell["error"]
    spread = f" ± {cell['error_of_mean']:.1f}" if cell["error_of_mean"] is not None else ""
    seconds = cell["seconds"]
    seconds = f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"
    fewer = f" ({cell['folds']} folds)" if cell["folds"] < cell["of_folds"] else ""
    return f"{cell['accuracy']:.1f}{spread}{fewer} / {seconds} / {cell['megabytes']:.0f}"


def table(runs, learners, names):
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for learner in learners:
        cells = [show(runs.get(f"{learner}|{name}")) for name in names]
        lines.append(f"| {learner} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of the .npz files; without it the bundled sets only")
    parser.add_argument("--learners", nargs="+", help="all by default")
    parser.add_argument("--sets", nargs="+", choices=[*BUNDLED, *FROM_FILES])
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--budget", type=float, default=60, help="no fold begins after so many s")
    parser.add_argument("--timeout", type=int, default=300, help="CPU seconds of a cell")
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
            print(f"{key}: {show(runs[key])}", file=sys.stderr, flush=True)
            if args.keep:
                args.keep.write_text(json.dumps(runs, indent=1))
    print(table(runs, learners, names))


if __name__ == "__main__":
    main()
