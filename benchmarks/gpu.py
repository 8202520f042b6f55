"""What training costs beyond the arithmetic: the whole fit, and a loss with very many proxies.

    python benchmarks/gpu.py                 # on an accelerator
    python benchmarks/gpu.py --small         # on any CPU, to see that it runs

The first table is the images per second of ``DeepEmbedder.fit`` over those of a bare loop (the
same network, loss, optimizer and precision on one batch that stays on the device). The second is
the time of Proxy-Anchor, forward and backward, over that of its three matrix products alone.
"""

import argparse
import platform
import statistics
import time

import numpy as np
import torch

from metriclearn.deep import DeepEmbedder
from metriclearn.deep.losses import ProxyAnchorLoss
from metriclearn.deep.training._recipe import PRECISIONS
from metriclearn.deep.training._seeding import check_device

LOSS, ROWS_PER_CLASS = "normalized_softmax", 4


def synchronize(device):
    """Wait until the device has done what it was given."""
    kind = torch.device(device).type
    if kind != "cpu":
        torch.get_device_module(kind).synchronize()


def seconds(step, device, repeats):
    """Median time of a step, after two that warm up."""
    times = []
    for _ in range(repeats + 2):
        synchronize(device)
        begun = time.perf_counter()
        step()
        synchronize(device)
        times.append(time.perf_counter() - begun)
    return statistics.median(times[2:])


def images(options):
    rng = np.random.default_rng(0)
    y = np.arange(options.images) // ROWS_PER_CLASS
    shape = (options.images, options.side, options.side, 3)
    return rng.integers(256, size=shape, dtype=np.uint8), y


def embedder(options):
    return DeepEmbedder(
        options.module,
        LOSS,
        batch_size=options.batch,
        max_epochs=options.epochs,
        validation=None,
        precision=options.precision,
        compile=options.compile,
        device=options.device,
        random_state=0,
    )


def bare_images_per_second(fitted, options):
    """Of a loop without data: the fitted net's own parts on one batch."""
    device, dtype = options.device, PRECISIONS[options.precision]
    network, criterion = fitted.net_.module_.train(), fitted.net_.criterion_
    if options.compile:
        network = torch.compile(network)
    optimizer = torch.optim.Adam([*network.parameters(), *criterion.parameters()], lr=1e-3)
    X = torch.rand(options.batch, 3, options.side, options.side, device=device)
    X = X.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(options.batch, device=device) // ROWS_PER_CLASS

    def step():
        optimizer.zero_grad()
        with torch.autocast(torch.device(device).type, dtype, enabled=dtype is not None):
            embeddings = network(X)
        criterion(embeddings.float(), labels).backward()
        optimizer.step()

    steps = max(3, options.images // options.batch)

    def epoch():
        for _ in range(steps):
            step()

    # As in the fit, the device is waited for once an epoch.
    return steps * options.batch / seconds(epoch, device, max(1, options.epochs - 1))


def whole_fit(options):
    X, y = images(options)
    fitted = embedder(options).fit(X, y)
    # The first epoch finds the fastest kernels; the bare loop warms up as well.
    epochs = fitted.history_[1:] or fitted.history_
    n_rows = sum(row["rows_per_second"] * row["dur"] for row in epochs)
    ours = n_rows / sum(row["dur"] for row in epochs)
    bare = bare_images_per_second(fitted, options)
    print("\n| network | batch | precision | fit images/s | bare images/s | fit / bare |")
    print("|---|---|---|---|---|---|")
    print(
        f"| {options.module}, {options.side}² | {options.batch} | {options.precision} | "
        f"{ours:,.1f} | {bare:,.1f} | {ours / bare:.3f} |",
        flush=True,
    )


def many_proxies(options):
    device, n, dim, batch = options.device, options.proxies, options.dim, options.proxy_batch
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, dim, generator=generator).to(device)
    x = torch.nn.functional.normalize(x).requires_grad_()
    labels = torch.randint(n, (batch,), generator=generator).to(device)
    loss = ProxyAnchorLoss(n_classes=n, embedding_dim=dim).to(device)
    rows, proxies = x.detach(), loss.proxies.detach()
    slope = torch.randn(batch, n, generator=generator).to(device)

    def step():
        x.grad = loss.proxies.grad = None
        loss(x, labels).backward()

    def products():
        return rows @ proxies.T, slope @ proxies, slope.T @ rows

    ours, bound = (seconds(work, device, options.repeats) for work in (step, products))
    flops = 3 * 2 * batch * n * dim
    print(
        "\n| proxies | batch | loss ms | its products ms | loss / products | TFLOP/s of products |"
    )
    print("|---|---|---|---|---|---|")
    print(
        f"| {n:,} × {dim} | {batch} | {1e3 * ours:.2f} | {1e3 * bound:.2f} | {ours / bound:.2f} | "
        f"{flops / bound / 1e12:.3f} |"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--module", default="resnet50")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--images", type=int, default=10_240)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--precision", default="bfloat16", choices=list(PRECISIONS))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--proxies", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--proxy-batch", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--small", action="store_true", help="sizes for a CPU")
    options = parser.parse_args()
    if options.small:
        parser.set_defaults(module="resnet18", side=32, batch=32, images=256, epochs=3)
        parser.set_defaults(precision="float32", proxies=2000, dim=64, proxy_batch=128)
        options = parser.parse_args()
    options.device = check_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    cuda = torch.device(options.device).type == "cuda"
    torch.backends.cudnn.benchmark = True
    name = torch.cuda.get_device_name(options.device) if cuda else platform.machine()
    print(f"{options.device} ({name}), torch {torch.__version__}")
    whole_fit(options)
    many_proxies(options)


if __name__ == "__main__":
    main()
