"""Nested dimensions against networks trained for each number of dimensions.

    nice python benchmarks/matryoshka.py --data DIR --epochs 4 --every 2 --seeds 3

Omniglot as in ensembles.py: characters of unseen alphabets are searched by the first d of 64
dimensions, normalized again. "nested" is one network with `Matryoshka` over 8, 16, 32 and 64
dimensions, "separate" a network for each d, "cut" the first d of the network of 64 dimensions.
"""

import argparse
import time

import numpy as np
from ensembles import COMMON, load

from metriclearn.deep import DeepEmbedder
from metriclearn.metrics import map_at_r, recall_at_k

DIMS = (8, 16, 32, 64)


def fitted(X, y, dims, nested, loss, epochs, seed):
    arguments = {**COMMON, "n_components": dims, "max_epochs": epochs, "random_state": seed}
    params = {"loss_params": {"loss": loss, "dims": DIMS}} if nested else {}
    begun = time.process_time()
    embedder = DeepEmbedder(**arguments, loss="matryoshka" if nested else loss, **params).fit(X, y)
    return embedder, time.process_time() - begun


def scores(Z, y, dims):
    Z = Z[:, :dims] / np.linalg.norm(Z[:, :dims], axis=1, keepdims=True)
    return 100 * recall_at_k(Z, y, k=1), 100 * map_at_r(Z, y)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--loss", default="multi_similarity")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    X, y, X_test, y_test = load(options.data, options.every)
    found = {name: [] for name in ("nested", "separate", "cut")}
    costs = {"nested": [], "separate": []}
    for seed in range(options.seeds):
        run = {name: [] for name in found}
        nested, cpu = fitted(X, y, DIMS[-1], True, options.loss, options.epochs, seed)
        costs["nested"].append(cpu)
        separate = [fitted(X, y, dims, False, options.loss, options.epochs, seed) for dims in DIMS]
        costs["separate"].append(sum(cpu for _, cpu in separate))
        wholes = {"nested": nested.transform(X_test), "cut": separate[-1][0].transform(X_test)}
        for dims, (embedder, _) in zip(DIMS, separate, strict=True):
            for name, Z in {**wholes, "separate": embedder.transform(X_test)}.items():
                run[name].append(scores(Z, y_test, dims))
        for name in found:
            found[name].append(run[name])
        print(f"seed {seed} done", flush=True)
    print("| | CPU s |", " | ".join(f"{dims} dimensions" for dims in DIMS), "|")
    print("|---" * (2 + len(DIMS)), "|", sep="")
    for name, runs in found.items():
        values = np.array(runs)
        spread = values.std(0, ddof=1) if len(runs) > 1 else None
        cells = [
            f"{m[0]:.1f}{'' if spread is None else f' ± {spread[k][0]:.1f}'}, {m[1]:.1f}"
            for k, m in enumerate(values.mean(0))
        ]
        cpu = f"{np.mean(costs[name]):.0f}" if name in costs else ""
        print(f"| {name} | {cpu} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
