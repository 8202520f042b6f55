"""Accuracy and price of the "mlp" backbone by the width and depth of its hidden layers.

python benchmarks/mlp_width.py --data DIR [--rows 4000]
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from metriclearn.deep import DeepEmbedder

SETS = ("vowel", "vehicle", "segment", "sonar", "letter")
WIDTHS = ((256,), (512, 256), (512, 256, 128))
LOSSES = ("proxy_anchor", "ntxent")


def main():
    """Print a row for each set, loss and width: 3-NN accuracy over three folds, CPU seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of NAME.npz with X, y")
    parser.add_argument("--rows", type=int, default=4000, help="most rows of a set")
    args = parser.parse_args()
    print("| set | loss | hidden units | 3-NN % | CPU s a fit |\n|---|---|---|---|---|")
    for name in SETS:
        data = np.load(args.data / f"{name}.npz")
        rows = np.random.RandomState(0).permutation(len(data["y"]))[: args.rows]
        X, y = data["X"][rows].astype(np.float32), data["y"][rows]
        folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))
        for loss in LOSSES:
            for width in WIDTHS:
                scores, start = [], time.process_time()
                for train, test in folds:
                    embedder = DeepEmbedder(
                        loss=loss, module_params={"hidden_units": width}, random_state=0
                    ).fit(X[train], y[train])
                    nearest = KNeighborsClassifier(3).fit(embedder.transform(X[train]), y[train])
                    scores.append(nearest.score(embedder.transform(X[test]), y[test]))
                seconds = (time.process_time() - start) / len(folds)
                mean = 100 * np.mean(scores)
                print(f"| {name} | {loss} | {width} | {mean:.1f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
