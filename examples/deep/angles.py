"""
Labels that go in a circle
==========================

By how much is a digit turned? Labels are angles, so that 359 degrees are next to 1: the network
learns from their cosines and sines, and :func:`~metriclearn.metrics.median_label_error` measures
around the circle.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import rotate
from sklearn.datasets import load_digits

from metriclearn.deep import DeepEmbedder
from metriclearn.metrics import median_label_error

# %%
# Five kinds of digits that no half turn maps to themselves, each turned by a random angle.
digits = load_digits()
images = digits.images[np.isin(digits.target, [2, 3, 4, 5, 7])]
rng = np.random.RandomState(0)
degrees = rng.uniform(0, 360, len(images))
turned = [
    rotate(image, angle, reshape=False, order=1)
    for image, angle in zip(images, degrees, strict=True)
]
clean = np.reshape(turned, (len(images), -1))
noise = rng.randn(*clean.shape)
circle = np.column_stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
train = np.arange(len(images)) < len(images) // 2

# %%
# The angle of a new digit is taken to be that of the nearest digit known. On clean images the
# pixels are as good as it gets, and nothing need be learned. Under noise half as strong as the
# brightest pixel they find little: chance has a median error of 90 degrees.
figure, axes = plt.subplots(2, 2, figsize=(9, 8), sharex=True, sharey="row", layout="constrained")
for row, (title, X) in zip(axes, {"clean": clean, "noisy": clean + 8 * noise}.items(), strict=True):
    embedder = DeepEmbedder(
        loss="label_distance_triplet",
        n_components=8,
        max_epochs=20,
        batch_size=64,
        random_state=0,
    ).fit(X[train], circle[train])
    spaces = {"pixels": X, "network": embedder.transform(X)}
    for ax, (name, Z) in zip(row, spaces.items(), strict=True):
        errors = median_label_error(
            Z[~train],
            degrees[~train],
            gallery=Z[train],
            gallery_labels=degrees[train],
            period=360,
            average=False,
        )
        ax.hist(errors, bins=np.arange(0, 181, 10))
        ax.set(
            title=f"{title}, {name}: median {np.median(errors):.0f}°, 30° or less "
            f"{np.mean(errors <= 30):.0%}"
        )
for ax in axes[1]:
    ax.set(xlabel="error of the angle in degrees", xticks=np.arange(0, 181, 45))
for ax in axes[:, 0]:
    ax.set(ylabel="digits")
