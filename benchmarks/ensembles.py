"""Ensembles on Omniglot, each beside its own loss at equal dimension and at equal cost.

    python benchmarks/ensembles.py --data DIR --epochs 4 --every 2 --seeds 3 --results FILE

Trains on the images with ``dev_split == 0`` of DIR/omniglot_background.npz, those of every
``--every``-th character, and searches each image with ``dev_split == 1`` among all others of that
split: 316 characters of alphabets never seen. Each system is trained for the same epochs as its
loss by itself, in embeddings of 120 dimensions, and the loss by itself once more for as many epochs
as take the system's CPU time.

Each finished fit is one line of JSON in FILE; what it holds already is not run again, so that a run
can be killed and continued. ``--report`` makes the table from FILE and nothing else.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.pipeline import FeatureUnion

from metriclearn.deep import DeepEmbedder
from metriclearn.metrics import map_at_r, recall_at_k

MEASURES = {"recall_at_1": "Recall@1", "map_at_r": "MAP@R"}
COMMON = {
    "module": "convnet",
    "module_params": {"channels": (16, 32, 64, 64)},
    "n_components": 120,
    "batch_size": 256,
    "augment": "affine",
    "validation": None,
}
PAIRS = "multi_similarity"


def around(wrapper, loss=PAIRS, **params):
    return {"loss": wrapper, "loss_params": {"loss": loss, **params}}


#: System: its own loss, and what it changes of the embedder's arguments.
SYSTEMS = {
    "four networks of 30 (B1)": (PAIRS, {"loss": PAIRS, "networks": 4, "n_components": 30}),
    "grouped, 4 of 30 (B1)": (PAIRS, around("grouped", groups=4)),
    "boosted, 20 + 40 + 60 (BIER)": ("binomial_deviance", {"loss": "boosted"}),
    "boosted, activations (BIER)": (
        "binomial_deviance",
        {"loss": "boosted", "loss_params": {"activation": 1.0}},
    ),
    "boosted, adversaries (A-BIER)": (
        "binomial_deviance",
        {"loss": "boosted", "loss_params": {"diversity": 1e-3}},
    ),
    "divide and conquer, 4": (PAIRS, around("divide_and_conquer", every=1, conquer_from=2)),
    "divide and conquer, 1-2-4": (
        PAIRS,
        around("divide_and_conquer", every=1, conquer_from=3, hierarchical=True),
    ),
    "cascade on 3 levels (HDC)": (PAIRS, {"module": "multi_level", **around("cascaded")}),
    "ranked list on 3 levels": (
        "ranked_list",
        {"module": "multi_level", **around("grouped", "ranked_list", groups=3)},
    ),
    "attention, 4 masks (ABE)": (
        PAIRS,
        {"module": "attention", **around("grouped", groups=4, divergence=0.25)},
    ),
    "self-distillation (S2SD)": (PAIRS, around("self_distillation", dims=(240,))),
    "high orders of maps (HORDE)": (PAIRS, around("high_order", n_orders=3, dim=256)),
    "shared characteristics (MIC)": (PAIRS, around("shared_characteristics", every=1)),
    "diverse aggregation (DiVA)": ("margin", around("diverse_aggregation", "margin")),
}


def load(folder, every):
    with np.load(Path(folder) / "omniglot_background.npz") as file:
        X, y, unseen = file["X"], file["y"], file["dev_split"] == 1
    kept = ~unseen & (np.unique(y, return_inverse=True)[1] % every == 0)
    return X[kept], y[kept], X[unseen], y[unseen]


def embedder(arguments, seed, epochs):
    arguments = {**COMMON, **arguments}
    networks = arguments.pop("networks", 1)
    parts = [
        (f"network {i}", DeepEmbedder(**arguments, max_epochs=epochs, random_state=seed + 100 * i))
        for i in range(networks)
    ]
    return parts[0][1] if networks == 1 else FeatureUnion(parts)


def fitted(name, arguments, seed, epochs, data):
    """One fit, its scores and its cost; a line of the results."""
    X, y, X_test, y_test = data
    learner = embedder(arguments, seed, epochs)
    begun = time.process_time()
    learner.fit(X, y)
    cpu = time.process_time() - begun
    Z = np.asarray(learner.transform(X_test))
    scores = {"recall_at_1": recall_at_k(Z, y_test, k=1), "map_at_r": map_at_r(Z, y_test)}
    return {"name": name, "seed": seed, "epochs": epochs, "cpu": cpu, **scores}


def of_cost(epochs, ratio):
    """Epochs that cost as much: at a ratio below 1.25 as many, else rounded, shared among systems.

    Rounded up where it is between: the control is not to be the cheaper one.
    """
    steps = [1, 1.5, 2, 3, 4, 6, 8, 12]
    return int(epochs * next((step for step in steps if ratio < 1.25 * step), steps[-1]))


def run(options):
    data = load(options.data, options.every)
    path = Path(options.results)
    lines = path.read_text().splitlines() if path.exists() else []
    embedder({"loss": PAIRS}, 0, 1).fit(data[0][:500], data[1][:500])  # what the first fit loads
    done = {(r["name"], r["seed"], r["epochs"]): r for r in map(json.loads, lines)}

    def once(name, arguments, seed, epochs):
        key = name, seed, epochs
        if key not in done:
            done[key] = fitted(name, arguments, seed, epochs, data)
            with path.open("a") as file:
                file.write(json.dumps(done[key]) + "\n")
            print(done[key], flush=True)
        return done[key]

    for seed in range(options.seeds):
        for name, (loss, arguments) in SYSTEMS.items():
            base = once(loss, {"loss": loss}, seed, options.epochs)
            system = once(name, arguments, seed, options.epochs)
            first = done.get((name, 0, options.epochs), system), done[loss, 0, options.epochs]
            ratio = first[0]["cpu"] / first[1]["cpu"] if seed else system["cpu"] / base["cpu"]
            once(loss, {"loss": loss}, seed, of_cost(options.epochs, ratio))
    return done


def cell(results, measure):
    values = [100 * r[measure] for r in results]
    if len(values) < 2:
        return f"{values[0]:.1f}" if values else "-"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def report(done, epochs):
    """Print each system beside its loss at equal dimension and at equal cost."""
    columns = [
        f"{measure}, {who}"
        for measure in MEASURES.values()
        for who in ("system", "loss alone", "at equal cost")
    ]
    print("| " + " | ".join(["system", "loss", *columns, "cost", "epochs of equal cost"]) + " |")
    print("|---" * (len(columns) + 4) + "|")
    for name, (loss, _) in SYSTEMS.items():
        seeds = [seed for n, seed, e in done if n == name and e == epochs]
        if not seeds:
            continue
        system = [done[name, seed, epochs] for seed in seeds]
        alone = [done[loss, seed, epochs] for seed in seeds]
        ratio = system[0]["cpu"] / alone[0]["cpu"]
        longer = of_cost(epochs, ratio)
        equal = [done[loss, s, longer] for s in seeds if (loss, s, longer) in done]
        ratio = sum(r["cpu"] for r in system) / sum(r["cpu"] for r in alone)
        cells = [cell(rows, measure) for measure in MEASURES for rows in (system, alone, equal)]
        print("| " + " | ".join([name, loss, *cells, f"{ratio:.1f}", str(longer)]) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", default="ensembles_results.jsonl")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.report:
        lines = Path(options.results).read_text().splitlines()
        done = {(r["name"], r["seed"], r["epochs"]): r for r in map(json.loads, lines)}
    else:
        done = run(options)
    report(done, options.epochs)


if __name__ == "__main__":
    main()
