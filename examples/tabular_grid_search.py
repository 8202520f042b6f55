"""A table of numbers: which metric should stand in front of the nearest neighbors?

The metric is one step of a pipeline, so a grid search can swap it: no learned
metric, a linear one, a deep one, each with parameters of its own.
"""

from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn import LMNN, NCA
from metriclearn.deep import DeepEmbedder

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

print("cross-validated accuracy of 3-NN on wine")
for params, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    settings = {k.removeprefix("metric__"): v for k, v in params.items() if k != "metric"}
    metric = params["metric"]
    name = "Euclidean" if metric == "passthrough" else type(metric).__name__
    print(f"  {score:.3f}  {name:13s} {settings or ''}")
best = search.best_params_["metric"]
print(f"best: {'Euclidean' if best == 'passthrough' else type(best).__name__}")
print(f"on the test rows, looked at once: {search.score(X_test, y_test):.3f}")
