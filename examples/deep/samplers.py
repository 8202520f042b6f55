"""
How a sampler fills batches
===========================

A loss sees what is in the batch. Twenty classes on a line, of two to sixteen rows; each column is a
batch, each cell a row of it, and its color the class.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from metriclearn.deep.samplers import (
    ClassBalancedSampler,
    FixedTripletSampler,
    HardNegativeSampler,
    HierarchicalSampler,
    NearLabelSampler,
    RandomSampler,
    UnbalancedSampler,
)

rng = np.random.default_rng(0)
classes = np.repeat(np.arange(20), rng.integers(4, 17, size=20))
where = torch.tensor(classes[:, None] + 0.2 * rng.standard_normal((len(classes), 1))).float()

# %%
# "Class balanced" has equally many rows of a few classes, "unbalanced" every row once with a
# companion of its class, "random" knows no classes. "Hierarchical" and "hard negatives" look at
# the embedding and bring together what is near in it: neighbors on the line have similar colors.
# "Near labels" takes the class for an amount, "fixed triplets" draws once for all epochs.
samplers = [
    ClassBalancedSampler(16, samples_per_class=4),
    UnbalancedSampler(16, samples_per_class=2),
    RandomSampler(16),
    HierarchicalSampler(16, samples_per_class=4),
    HardNegativeSampler(16, n_candidates=3),
    NearLabelSampler(16, n_nearest=2),
    FixedTripletSampler(15, n_triplets=80),
]
figure, axes = plt.subplots(2, 4, figsize=(13, 6), layout="constrained")
for ax in axes.flat:
    ax.set_axis_off()
for ax, sampler in zip(axes.flat, samplers, strict=False):
    if sampler.due:
        sampler.refresh(where, classes)
    batches = sampler.epoch(classes, rng)[:12]
    image = np.full((16, len(batches)), np.nan)
    for column, batch in enumerate(batches):
        image[: len(batch), column] = classes[batch]
    ax.pcolormesh(image[::-1], cmap="turbo", vmin=0, vmax=19, edgecolors="white", linewidth=0.5)
    ax.set(title=type(sampler).__name__)
