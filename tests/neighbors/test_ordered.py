"""Values in the order of distance equal those of a full search, whatever the rows."""

import numpy as np
import pytest

from metriclearn.neighbors._exact import ExactSearch
from metriclearn.neighbors._search import _ordered

# Rows, from easy to order to impossible in float32.
PROBLEMS = {
    "spread": lambda rng: rng.standard_normal((150, 7)),
    "float32": lambda rng: rng.standard_normal((150, 7)).astype(np.float32),
    "grid": lambda rng: rng.integers(3, size=(150, 3)).astype(np.float32),
    "copies": lambda rng: np.repeat(rng.standard_normal((10, 4)), 15, axis=0),
    "far": lambda rng: rng.standard_normal((150, 5)) + 1e7,
    "nearly equal": lambda rng: 1 + 1e-9 * rng.standard_normal((150, 5)),
    "one outlier": lambda rng: np.vstack([rng.standard_normal((149, 5)), np.full((1, 5), 1e8)]),
    "many features": lambda rng: rng.standard_normal((150, 250)),
    "one feature": lambda rng: rng.standard_normal((150, 1)),
    "one place": lambda rng: np.ones((150, 2)),
    "tiny": lambda rng: 1e-30 * rng.standard_normal((150, 3)),
}


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("spare", [0, 32])
def test_values_in_order_are_those_of_a_search(problem, metric, spare, monkeypatch):
    monkeypatch.setattr(_ordered, "_SPARE", spare)
    rng = np.random.default_rng(0)
    X = PROBLEMS[problem](rng)
    if metric == "cosine":
        X = X + (X == 0).all(axis=1, keepdims=True)
    search = ExactSearch(X, metric)
    Q = np.concatenate([X[::3], rng.standard_normal((5, X.shape[1])).astype(X.dtype)])
    own = np.concatenate([np.arange(0, len(X), 3), np.full(5, -1)])
    codes, graded = rng.integers(4, size=len(X)), rng.integers(3, size=(len(Q), len(X)))

    def label(queries, rows):
        return codes[queries % len(codes)][:, None] == codes[rows]

    def grade(queries, rows):
        return graded[queries[:, None], rows]

    for k in (1, 40, len(X) - 1):
        for values in (label, grade):
            for exclude in (None, own):
                _, rows = search.search(Q, k, exclude=exclude)
                got = search.values_in_order(Q, k, values, exclude=exclude)
                np.testing.assert_array_equal(got, values(np.arange(len(Q)), rows))


def test_distances_are_computed_for_few_pairs_only(monkeypatch):
    rng = np.random.default_rng(0)
    X, codes = rng.standard_normal((600, 20)).astype(np.float32), rng.integers(2, size=600)
    search, n_pairs = ExactSearch(X), []
    paired = search._ranker.paired
    monkeypatch.setattr(
        search._ranker, "paired", lambda *args: n_pairs.append(len(args[2])) or paired(*args)
    )
    search.values_in_order(X, 300, lambda q, rows: codes[q][:, None] == codes[rows])
    assert 0 < sum(n_pairs) < 0.05 * 600 * 300


def test_arguments_are_checked():
    search = ExactSearch(np.eye(3))
    with pytest.raises(ValueError, match="k=4 neighbors were asked for"):
        search.values_in_order(np.eye(3), 4, lambda q, rows: rows)
    with pytest.raises(ValueError, match=r"queries must be of shape \(n, 3\)"):
        search.values_in_order(np.eye(2), 1, lambda q, rows: rows)
