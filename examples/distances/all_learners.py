"""
Every linear learner on one problem
===================================

Two classes, one direction that matters and a much wider one that does not. Each learner
finds a matrix; its ellipse is the set of points at one distance from the center. Euclid's is a
circle, a good one is long where the data mean nothing.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from metriclearn import (
    GMML,
    ITML,
    LFDA,
    LMNN,
    LSML,
    MCML,
    MLKR,
    MMC,
    NCA,
    POLA,
    RCA,
    SCML,
    SDML,
    Covariance,
    MahalanobisLearner,
)
from metriclearn.plots import MetricEllipseDisplay

rng = np.random.RandomState(0)
y = np.repeat([0, 1], 30)
across = np.where(y == 0, -1.5, 1.5) + 0.8 * rng.randn(60)
along = 7 * rng.randn(60)
turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
X = np.column_stack([across, along]) @ turn

learners = [
    Covariance(),
    LMNN(random_state=0),
    NCA(random_state=0),
    MCML(),
    MLKR(random_state=0),
    LFDA(),
    RCA(),
    GMML(random_state=0),
    MMC(random_state=0),
    ITML(random_state=0),
    SDML(random_state=0),
    POLA(random_state=0),
    LSML(random_state=0),
    SCML(random_state=0),
    MahalanobisLearner(random_state=0),
]
plain = cross_val_score(KNeighborsClassifier(3), X, y).mean()
print(f"{plain:.0%} of the points are told by their neighbors without a learner")

# %%
# Below each, the share of points that their three neighbors tell, in five folds.
figure, axes = plt.subplots(3, 5, figsize=(13, 8), layout="constrained")
for ax, learner in zip(axes.flat, learners, strict=True):
    score = cross_val_score(make_pipeline(learner, KNeighborsClassifier(3)), X, y).mean()
    MetricEllipseDisplay.from_estimator(learner.fit(X, y), X, y, ax=ax)
    ax.set(title=f"{type(learner).__name__}: {score:.0%}", xlabel="", ylabel="")
    ax.set(xticks=[], yticks=[])
    if ax.get_legend():
        ax.get_legend().remove()
