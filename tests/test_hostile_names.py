"""Every public name is reached by hostile input: the names are walked, not listed."""

import importlib
import inspect
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from test_hostile import holds, made, problems
from test_hostile_measures import label_lists, matrices

from metriclearn import MMC, MahalanobisLearner

WITH_TORCH = find_spec("torch") is not None and find_spec("skorch") is not None
ROOMS = [
    "metriclearn",
    "metriclearn.constraints",
    "metriclearn.datasets",
    *(["metriclearn.deep"] if WITH_TORCH else []),
    "metriclearn.metrics",
    "metriclearn.model_selection",
    "metriclearn.neighbors",
    "metriclearn.recommend",
    "metriclearn.verification",
]
# What they need to be made; all others are made without arguments.
GIVEN = {
    "PairClassifier": {"learner": MMC(random_state=0)},
    "TripletClassifier": {"learner": MahalanobisLearner(random_state=0)},
    "QuadrupletClassifier": {"learner": MahalanobisLearner(random_state=0)},
    "DeepEmbedder": {"max_epochs": 1, "random_state": 0},
    "PairNetwork": {"max_epochs": 1, "random_state": 0},
}
# Files and downloads have laws of their own: tests/persistence, tests/datasets, tests/images.
OF_FILES = {"load", "save", "ImagePaths"}
LEFT_OUT = OF_FILES if WITH_TORCH else OF_FILES | {"PairNetwork"}


def public():
    found = {}
    for room in ROOMS:
        module = importlib.import_module(room)
        for name in module.__all__:
            if name not in LEFT_OUT and not name.startswith("fetch_"):
                found[name] = getattr(module, name)
    return found


NAMES = public()
ESTIMATORS = {name: thing for name, thing in NAMES.items() if hasattr(thing, "fit")}
CALLABLES = {
    name: thing for name, thing in NAMES.items() if callable(thing) and name not in ESTIMATORS
}

short = settings(max_examples=20)
few = settings(short, max_examples=8)
long = settings(short, max_examples=100)

ANYTHING = st.one_of(
    matrices(),
    label_lists(),
    st.sampled_from(
        [None, 0, 1, 2, 3, -1, 10**6, 2.5, 0.5, True, np.nan, np.inf, "a", "euclidean", [], {}]
    ),
)
# Argument by argument, where most of what is given is to be of the right kind.
KINDS = {
    "X": matrices(),
    "A": matrices(),
    "B": matrices(),
    "embeddings": matrices(),
    "y": label_lists(),
    "labels": label_lists(),
    "indices": st.lists(st.lists(st.integers(-2, 9), min_size=1, max_size=4), max_size=6),
    "tuples": st.builds(
        lambda n, width, seed: np.random.RandomState(seed).randn(n, width, 2),
        st.integers(0, 6),
        st.integers(1, 5),
        st.integers(0, 9),
    ),
    # Sizes that are asked for are made: few of them here.
    **{
        name: st.sampled_from([1, 2, 5, 20, 0, -1, 2.5, True, "a", None])
        for name in ("n_samples", "n_rows", "n_features", "n_informative", "n_classes", "n_pairs")
    },
}


def answers(call, arguments):
    """Call it: an answer, or one ValueError or TypeError with a message; nothing is changed."""
    before = {name: repr(value) for name, value in arguments.items()}
    holds(lambda: call(**arguments))
    assert {name: repr(value) for name, value in arguments.items()} == before


def check_callable(name, data):
    arguments = {}
    for parameter in inspect.signature(CALLABLES[name]).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        needed = parameter.default is parameter.empty
        if needed or data.draw(st.integers(0, 3), f"give {parameter.name}") == 0:
            kind = KINDS.get(parameter.name, ANYTHING)
            odd = data.draw(st.integers(0, 5), "odd") == 0 and parameter.name not in ("n_samples",)
            arguments[parameter.name] = data.draw(ANYTHING if odd else kind, parameter.name)
    answers(CALLABLES[name], arguments)


def check_estimator(name, problem):
    X, y = made(problem)
    estimator = ESTIMATORS[name](**GIVEN.get(name, {}))
    width = getattr(estimator, "_width", None)
    if width is not None:
        X = X[: len(X) // width * width].reshape(-1, width, *X.shape[1:])
        y = y[: len(X)]
    before, parameters = X.copy(), str(estimator.get_params())
    fitted = holds(lambda: clone(estimator).fit(X, y))
    np.testing.assert_array_equal(X, before)
    assert str(estimator.get_params()) == parameters
    if fitted is None:
        return
    for method in ("transform", "predict", "kneighbors", "decision_function"):
        if hasattr(fitted, method):
            answer = holds(lambda method=method: getattr(fitted, method)(X))
            answer = answer[0] if isinstance(answer, tuple) else answer
            if isinstance(answer, np.ndarray) and answer.dtype.kind == "f":
                assert np.all(np.isfinite(answer)), method


def test_nothing_public_is_left_out():
    """What is neither fitted nor called is data: a dict of names, a type of results."""
    rest = set(NAMES) - set(ESTIMATORS) - set(CALLABLES)
    assert not rest
    assert len(ESTIMATORS) > 20
    assert len(CALLABLES) > 30


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
@few
@given(problem=problems)
def test_estimators(name, problem):
    check_estimator(name, problem)


# Methods before ``fit`` that learn, or set and tell parameters.
EARLY = {"fit", "fit_transform", "partial_fit", "get_params", "get_metadata_routing", "load"}


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_what_is_not_fitted_says_so(name, tmp_path):
    kind = ESTIMATORS[name]
    estimator = kind(**GIVEN.get(name, {}))
    X = np.random.RandomState(0).randn(6, getattr(estimator, "_width", 4), 4)
    X = X if hasattr(estimator, "_width") else X[:, 0]
    for method, function in inspect.getmembers(kind, inspect.isfunction):
        if method.startswith(("_", "set_")) or method in EARLY or not hasattr(estimator, method):
            continue
        given = list(inspect.signature(function).parameters.values())[1:]
        needed = [p for p in given if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        arguments = [tmp_path / "file" if p.name == "path" else X for p in needed]
        with pytest.raises(NotFittedError):
            getattr(estimator, method)(*arguments)
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("name", sorted(CALLABLES))
@short
@given(data=st.data())
def test_callables(name, data):
    check_callable(name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ESTIMATORS))
@long
@given(problem=problems)
def test_estimators_at_length(name, problem):
    check_estimator(name, problem)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CALLABLES))
@long
@given(data=st.data())
def test_callables_at_length(name, data):
    check_callable(name, data)
