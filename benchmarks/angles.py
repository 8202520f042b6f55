"""By how much is it turned? Labels that go in a circle, on COIL-20 and on turned digits.

    nice python benchmarks/angles.py --data DIR --epochs 20 --seeds 3

The angle of an image is taken to be that of the nearest image known; the error goes around the
circle, chance has a median of 90 degrees. COIL-20: 20 objects on a turntable, every 5 degrees;
every second view is known and the others are asked for ("views"), or ten objects are known and the
other ten asked for ("objects"). Digits: those of mnist_t10k that no half turn maps to themselves,
each turned by a random angle; half are known. Noise is half as strong as the brightest pixel.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import rotate

from metriclearn.deep import DeepEmbedder
from metriclearn.metrics import median_label_error

LOSSES = ("label_distance_triplet", "log_ratio")


def coil(folder):
    """Yield the images with half of the views known, and with half of the objects."""
    with np.load(Path(folder) / "coil20.npz") as file:
        X, objects, degrees = (file[name] for name in ("X", "y", "angle_deg"))
    X = X / X.max()
    names = np.unique(objects)
    yield "COIL-20, views", X, degrees, degrees % 10 == 0
    yield "COIL-20, objects", X, degrees, np.isin(objects, names[::2])


def digits(folder, rng):
    """Yield turned digits, half of them known."""
    with np.load(Path(folder) / "mnist_t10k.npz") as file:
        X, y = file["X"].reshape(-1, 28, 28), file["y"]
    X = X[np.isin(y, [2, 3, 4, 5, 7])][:3000] / 255
    degrees = rng.uniform(0, 360, len(X))
    turned = [rotate(x, d, reshape=False, order=1) for x, d in zip(X, degrees, strict=True)]
    yield "digits", np.array(turned), degrees, np.arange(len(X)) < len(X) // 2


def error(Z, degrees, known):
    """Return the median error, and the share of those of 10 degrees at most."""
    errors = median_label_error(
        Z[~known],
        degrees[~known],
        gallery=Z[known],
        gallery_labels=degrees[known],
        period=360,
        average=False,
    )
    return f"{np.median(errors):.1f} ({np.mean(errors <= 10):.0%})"


def fitted(X, degrees, known, loss, epochs, seed):
    """Return embeddings of all images by a network trained on those known, and CPU seconds."""
    circle = np.column_stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    embedder = DeepEmbedder(
        "convnet",
        loss,
        module_params={"channels": (16, 32, 64)},
        head_params={"pooling": "flatten"},
        n_components=16,
        batch_size=128,
        max_epochs=epochs,
        random_state=seed,
    )
    begun = time.process_time()
    embedder.fit(X[known], circle[known])
    return embedder.transform(X), time.process_time() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print("| images | noise | pixels |", " | ".join(f"`{loss}`" for loss in LOSSES), "| CPU s |")
    print("|---" * (4 + len(LOSSES)), "|", sep="")
    rng = np.random.default_rng(0)
    for name, X, degrees, known in [*coil(options.data), *digits(options.data, rng)]:
        for noise in (0, 0.5):
            noisy = (X + noise * rng.standard_normal(X.shape)).astype(np.float32)
            cells = [error(noisy.reshape(len(noisy), -1), degrees, known)]
            costs = []
            for loss in LOSSES:
                runs = [
                    fitted(noisy, degrees, known, loss, options.epochs, seed)
                    for seed in range(options.seeds)
                ]
                cells.append(", ".join(error(Z, degrees, known) for Z, _ in runs))
                costs += [cpu for _, cpu in runs]
            print(
                f"| {name} | {noise} |", " | ".join(cells), f"| {np.mean(costs):.0f} |", flush=True
            )


if __name__ == "__main__":
    main()
