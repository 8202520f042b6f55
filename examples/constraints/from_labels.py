"""
Pairs, triplets, quadruplets, chunks
====================================

The four kinds of answer that learners take in place of classes, drawn here from labels.
"""

import matplotlib.pyplot as plt
import numpy as np

from metriclearn.constraints import (
    chunks_from_labels,
    pairs_from_labels,
    quadruplets_from_labels,
    triplets_from_labels,
)

rng = np.random.RandomState(0)
y = np.repeat([0, 1, 2], 15)
centers = np.array([[0, 0], [3, 0.5], [1.5, 2.5]])
X = centers[y] + 0.6 * rng.randn(45, 2)
draws = {
    "Pairs: the same (blue), or not": pairs_from_labels(y, n_pairs=12, random_state=1),
    "Triplets: nearer to this than to that": triplets_from_labels(y, n_triplets=8, random_state=1),
    "Quadruplets: these two nearer than those": quadruplets_from_labels(
        y, n_quadruplets=6, random_state=1
    ),
    "Chunks: groups that belong together": chunks_from_labels(
        y, n_chunks=6, chunk_size=4, random_state=1
    ),
}
for kind, drawn in draws.items():
    print(f"{kind:42s} {drawn}")

# %%
# An unbroken line joins rows that are to be near, a dashed one rows that are to be far. The same
# constraints go into a learner as ``LMNN().fit(X, constraints=triplets)``.


def join(ax, rows, near):
    """Draw a line between two rows."""
    look = {"color": "C0"} if near else {"color": "C1", "linestyle": "--"}
    ax.plot(*X[list(rows)].T, zorder=0, **look)


figure, axes = plt.subplots(2, 2, figsize=(10, 8), layout="constrained")
for ax, (kind, drawn) in zip(axes.flat, draws.items(), strict=True):
    for label, marker in enumerate("o^s"):
        ax.scatter(*X[y == label].T, marker=marker, color="0.35", s=25)
    if kind.startswith("Pairs"):
        for pair, similar in zip(drawn.indices, drawn.similar, strict=True):
            join(ax, pair, similar)
    elif kind.startswith("Chunks"):
        for chunk in np.unique(drawn.labels[drawn.labels >= 0]):
            members = np.flatnonzero(drawn.labels == chunk)
            for other in members[1:]:
                join(ax, (members[0], other), True)
    else:
        for rows in drawn.indices:
            join(ax, rows[:2], True)
            join(ax, (rows[0], rows[2]) if len(rows) == 3 else rows[2:], False)
    ax.set(title=kind, xticks=[], yticks=[])
