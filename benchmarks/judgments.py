"""Metrics from judgments of people: THINGS odd-one-out, appearance of materials; and from a coin.

    OMP_NUM_THREADS=1 python benchmarks/judgments.py things --data DIR [--judgments 6000]
    OMP_NUM_THREADS=1 python benchmarks/judgments.py materials --data DIR [--judgments 3000]
    OMP_NUM_THREADS=1 python benchmarks/judgments.py made-up [--runs 60]

DIR holds things_triplets.npz (1,854 objects, 27 flags of categories; of three objects the odd one)
and material_triplets.npz (100 materials; which of two is nearer to a third). Of a material there
are 15 numbers: mean, deviation and three quantiles of each color. ``made-up`` counts how often a
metric is called worth it where there is nothing to learn.
"""

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np

from metriclearn.compare import compare
from metriclearn.constraints import Pairs, Triplets


def things(folder, n):
    """Return flags of objects and two triplets of each judgment: either of the pair is nearer."""
    with np.load(folder / "things_triplets.npz") as data:
        chosen = np.random.RandomState(0).permutation(len(data["odd"]))[:n]
        pair, odd = data["pairs"][chosen].astype(int), data["odd"][chosen].astype(int)
        X = data["X"].astype(float)
    both = [np.column_stack([pair, odd]), np.column_stack([pair[:, ::-1], odd])]
    return X, Triplets(np.concatenate(both), n_rows=len(X))


def materials(folder, n):
    """Return colors of materials, and triplets on which most agreed."""
    with np.load(folder / "material_triplets.npz") as data:
        images = data["X"].astype(float)
        triplets = data["triplets"][data["votes"][:, 0] > data["votes"][:, 1]].astype(int)
    spread = np.quantile(images.reshape(100, -1, 3), [0.05, 0.5, 0.95], axis=1)
    colors = [images.mean((1, 2)), images.std((1, 2)), *spread]
    chosen = np.random.RandomState(0).permutation(len(triplets))[:n]
    return np.concatenate(colors, axis=1), Triplets(triplets[chosen], n_rows=100)


def judged(kind, how, seed, n_items=60, n=600):
    """Make items of six features, and judgments by a coin or by features that are not theirs."""
    rng = np.random.RandomState(seed)
    X, unseen = rng.randn(n_items, 6), rng.randn(n_items, 2)
    width = 2 if kind == "pairs" else 3
    drawn = np.array([rng.choice(n_items, width, replace=False) for _ in range(n)])
    near = np.linalg.norm(unseen[drawn[:, 0]] - unseen[drawn[:, 1]], axis=1)
    if kind == "pairs":
        similar = near < np.median(near)
        return X, Pairs(drawn, rng.permutation(similar) if how == "coin" else similar)
    far = np.linalg.norm(unseen[drawn[:, 0]] - unseen[drawn[:, 2]], axis=1)
    right = rng.rand(n) < 0.5 if how == "coin" else near < far
    return X, Triplets(np.where(right[:, None], drawn, drawn[:, [0, 2, 1]]))


def made_up(runs):
    """Print how often there is said to be something to learn where there is not."""
    print("| judgments | by | items | over guessing | 'worth it' |\n|---|---|---|---|---|")
    for kind in ("pairs", "triplets"):
        for how in ("coin", "others"):
            counts = Counter()
            for seed in range(runs):
                X, given = judged(kind, how, seed)
                learners = "euclidean,standardized,mahalanobislearner"
                result = compare(X, constraints=given, learners=learners, tune=False)
                for protocol in result.protocols:
                    measure = result.headline(protocol)
                    counts[protocol, "over"] += bool(result.verdict(measure).over_chance)
                    counts[protocol, "yes"] += result.answer("learning", measure).answer == "yes"
            for protocol, items in (("closed", "known"), ("open", "new")):
                over, yes = counts[protocol, "over"], counts[protocol, "yes"]
                print(
                    f"| {kind} | {how} | {items} | {over} of {runs} | {yes} of {runs} |", flush=True
                )


def main():
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("things", "materials", "made-up"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--judgments", type=int, default=3000)
    parser.add_argument("--learners", default="default")
    parser.add_argument("--runs", type=int, default=60)
    options = parser.parse_args()
    if options.what == "made-up":
        made_up(options.runs)
        return
    if options.data is None:
        parser.error("--data DIR is needed")
    read = {"things": things, "materials": materials}[options.what]
    X, given = read(options.data, options.judgments)
    start = time.process_time()
    result = compare(
        X, constraints=given, learners=options.learners, effort="quick", name=options.what
    )
    result.show()
    print(f"{time.process_time() - start:.0f} CPU s")


if __name__ == "__main__":
    main()
