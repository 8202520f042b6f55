"""The command with cheap learners, and files to give it."""

import numpy as np

from helpers.optional import Image
from metriclearn import cli

CHEAP = ["--learners", "euclidean,mahalanobis", "--n-jobs", "1", "--folds", "2"]


def compare(*arguments):
    return cli.main(["compare", *map(str, arguments), *CHEAP])


def vectors_of(file):
    """Read the vectors that ``embed`` wrote to a Parquet file."""
    import pandas as pd

    return np.stack(pd.read_parquet(file)["vector"].to_numpy())


def write_images(folder, *, n_classes=2, sizes=((8, 6),), mode="L", n_rows=4):
    rng = np.random.RandomState(0)
    for label in range(n_classes):
        (folder / f"class {label}").mkdir(parents=True)
        for i in range(n_rows):
            width, height = sizes[i % len(sizes)]
            shape = (height, width) if mode == "L" else (height, width, 3)
            pixels = (rng.rand(*shape) * 120 + 120 * label).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"class {label}" / f"{i}.png")
    return folder


def write_photos(folder, counts=None, size=(60, 40), seed=0):
    """Write photos of plain color with noise; of each class so many."""
    rng = np.random.default_rng(seed)
    for c, (name, count) in enumerate((counts or dict.fromkeys("abcdef", 6)).items()):
        (folder / name).mkdir(parents=True)
        color = np.random.default_rng(c).integers(60, 200, 3)
        for i in range(count):
            noise = rng.normal(0, 20, (size[1], size[0], 3))
            pixels = np.clip(color + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder
