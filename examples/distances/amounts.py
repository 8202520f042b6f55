"""
A metric for a number
=====================

Labels are amounts, not classes. :class:`~metriclearn.MLKR` learns the metric under which rows that
are near have similar amounts.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsRegressor

from metriclearn import MLKR
from metriclearn.plots import FeatureImportanceDisplay

# %%
# Friedman's problem: ten columns, of which the first five make the amount and the others nothing.
# The nearest rows by Euclid agree in the worthless columns as much as in the others.
X, y = make_friedman1(n_samples=600, noise=0.5, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
mlkr = MLKR(n_components=4, random_state=0).fit(X_train, y_train)
spaces = {
    "Euclid": (X_train, X_test),
    "MLKR": (mlkr.transform(X_train), mlkr.transform(X_test)),
}

# %%
# Each new row is given the mean amount of its five nearest ones.
figure, axes = plt.subplots(1, 2, figsize=(10, 4.8), sharey=True, layout="constrained")
for ax, (name, (train, test)) in zip(axes, spaces.items(), strict=True):
    neighbors = KNeighborsRegressor(5, weights="distance").fit(train, y_train)
    ax.scatter(y_test, neighbors.predict(test), s=14)
    ax.plot([0, 28], [0, 28], color="gray", linestyle="--")
    ax.set(title=f"{name}: R² = {neighbors.score(test, y_test):.2f}", aspect="equal")
    ax.set(xlabel="true amount")
axes[0].set_ylabel("amount by the neighbors")

# %%
# The metric has found which columns mean something.
names = [f"column {i}" for i in range(1, 11)]
display = FeatureImportanceDisplay.from_estimator(mlkr, X_train, feature_names=names)
