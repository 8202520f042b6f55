"""Characters of unseen alphabets: a ConvNet embedder on Omniglot.

    python benchmarks/omniglot.py --data DIR

Trains on the images with ``dev_split == 0`` of DIR/omniglot_background.npz
(part of whose classes validate) and searches each image with ``dev_split == 1``
among all others of that split: 316 characters of alphabets never seen.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from metriclearn.deep import DeepEmbedder
from metriclearn.metrics import map_at_r, r_precision, recall_at_k


def load(folder):
    with np.load(Path(folder) / "omniglot_background.npz") as file:
        X, y, unseen = file["X"], file["y"], file["dev_split"] == 1
    return X[~unseen], y[~unseen], X[unseen], y[unseen]


def embedder(loss, seed, epochs, verbose=0):
    return DeepEmbedder(
        "convnet",
        loss,
        module_params={"channels": (32, 64, 128, 128)},
        n_components=128,
        batch_size=256,
        augment="affine",
        max_epochs=epochs,
        patience=None,
        random_state=seed,
        verbose=verbose,
    )


def row(name, Z, y, wall, cpu):
    scores = [recall_at_k(Z, y, k=1), r_precision(Z, y), map_at_r(Z, y)]
    scores = " | ".join(f"{100 * score:.1f}" for score in scores)
    print(f"| {name} | {scores} | {wall:.0f} | {cpu:.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="folder with omniglot_background.npz")
    parser.add_argument("--loss", nargs="+", default=["proxy_anchor"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    X, y, X_test, y_test = load(args.data)
    columns = ("loss", "Recall@1", "R-precision", "MAP@R", "seconds", "CPU seconds")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    row("pixels", X_test.reshape(len(X_test), -1).astype(np.float32), y_test, 0, 0)
    for loss in args.loss:
        for seed in range(args.seeds):
            wall, cpu = time.perf_counter(), time.process_time()
            learner = embedder(loss, seed, args.epochs, args.verbose).fit(X, y)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            row(f"{loss}, seed {seed}", learner.transform(X_test), y_test, wall, cpu)


if __name__ == "__main__":
    main()
