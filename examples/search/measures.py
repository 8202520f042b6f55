"""
What each measure sees
======================

The same embedding, its classes ever more mixed. Measures differ in how soon they notice: some ask
for one right neighbor, others for all of them, and some look at the shape only.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans

from metriclearn.metrics import (
    alignment,
    bootstrap_interval,
    cluster_scores,
    intra_inter_ratio,
    map_at_k,
    map_at_r,
    mrr,
    ndcg_at_k,
    pairwise_f1,
    precision_at_k,
    r_precision,
    recall_at_k,
    retrieve,
    share_found_at_k,
    uniformity,
)
from metriclearn.plots import RecallGrowthDisplay, SimilarityMatrixDisplay

rng = np.random.RandomState(0)
y = np.repeat(np.arange(20), 15)
centers, noise = rng.randn(20, 16)[y], rng.randn(300, 16)
levels = np.linspace(0.2, 3, 8)


def embed(level):
    """Return rows of length one around their class center."""
    rows = centers + level * noise
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# %%
# Measures of retrieval. MAP@R falls first, since it wants all of a class before anything else; of
# fourteen relevant rows ten neighbors can be no more than ten, hence the share found.
measures = {
    "Recall@1": recall_at_k,
    "MRR": mrr,
    "precision@5": lambda rows, y: precision_at_k(rows, y, k=5),
    "nDCG@10": ndcg_at_k,
    "MAP@10": map_at_k,
    "share found@10": share_found_at_k,
    "R-precision": r_precision,
    "MAP@R": map_at_r,
}
figure, ax = plt.subplots(layout="constrained")
for (name, measure), marker in zip(measures.items(), "os^Dv<>p", strict=True):
    values = [measure(embed(level), y) for level in levels]
    ax.plot(levels, values, marker=marker, label=name)
ax.set(xlabel="spread inside a class", ylim=(0, 1.02))
legend = ax.legend(fontsize=8)

# %%
# Measures of clusters and of shape. Alignment is the distance inside classes, uniformity how evenly
# the sphere is filled; a good embedding has both low.
shapes = {
    "NMI of k-means": lambda rows: cluster_scores(rows, y, n_init=1, random_state=0)["nmi"],
    "pairwise F1 of k-means": lambda rows: pairwise_f1(
        y, KMeans(20, n_init=1, random_state=0).fit_predict(rows)
    ),
    "distance inside / between": lambda rows: intra_inter_ratio(rows, y),
    "alignment": lambda rows: alignment(rows, y),
    "uniformity": uniformity,
}
figure, ax = plt.subplots(layout="constrained")
for (name, measure), marker in zip(shapes.items(), "os^Dv", strict=True):
    ax.plot(levels, [measure(embed(level)) for level in levels], marker=marker, label=name)
ax.set(xlabel="spread inside a class")
legend = ax.legend(fontsize=8)

# %%
# One search serves all measures, query by query. Rows of one class are not independent, so whole
# classes are drawn for the interval.
each = retrieve(embed(1.0), y).map_at_r(average=False)
low, high = bootstrap_interval(each, groups=y, random_state=0)
print(f"MAP@R {each.mean():.3f}, 95% from {low:.3f} to {high:.3f}")

# %%
# Recall@1 falls as classes are added, since there are more rows to take for the right one. For
# fewer classes than were tested the expectation is exact.
figure, ax = plt.subplots(layout="constrained")
for level in [0.6, 1.0, 1.5]:
    RecallGrowthDisplay.from_predictions(embed(level), y, name=f"spread {level}", ax=ax)

# %%
# And all pairs at once, rows in the order of their classes.
figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
for ax, level in zip(axes, [0.4, 1.5], strict=True):
    SimilarityMatrixDisplay.from_predictions(embed(level), y, name=f"spread {level}", ax=ax)
