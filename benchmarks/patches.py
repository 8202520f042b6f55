"""Are two patches the same under shift, turn and gain? Networks on pairs beside correlation.

    python benchmarks/patches.py --data DIR --pairs 8000 --epochs 15

Patches of DIR/mnist_t10k.npz (digits) and DIR/olivetti.npz (faces): half of the pairs are a patch
and itself, turned by up to 15 degrees, shifted by up to 2 pixels and with another gain, the others
two different patches. Images to test on are not among those to train on. Printed is the false
accept rate at which 95% of the same are accepted, in percent: smaller is better.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import rotate, shift

from metriclearn.metrics import fpr_at_tpr
from metriclearn.verification import PairNetwork

SIDE = 28


def images(folder, name):
    with np.load(Path(folder) / f"{name}.npz") as file:
        X = file["X"].astype(np.float32)
    side = int(np.sqrt(X[0].size))
    X = X.reshape(-1, side, side) / X.max()
    if side == SIDE:
        return X
    rng = np.random.default_rng(0)
    corners = rng.integers(side - SIDE + 1, size=(len(X), 4, 2))
    return np.array(
        [x[i : i + SIDE, j : j + SIDE] for x, four in zip(X, corners, strict=True) for i, j in four]
    )


def moved(x, rng):
    x = rotate(x, rng.uniform(-15, 15), reshape=False, order=1, mode="nearest")
    return rng.uniform(0.6, 1.4) * shift(x, rng.uniform(-2, 2, 2), order=1, mode="nearest")


def pairs_of(X, n, seed):
    rng = np.random.default_rng(seed)
    same, first = rng.random(n) < 0.5, rng.integers(len(X), size=n)
    second = np.where(same, first, (first + 1 + rng.integers(len(X) - 1, size=n)) % len(X))
    pairs = np.stack([X[first], np.array([moved(X[k], rng) for k in second])], axis=1)
    return pairs - pairs.mean(axis=(2, 3), keepdims=True), same


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--pairs", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args()
    for name in ("mnist_t10k", "olivetti"):
        X = images(options.data, name)
        X = X[np.random.default_rng(1).permutation(len(X))]
        cut = 3 * len(X) // 4
        pairs, same = pairs_of(X[:cut], options.pairs, 2)
        unseen, truth = pairs_of(X[cut:], 4000, 3)
        rows = unseen.reshape(len(unseen), 2, -1)
        lengths = np.linalg.norm(rows, axis=2)
        cosine = (rows[:, 0] * rows[:, 1]).sum(axis=1) / np.maximum(lengths.prod(axis=1), 1e-12)
        distance = np.linalg.norm(rows[:, 0] - rows[:, 1], axis=1)
        print(f"{name}: pixels {100 * fpr_at_tpr(truth, distance):.1f}")
        print(f"{name}: normalized correlation {100 * fpr_at_tpr(truth, -cosine):.1f}", flush=True)
        for wiring in ("siamese", "pseudo_siamese", "two_channel", "central_surround"):
            begun = time.process_time()
            model = PairNetwork(
                wiring,
                "convnet",
                module_params={"channels": (16, 32)},
                max_epochs=options.epochs,
                random_state=0,
            ).fit(pairs, same)
            rate = 100 * fpr_at_tpr(truth, -model.score_pairs(unseen))
            print(
                f"{name}: {wiring} {rate:.1f}, {time.process_time() - begun:.0f} CPU s", flush=True
            )


if __name__ == "__main__":
    main()
