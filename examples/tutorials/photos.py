"""
Photos
======

Photos of things whose kinds were never seen in training: find the photos of the same thing. What
a network is good for, and where plain pixels are good enough.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from metriclearn.deep import DeepEmbedder
from metriclearn.images import ImagePaths
from metriclearn.metrics import retrieval_scores
from metriclearn.neighbors import RetrievalIndex
from metriclearn.plots import NeighborsGalleryDisplay, RecallCurveDisplay, TrainingDisplay

# sphinx_gallery_thumbnail_number = 2

# %%
# A folder of photos
# ------------------
# One sub-folder for each thing is all that is needed. Here they are drawn: sixty signs of three
# strokes, twenty photos of each, from other places, turned a little, in another light.


def draw_signs(n_signs=60, n_photos=20, side=24, seed=0):
    """Return gray pictures of shape (n, side, side) and the sign on each."""
    rng = np.random.RandomState(seed)
    strokes = rng.uniform(-1, 1, (n_signs, 3, 2, 2))  # two ends each
    sign = np.repeat(np.arange(n_signs), n_photos)
    n = len(sign)
    angle = rng.uniform(-0.3, 0.3, n)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1)
    place = rng.uniform(0.3, 0.7, (n, 1, 1, 2))
    ends = 0.28 * strokes[sign] @ turn.reshape(n, 1, 2, 2) + place
    axis = np.linspace(0, 1, side)
    pixel = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    start, way = ends[:, :, None, 0], np.diff(ends, axis=2)
    along = ((pixel - start) * way).sum(-1) / (way**2).sum(-1)
    nearest = start + along.clip(0, 1)[..., None] * way
    ink = np.exp(-(((pixel - nearest) ** 2).sum(-1).min(axis=1) / 0.035**2)).reshape(n, side, side)
    light = rng.uniform(-0.25, 0.25, (n, 2)) @ np.stack(np.meshgrid(axis, axis)).reshape(2, -1)
    dark = rng.uniform(0.25, 0.5, (n, 1, 1))
    gray = 0.5 + 2 * (light.reshape(ink.shape) - light.mean(axis=1)[:, None, None]) - dark * ink
    return (gray + 0.05 * rng.randn(*ink.shape)).clip(0, 1), sign


pictures, sign = draw_signs()
folder = tempfile.TemporaryDirectory()
for row, (picture, name) in enumerate(zip(pictures, sign, strict=True)):
    path = Path(folder.name, f"sign{name:02d}", f"{row:04d}.png")
    path.parent.mkdir(exist_ok=True)
    Image.fromarray((255 * picture).astype(np.uint8)).save(path)

photos = ImagePaths.from_folder(folder.name)
X, y = photos.load(mode="L"), photos.labels
print(X.shape, y[:3])

# %%
# Train on two thirds of the signs
# --------------------------------
# The others are never seen: what is asked is whether the metric serves new things. The same fit
# takes files: ``DeepEmbedder(..., image_size=64).fit(photos)``.
seen = y < "sign40"
embedder = DeepEmbedder("convnet", "ntxent", max_epochs=20, validation=None, random_state=0)
embedder.fit(X[seen], y[seen])
display = TrainingDisplay.from_estimator(embedder)

# %%
# Twenty new signs
# ----------------
# Pixels compare what is at the same place in the same light, and so find photos from the same
# place in the same light. The network has learned what stays: the strokes.
new, labels = X[~seen], y[~seen]
pixels, embedding = new.reshape(len(new), -1), embedder.transform(new)
for name, rows in [("pixels", pixels), ("ConvNet", embedding)]:
    scores = retrieval_scores(rows, labels, ["recall_at_1", "map_at_r"])
    print(f"{name:8s}", "   ".join(f"{measure} {value:.3f}" for measure, value in scores.items()))

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for ax, name, rows in zip(axes, ["Pixels", "ConvNet"], [pixels, embedding], strict=True):
    NeighborsGalleryDisplay.from_predictions(
        rows, labels, new, queries=4, n_neighbors=5, random_state=3, name=name, ax=ax
    )

# %%
figure, ax = plt.subplots()
for name, rows in [("Pixels", pixels), ("ConvNet", embedding)]:
    RecallCurveDisplay.from_predictions(rows, labels, name=name, ax=ax)

# %%
# Where pixels are good enough
# ----------------------------
# Scanned digits are centered and lit alike, so that the same pixels mean the same thing, and six
# digits are few to learn from. Nothing needs to be learned there: compare before you train, with
# ``metriclearn compare photos/``.
digits = load_digits()
known = digits.target < 6
small = DeepEmbedder("convnet", "ntxent", max_epochs=10, validation=None, random_state=0)
small.fit(digits.images[known], digits.target[known])
for name, rows in [
    ("pixels", digits.data[~known]),
    ("ConvNet", small.transform(digits.images[~known])),
]:
    scores = retrieval_scores(rows, digits.target[~known], ["recall_at_1"])
    print(f"{name:8s} recall_at_1 {scores['recall_at_1']:.3f}")

# %%
# Search
# ------
# New photos, of new things too, are filed and found; nothing is trained again.
index = RetrievalIndex(embedder)
index.add(X[1:], payload={"sign": y[1:], "file": [path.name for path in photos[1:].files]})
distances, ids = index.search(X[:1], k=3)
print(index.payload(ids)["file"], index.payload(ids)["sign"])
folder.cleanup()
