"""
What augmentation shows a network
=================================

A network is to tell things apart by what stays the same. Augmentation shows it what does not: the
same pictures as a batch sees them, again and again.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_images

from metriclearn.deep.augment import (
    ColorJitter,
    CorruptFeatures,
    Light,
    PerImage,
    RandomAffine,
    RandomCrop,
    RandomFlip,
    Standard,
)

photo = (
    torch.tensor(load_sample_images().images[0][:420:4, 100:520:4].copy()).permute(2, 0, 1) / 255
)
batch = photo.repeat(5, 1, 1, 1)

# %%
# ``augment="light"``, ``"standard"`` and ``"affine"`` of :class:`~metriclearn.deep.DeepEmbedder`
# are the ones to begin with, the others the parts they are made of. A flip is wrong where left and
# right matter, as they do for letters.
augmentations = [
    Light(),
    Standard(),
    RandomAffine(),
    RandomCrop(),
    RandomFlip(),
    ColorJitter(),
    PerImage(lambda image: 1 - image),
]
torch.manual_seed(0)
figure, axes = plt.subplots(len(augmentations), 6, figsize=(9, 10.5), layout="constrained")
for row, augmentation in zip(axes, augmentations, strict=True):
    shown = [photo, *augmentation(batch.clone())]
    for ax, image in zip(row, shown, strict=True):
        ax.imshow(image.permute(1, 2, 0).clip(0, 1).numpy())
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(type(augmentation).__name__, fontsize=9)
title = axes[0, 0].set_title("the photo")

# %%
# Rows of a table have no left and right.
# :class:`~metriclearn.deep.augment.CorruptFeatures` puts values of other rows in the place of some.
rows = torch.arange(8.0)[:, None] + torch.zeros(8, 12)
figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for ax, title, shown in zip(axes, ["rows", "as a batch sees them"], [rows, None], strict=True):
    image = CorruptFeatures(0.3)(rows.clone()) if shown is None else shown
    ax.imshow(image.numpy(), cmap="turbo")
    ax.set(title=title, xlabel="feature", ylabel="row", xticks=[], yticks=[])
