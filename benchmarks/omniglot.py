"""Characters of unseen alphabets: every loss on Omniglot, beside pytorch-metric-learning's.

    python benchmarks/omniglot.py --data DIR --losses all --library metriclearn pml \
        --epochs 8 --channels 16 32 64 64 --seeds 3 --threads 1 --results FILE

Trains a ConvNet on the images with ``dev_split == 0`` of DIR/omniglot_background.npz, for a fixed
number of epochs, and searches each image with ``dev_split == 1`` among all others of that split:
316 characters of alphabets never seen. pytorch-metric-learning's losses run in a plain torch loop
with the same network, first weights, batches, augmentation, optimizer and rates; their proxies
start as they start them (``pml``) or where ours do (``pml_same_start``).

Each finished fit is one line of JSON in FILE; what it holds already is not run again, so that a run
can be killed and continued. The tables are made from FILE (``--report`` makes nothing else).
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from pml_losses import pml_losses
from scipy.stats import rankdata

from metriclearn.deep import DeepEmbedder
from metriclearn.deep.augment import RandomAffine
from metriclearn.deep.losses import LOSSES
from metriclearn.deep.losses._proxy_base import ProxyLoss
from metriclearn.deep.samplers import ClassBalancedSampler
from metriclearn.deep.training._assembly import build_loss, build_network
from metriclearn.deep.training._recipe import cosine
from metriclearn.deep.training._rows import Rows
from metriclearn.deep.training._seeding import spawn_seeds
from metriclearn.metrics import map_at_r, r_precision, recall_at_k

N_COMPONENTS, BATCH_SIZE, LR = 128, 256, 1e-3
# Run by "all" besides every loss with its defaults.
VARIANTS = ["contrastive:form=absolute"]
MEASURES = {"recall_at_1": "Recall@1", "r_precision": "R-precision", "map_at_r": "MAP@R"}
# In the plain loop, steps that are timed before it is known whether the run is affordable.
TRIAL_STEPS = 3


def load(folder):
    with np.load(Path(folder) / "omniglot_background.npz") as file:
        X, y, unseen = file["X"], file["y"], file["dev_split"] == 1
    return X[~unseen], y[~unseen], X[unseen], y[unseen]


def name_and_params(loss):
    """``"contrastive:form=absolute"`` is a loss with an argument."""
    name, _, params = loss.partition(":")
    return name, dict(param.split("=") for param in params.split(",") if param)


def fit(X, y, loss, seed, options):
    """Our embedder; its epochs' mean losses and what embeds."""
    name, params = name_and_params(loss)
    embedder = DeepEmbedder(
        "convnet",
        name,
        loss_params=params,
        module_params={"channels": options.channels},
        n_components=N_COMPONENTS,
        batch_size=BATCH_SIZE,
        lr=LR,
        augment="affine",
        max_epochs=options.epochs,
        validation=None,
        random_state=seed,
        verbose=options.verbose,
    ).fit(X, y)
    return [row["train_loss"] for row in embedder.history_], embedder.transform


def fit_plainly(X, y, loss, seed, options, same_start=False):
    """Their loss in a plain loop; as ``fit``, or None and the seconds it would have taken."""
    X = X.reshape(len(X), -1)
    codes = np.unique(y, return_inverse=True)[1]
    _, of_batches, of_weights = spawn_seeds(seed)
    batches = np.random.default_rng(of_batches)
    torch.manual_seed(int(of_weights.generate_state(1)[0]))
    rows = Rows(X, (28, 28, 1), 1 / 255, "cpu", channels_last=True)
    network = build_network("convnet", {"channels": options.channels}, N_COMPONENTS, None, rows)
    sizes = {"n_classes": int(codes.max()) + 1, "embedding_dim": N_COMPONENTS, "n_samples": len(X)}
    # Ours draws its proxies here: after it the augmentation draws the same numbers.
    name, params = name_and_params(loss)
    ours = build_loss(name, params, None, None, sizes)
    with torch.random.fork_rng():
        criterion, miner = pml_losses(sizes["n_classes"], N_COMPONENTS)[loss][0]()
    if same_start:
        copy_proxies(ours, criterion)
    groups = [
        {"params": list(network.parameters()), "lr": LR},
        {"params": list(criterion.parameters()), "lr": 10 * LR},
    ]
    optimizer = torch.optim.Adam([group for group in groups if group["params"]])
    rates = [group["lr"] for group in optimizer.param_groups]
    augment, targets, history = RandomAffine(), torch.from_numpy(codes), []
    network.train()
    begun, steps = time.process_time(), 0
    for epoch in range(options.epochs):
        drawn = ClassBalancedSampler(BATCH_SIZE).epoch(codes, batches)
        total = 0.0
        for number, chosen in enumerate(drawn):
            done = (epoch + number / len(drawn)) / options.epochs
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * cosine(done)
            optimizer.zero_grad()
            embeddings, labels = network(augment(rows.take(chosen))), targets[chosen]
            mined = () if miner is None else (miner(embeddings, labels),)
            value = criterion(embeddings, labels, *mined)
            value.backward()
            optimizer.step()
            total += value.item() * len(chosen)
            steps += 1
            projected = (time.process_time() - begun) / steps * len(drawn) * options.epochs
            if steps == TRIAL_STEPS and projected > options.patience:
                return None, projected
        history.append(total / sum(len(chosen) for chosen in drawn))
    network.eval()

    def embed(X):
        found = Rows(X.reshape(len(X), -1), (28, 28, 1), 1 / 255, "cpu", channels_last=True)
        with torch.inference_mode():
            parts = [found.take(slice(at, at + 512)) for at in range(0, len(X), 512)]
            return torch.cat([network(part) for part in parts]).numpy()

    return history, embed


