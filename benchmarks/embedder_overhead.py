"""What DeepEmbedder costs over a hand-written torch loop on the same batches.

    OMP_NUM_THREADS=1 python benchmarks/embedder_overhead.py
    OMP_NUM_THREADS=1 python benchmarks/embedder_overhead.py --images

CPU time of one process, the two turn by turn, medians of several rounds: an epoch
of training (the same network, loss, optimizer, batches and starting weights),
and ``transform`` against the bare forward pass, as many rows at a time.
"""

import argparse
import copy
import time

import numpy as np
import torch

from metriclearn.deep import DeepEmbedder
from metriclearn.deep.training._data import LabeledData
from metriclearn.deep.training._embedding_net import VALUES_AT_A_TIME
from metriclearn.deep.training._labels import Labels


def make_data(args):
    rng = np.random.RandomState(0)
    y = rng.randint(100, size=args.rows)
    if args.images:
        X = rng.randint(256, size=(args.rows, 28, 28)).astype(np.uint8)
    else:
        X = (rng.randn(100, args.features)[y] + rng.randn(args.rows, args.features)).astype("f4")
    return X, y


def hand_written_epoch(net, X, codes, batches):
    """One epoch as a user would write it, from the same state and in the same order."""
    network, criterion = copy.deepcopy(net.module_), copy.deepcopy(net.criterion_)
    parameters = [*network.parameters(), *criterion.parameters()]
    optimizer = type(net.optimizer_)(parameters, lr=1e-3)
    X, codes = torch.from_numpy(X), torch.from_numpy(codes)

    def run():
        network.train()
        for rows in batches:
            rows = torch.from_numpy(rows)
            batch = X[rows]
            if batch.dtype == torch.uint8:
                batch = batch[:, None].float() / 255
            optimizer.zero_grad()
            loss = criterion(network(batch), codes[rows])
            loss.backward()
            optimizer.step()

    return run


def cpu_seconds(run):
    start = time.process_time()
    run()
    return time.process_time() - start


def compare(name, ours, theirs, rounds):
    seconds = [(cpu_seconds(ours), cpu_seconds(theirs)) for _ in range(rounds + 2)][2:]
    best, median = np.min(seconds, axis=0), np.median(seconds, axis=0)
    cells = [f"{1e3 * median[0]:.1f}", f"{1e3 * median[1]:.1f}"]
    cells += [f"{ours / theirs:.3f}" for ours, theirs in (median, best)]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", action="store_true", help="28 x 28 bytes through a ConvNet")
    args = parser.parse_args()

    X, y = make_data(args)
    print("| what | ours, ms | by hand, ms | ratio | ratio of the fastest |")
    print("|---|---|---|---|---|")
    widths = [(16, 32)] if args.images else [(128,), (256,), (512, 512)]
    for width in widths:
        for loss in ("contrastive", "triplet"):
            module = {"channels": width} if args.images else {"hidden_units": width}
            embedder = DeepEmbedder(
                "convnet" if args.images else "mlp",
                loss,
                module_params=module,
                batch_size=args.batch_size,
                max_epochs=1,
                validation=None,
                random_state=0,
            ).fit(X, y)
            net = embedder.net_
            codes = np.searchsorted(embedder.classes_, y)
            rows = net.inputs_.rows(X.reshape(len(X), -1), net.device)
            labels = Labels(codes, codes, embedder.classes_)
            data = LabeledData(rows, labels, np.arange(len(X)), None)
            batches = net.recipe_.sampler.epoch(codes, np.random.default_rng(0))
            net.recipe_.sampler = FixedBatches(batches)
            compare(
                f"epoch, {loss}, {'x'.join(map(str, width))}",
                lambda: net.train(data, 1),  # noqa: B023
                hand_written_epoch(net, X, codes, batches),
                args.rounds,
            )
        net.module_.eval()
        images = torch.from_numpy(X)[:, None] if args.images else torch.from_numpy(X)

        def forward():
            with torch.inference_mode():
                step = max(args.batch_size, VALUES_AT_A_TIME // X[0].size)
                torch.cat(
                    [
                        net.module_(part.float() / 255 if args.images else part)  # noqa: B023
                        for part in images.split(step)  # noqa: B023
                    ]
                ).numpy()

        compare(
            f"transform, {'x'.join(map(str, width))}",
            lambda: embedder.transform(X),  # noqa: B023
            forward,
            5 * args.rounds,
        )


class FixedBatches:
    """The same batches in every epoch, so that both sides train on them."""

    def __init__(self, batches):
        self.batches = batches

    def epoch(self, codes, rng):  # noqa: D102
        return self.batches


if __name__ == "__main__":
    main()
