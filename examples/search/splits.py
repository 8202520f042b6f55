"""
Which rows are tested
=====================

Will there be new classes? Then a test has to have some. Each row of a picture is a split, each
column a sample; samples are sorted by class, and the bar below shows where one ends.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from sklearn.model_selection import StratifiedKFold

from metriclearn.model_selection import (
    ClassDisjointKFold,
    ClassDisjointShuffleSplit,
    ClassShiftSplit,
    OpenSetSplit,
    frechet_distance,
)

rng = np.random.RandomState(0)
y = np.repeat(np.arange(10), 12)
X = rng.randn(10, 5)[y] + 0.5 * rng.randn(120, 5)
splitters = {
    "StratifiedKFold (scikit-learn): the classes of today": StratifiedKFold(4),
    "ClassDisjointKFold: classes that are new": ClassDisjointKFold(4),
    "ClassDisjointShuffleSplit: drawn at random": ClassDisjointShuffleSplit(4, random_state=0),
    "OpenSetSplit: settings are chosen on classes of their own": OpenSetSplit(n_folds=4),
    "ClassShiftSplit: from near classes to far ones": ClassShiftSplit(4),
}

# %%
# Light is training, middle validation, dark test.
figure, axes = plt.subplots(len(splitters), figsize=(9, 9), layout="constrained")
for ax, (title, splitter) in zip(axes, splitters.items(), strict=True):
    parts = []
    for split in splitter.split(X, y):
        part = np.full(len(y), np.nan)
        part[split[0]], part[split[-1]] = 0, 2
        if len(split) == 3:
            part[split[1]] = 1
        parts.append(part)
    image = np.vstack([*parts, np.where(y % 2, 3, 4)])
    ax.imshow(
        image,
        aspect="auto",
        interpolation="none",
        cmap=ListedColormap(["#bcd6f0", "#5b9bd5", "#1f3f66", "0.6", "0.85"]),
        vmin=0,
        vmax=4,
    )
    ax.set(xticks=[], yticks=range(4), yticklabels=range(1, 5))
    ax.set_title(title, loc="left", fontsize=10)

# %%
# How far the classes of a test are from those of training, as
# :class:`~metriclearn.model_selection.ClassShiftSplit` ranks them.
for number, (train, test) in enumerate(ClassShiftSplit(4).split(X, y), start=1):
    print(f"split {number}: {frechet_distance(X[train], X[test]):.2f}")