def copy_proxies(ours, theirs):
    """Theirs are columns, or rows; the centers of a class are next to each other."""
    by_class = ours.proxies.data.view(-1, ours.n_classes, N_COMPONENTS).transpose(0, 1)
    by_class = by_class.reshape(-1, N_COMPONENTS)
    (weight,) = theirs.parameters()
    weight.data.copy_(by_class if weight.shape == by_class.shape else by_class.T)


def scores(Z, y):
    return {"recall_at_1": recall_at_k(Z, y, k=1), "r_precision": r_precision(Z, y)} | {
        "map_at_r": map_at_r(Z, y)
    }


def run(library, loss, seed, data, options):
    """One fit and its scores."""
    X, y, X_test, y_test = data
    job = job_key(library, loss, seed, options)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        with torch.random.fork_rng():
            if library == "metriclearn":
                history, embed = fit(X, y, loss, seed, options)
            else:
                same_start = library == "pml_same_start"
                history, embed = fit_plainly(X, y, loss, seed, options, same_start)
    except FloatingPointError as error:
        return job | {"error": str(error)}
    if history is None:
        return job | {"projected_cpu": embed}
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return job | scores(embed(X_test), y_test) | {"wall": wall, "cpu": cpu, "train_loss": history}


def job_key(library, loss, seed, options):
    return {
        "library": library,
        "loss": loss,
        "seed": seed,
        "epochs": options.epochs,
        "channels": list(options.channels),
    }


def jobs(options, data):
    """Ours before theirs, seed by seed: what matters most comes first."""
    names = options.losses
    if names == ["all"]:
        # "infonce" is another name of one that is there.
        names = [name for name in LOSSES if name != "infonce"] + VARIANTS
    known = pml_losses(2, 2)
    for seed in range(options.seeds):
        for library in options.library:
            for name in names:
                has_proxies = issubclass(LOSSES[name_and_params(name)[0]], ProxyLoss)
                if library == "metriclearn" or (
                    name in known and (library == "pml" or has_proxies)
                ):
                    yield library, name, seed


def mean_and_deviation(values, factor=100, digits=1):
    mean = f"{factor * statistics.mean(values):.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {factor * statistics.stdev(values):.{digits}f}"


