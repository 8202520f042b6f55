"""
Which metric, by grid search
============================

The metric is one step of a pipeline, so that a grid search can swap it: none, a linear one, a deep
one, each with parameters of its own.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn import LMNN, NCA
from metriclearn.deep import DeepEmbedder

# %%
# The step called ``metric`` is one of the things that are searched.
X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)

pipeline = Pipeline(
    [("scale", StandardScaler()), ("metric", "passthrough"), ("knn", KNeighborsClassifier(3))]
)
grid = [
    {"metric": ["passthrough"]},
    {"metric": [LMNN(random_state=0)], "metric__n_neighbors": [3, 5]},
    {"metric": [NCA(random_state=0)], "metric__n_components": [2, 5]},
    {
        "metric": [DeepEmbedder(loss="triplet", max_epochs=10, random_state=0)],
        "metric__loss__margin": [0.1, 0.3],
        "metric__module__hidden_units": [(64,)],
    },
]
search = GridSearchCV(pipeline, grid, cv=3).fit(X_train, y_train)

# %%
# Each bar is a setting, tried on the same three folds.
names, scores = [], search.cv_results_["mean_test_score"]
for params in search.cv_results_["params"]:
    metric = params["metric"]
    name = "Euclid" if metric == "passthrough" else type(metric).__name__
    settings = {k.rpartition("__")[2]: v for k, v in params.items() if k != "metric"}
    names.append(", ".join([name, *(f"{k}={v}" for k, v in settings.items())]))

figure, ax = plt.subplots(layout="constrained")
bars = ax.barh(names, scores)
ax.bar_label(bars, fmt="{:.3f}", padding=3)
ax.invert_yaxis()
ax.set(xlim=(0.9, 1.01), xlabel="accuracy of 3 neighbors, mean of three folds")

# %%
# The test rows are looked at once, with the winner.
print(names[search.best_index_], round(search.score(X_test, y_test), 3))
