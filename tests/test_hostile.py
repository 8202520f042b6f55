"""Hostile input: one ValueError or TypeError, or a finite result; nothing else, nothing mutated."""

import warnings

import numpy as np
import pytest
from helpers.estimators import KERNEL, LINEAR
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

from metriclearn import MMC, Covariance
from metriclearn.constraints import (
    Pairs,
    chunks_from_labels,
    pairs_from_labels,
    quadruplets_from_labels,
    triplets_from_labels,
)
from metriclearn.verification import PairClassifier

bounded = settings(max_examples=25)
VALUES = {
    "normal": lambda rng, n, d: rng.randn(n, d),
    "constant": lambda rng, n, d: np.full((n, d), 3.0),
    "zero": lambda rng, n, d: np.zeros((n, d)),
    "few values": lambda rng, n, d: rng.randint(0, 2, (n, d)).astype(float),
    "tiny": lambda rng, n, d: rng.randn(n, d) * 1e-155,
    "huge": lambda rng, n, d: rng.randn(n, d) * 1e155,
    "one huge entry": lambda rng, n, d: np.where(
        np.arange(n * d).reshape(n, d) == 0, 1e150, rng.randn(n, d)
    ),
    "offset": lambda rng, n, d: rng.randn(n, d) + 1e12,
    "float32": lambda rng, n, d: rng.randn(n, d).astype(np.float32),
    "nan": lambda rng, n, d: np.where(rng.rand(n, d) < 0.1, np.nan, 1.0),
    "three dimensions": lambda rng, n, d: rng.randn(n, 2, d),
    "text": lambda rng, n, d: np.full((n, d), "a"),
}
LABELS = {
    "two classes": lambda rng, n: np.arange(n) % 2,
    "unlabeled": lambda rng, n: np.where(rng.rand(n) < 0.3, -1, np.arange(n) % 3),
    "one class": lambda rng, n: np.zeros(n, dtype=int),
    "all different": lambda rng, n: np.arange(n),
    "mixed": lambda rng, n: [1, "a"] * (n // 2) + [1] * (n % 2),
    "words": lambda rng, n: np.array(["a", "b"])[np.arange(n) % 2],
    "nan": lambda rng, n: np.where(np.arange(n) % 2, np.nan, 1.0),
    "too short": lambda rng, n: np.zeros(max(1, n - 1), dtype=int),
}
problems = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 1000),
        "n": st.integers(1, 24),
        "d": st.integers(1, 30),
        "values": st.sampled_from(sorted(VALUES)),
        "labels": st.sampled_from(sorted(LABELS)),
    }
)


def made(problem):
    rng = np.random.RandomState(problem["seed"])
    n, d = problem["n"], problem["d"]
    return VALUES[problem["values"]](rng, n, d), LABELS[problem["labels"]](rng, n)


def holds(call):
    """Run ``call``; its result, or None for a clear error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Words of ours, and of scikit-learn on many classes: what the user can act on.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", DataConversionWarning)
        warnings.filterwarnings("ignore", "(false_identification_rate|far=)", UserWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        # An empty array given for a number: newer numpy raises where 1.x warns.
        warnings.filterwarnings("ignore", "The truth value of an empty array", DeprecationWarning)
        try:
            return call()
        except (ValueError, TypeError):
            return None


@pytest.mark.parametrize("estimator", [*LINEAR, *KERNEL], ids=lambda e: type(e).__name__)
@bounded
@given(problem=problems)
def test_estimators(estimator, problem):
    X, y = made(problem)
    before = X.copy()
    learner = clone(estimator)
    parameters = learner.get_params()
    fitted = holds(lambda: learner.fit(X, y))
    np.testing.assert_array_equal(X, before)
    assert str(learner.get_params()) == str(parameters)
    if fitted is not None:
        Z = holds(lambda: fitted.transform(X))
        assert Z is None or np.all(np.isfinite(Z))


@bounded
@given(problem=problems, n=st.sampled_from([None, 0, 1, True, 2.5, 10**6]))
def test_draws(problem, n):
    _, y = made(problem)
    for draw, name in (
        (pairs_from_labels, "n_pairs"),
        (triplets_from_labels, "n_triplets"),
        (quadruplets_from_labels, "n_quadruplets"),
        (chunks_from_labels, "n_chunks"),
    ):
        drawn = holds(lambda draw=draw, name=name: draw(y, random_state=0, **{name: n}))
        if drawn is not None:
            drawn.check_rows(len(y))


@bounded
@given(problem=problems)
def test_pair_classifiers(problem):
    X, y = made(problem)
    pairs = X[: len(X) // 2 * 2].reshape(-1, 2, *X.shape[1:])
    for learner in (MMC(random_state=0), Covariance()):
        holds(lambda learner=learner: PairClassifier(learner).fit(pairs, y[: len(pairs)]))


@bounded
@given(
    indices=st.lists(st.lists(st.integers(-2, 9), min_size=1, max_size=4), max_size=6),
    similar=st.lists(st.sampled_from([0, 1, -1, 2, "a", None]), max_size=6),
)
def test_pairs(indices, similar):
    pairs = holds(lambda: Pairs(indices, similar))
    assert pairs is None or pairs.indices.min() >= 0