def print_table(header, rows):
    print(f"\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def report(results):
    """Print each library's scores by loss, best first, and the tournament."""
    done = {}
    for result in results:
        if "recall_at_1" in result:
            done.setdefault((result["library"], result["loss"]), []).append(result)

    def values(library, loss, name):
        return [result[name] for result in done.get((library, loss), [])]

    best_first = sorted(
        {loss for _, loss in done},
        key=lambda loss: -statistics.mean(values("metriclearn", loss, "recall_at_1") or [0]),
    )
    stopped = {r["loss"]: r["projected_cpu"] for r in results if "projected_cpu" in r}
    rows = []
    for place, loss in enumerate(best_first, 1):
        seeds = [len(values(library, loss, "cpu")) for library in ("metriclearn", "pml")]
        row = [str(place), loss, ", ".join(map(str, seeds))]
        for library in ("metriclearn", "pml"):
            for name in MEASURES:
                found = values(library, loss, name)
                row.append(mean_and_deviation(found) if found else "-")
            found = values(library, loss, "cpu")
            cell = f"{statistics.mean(found):.0f}" if found else "-"
            if library == "pml" and loss in stopped:
                cell = f"({stopped[loss]:,.0f})"
            row.append(cell)
        rows.append(row)
    header = ["", "loss", "seeds", *MEASURES.values(), "CPU s"]
    print_table([*header, *(f"PML {name}" for name in [*MEASURES.values(), "CPU s"])], rows)

    paired = []
    exact = {name: same for name, (_, same) in pml_losses(2, 2).items()}
    for loss in best_first:
        ours = {result["seed"]: result for result in done.get(("metriclearn", loss), [])}
        theirs = {result["seed"]: result for result in done.get(("pml", loss), [])}
        both = sorted(ours.keys() & theirs.keys())
        if not both:
            continue
        gaps = [ours[seed]["recall_at_1"] - theirs[seed]["recall_at_1"] for seed in both]
        apart = [
            abs(ours[seed]["train_loss"][0] / theirs[seed]["train_loss"][0] - 1) for seed in both
        ]
        speed = statistics.mean(theirs[s]["cpu"] for s in both) / statistics.mean(
            ours[s]["cpu"] for s in both
        )
        paired.append(
            [loss, exact[loss], mean_and_deviation(gaps), f"{max(apart):.0e}", f"{speed:.2f}"]
        )
    header = ("loss", "formula", "Recall@1, ours - PML", "first epoch's loss apart by")
    print_table([*header, "PML's CPU s / ours"], paired)

    three = ("metriclearn", "pml_same_start", "pml")
    rows = [
        [loss, *(mean_and_deviation(values(library, loss, "recall_at_1")) for library in three)]
        for loss in best_first
        if all((library, loss) in done for library in three)
    ]
    if rows:
        print_table(["Recall@1", "ours", "PML, proxies start as ours", "PML"], rows)

    tournament(done)


def tournament(done):
    """Print mean and deviation of each of our losses' ranks over measures and seeds.

    Seeds that some loss has not yet run are left out.
    """
    by_seed = {
        loss: {result["seed"]: result for result in found}
        for (library, loss), found in done.items()
        if library == "metriclearn"
    }
    seeds = set.intersection(*map(set, by_seed.values())) if by_seed else ()
    if not seeds:
        return
    losses = list(by_seed)
    ranks = np.array(
        [
            rankdata([-by_seed[loss][seed][name] for loss in losses])
            for seed in seeds
            for name in MEASURES
        ]
    )
    order = np.argsort(ranks.mean(axis=0), kind="stable")

    def summary(column):
        return column.mean(), column.std(), column.min(), column.max()

    print_table(
        ["loss", "mean rank", "deviation", "best", "worst"],
        [[losses[at], *(f"{value:.1f}" for value in summary(ranks[:, at]))] for at in order],
    )


def read(path, options):
    """Results of this budget that a file holds; a line that a kill cut short is left out."""
    if path is None or not path.exists():
        return []
    results = []
    for line in path.read_text().splitlines():
        try:
            results.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    budget = {"epochs": options.epochs, "channels": list(options.channels)}
    return [result for result in results if budget.items() <= result.items()]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder with omniglot_background.npz")
    parser.add_argument("--losses", nargs="+", default=["proxy_anchor"], help="names, or all")
    parser.add_argument("--library", nargs="+", default=["metriclearn"], help="metriclearn, pml")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--channels", nargs="+", type=int, default=[32, 64, 128, 128])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--patience", type=float, default=120, help="CPU s for a plain loop")
    parser.add_argument("--results", type=Path, help="file to write to and to continue from")
    parser.add_argument("--report", action="store_true", help="only print the tables")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    results = read(options.results, options)
    if not options.report:
        torch.set_num_threads(options.threads)
        data = load(options.data)
        found = [{key: result[key] for key in job_key("", "", 0, options)} for result in results]
        for library, loss, seed in jobs(options, data):
            if job_key(library, loss, seed, options) in found:
                continue
            result = run(library, loss, seed, data, options)
            results.append(result)
            print(json.dumps(result), flush=True)
            if options.results is not None:
                with options.results.open("a") as file:
                    file.write(json.dumps(result) + "\n")
        pixels = scores(data[2].reshape(len(data[2]), -1).astype(np.float32), data[3])
        print("\nPixels: " + ", ".join(f"{MEASURES[k]} {100 * v:.1f}" for k, v in pixels.items()))
    report(results)


if __name__ == "__main__":
    main()
