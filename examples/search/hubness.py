"""
Hubs: rows that are everyone's neighbor
=======================================

In many dimensions some rows are among the nearest of very many others and most of hardly any, which
spoils search: the same few answers come whatever the question. A metric that keeps the directions
that matter takes the hubs away.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import pairwise_distances

from metriclearn import LFDA
from metriclearn.datasets import make_planted_metric
from metriclearn.metrics import effective_rank, hubness, k_occurrence, mutual_proximity

# %%
# Gaussian rows have no hubs in three dimensions and many in three hundred. Of a thousand rows each
# is found ten times on average.
rng = np.random.RandomState(0)
figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
for ax, dimensions in zip(axes, [3, 30, 300], strict=True):
    rows = rng.randn(1000, dimensions)
    ax.hist(k_occurrence(rows, k=10), bins=np.arange(0, 102, 3))
    ax.set(title=f"{dimensions} dimensions: hubness {hubness(rows, k=10):.1f}", yscale="log")
    ax.set(xlabel="how often a row is found")
label = axes[0].set_ylabel("rows")

# %%
# Where nothing is to be learned, distances may be rescaled: two rows are near if each is near to
# the other, compared with its distances to all others. Hubs are near to many, and move away.
distances = pairwise_distances(rows)
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, layout="constrained")
tables = {"Euclid": distances, "mutual proximity": mutual_proximity(distances)}
for ax, (name, table) in zip(axes, tables.items(), strict=True):
    counts = k_occurrence(table, k=10, metric="precomputed")
    ax.hist(counts, bins=np.arange(0, 102, 3))
    ax.set(yscale="log", title=f"{name}: hubness {hubness(table, metric='precomputed'):.1f}")
    ax.set(xlabel="how often a row is found")
label = axes[0].set_ylabel("rows")

# %%
# Classes that differ in four directions of two hundred. The learned metric searches those.
X, y, _ = make_planted_metric(2000, 200, 4, n_classes=10, noise=0.5, random_state=0)
metric = LFDA(n_components=4).fit(X[:1000], y[:1000])
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, layout="constrained")
for ax, (name, rows) in zip(
    axes, {"Euclid": X[1000:], "LFDA": metric.transform(X[1000:])}.items(), strict=True
):
    counts = k_occurrence(rows, k=10)
    ax.hist(counts, bins=np.arange(0, 102, 3))
    ax.set(yscale="log", title=f"{name}: hubness {hubness(rows, k=10):.1f}")
    ax.set(xlabel="how often a row is found")
    print(
        f"{name}: {np.mean(counts == 0):.0%} of the rows are never found, "
        f"the embedding fills {effective_rank(rows):.0f} dimensions"
    )
label = axes[0].set_ylabel("rows")
