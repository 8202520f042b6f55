"""Laws that hold for every estimator in the table."""

import pickle
import tracemalloc
from numbers import Integral

import numpy as np
import pytest
from helpers.estimators import (
    ALL,
    DEEP,
    DEEP_DEFAULT,
    LINEAR,
    NEIGHBORS,
    OF_CLASSES,
    SPARSE,
    WEIGHTED,
)
from helpers.optional import pandas, torch
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from metriclearn import KernelMetric
from metriclearn.constraints import Pairs

# check_estimator does not run these by itself.
EXTRA_CHECKS = [
    estimator_checks.check_dataframe_column_names_consistency,
    estimator_checks.check_estimators_partial_fit_n_features,
    estimator_checks.check_get_feature_names_out_error,
    estimator_checks.check_global_output_transform_pandas,
    estimator_checks.check_n_features_in_after_fitting,
    estimator_checks.check_param_validation,
    estimator_checks.check_set_output_transform,
    estimator_checks.check_set_output_transform_pandas,
    estimator_checks.check_transformer_get_feature_names_out,
    estimator_checks.check_transformer_get_feature_names_out_pandas,
]

all_estimators = pytest.mark.parametrize("estimator", ALL, ids=lambda e: type(e).__name__)
class_estimators = pytest.mark.parametrize("estimator", OF_CLASSES, ids=lambda e: type(e).__name__)
linear_estimators = pytest.mark.parametrize("estimator", LINEAR, ids=lambda e: type(e).__name__)
weighted_estimators = pytest.mark.parametrize("estimator", WEIGHTED, ids=repr)
sparse_estimators = pytest.mark.parametrize("estimator", SPARSE, ids=repr)


@pytest.mark.filterwarnings("ignore:the loss was 0 in every batch")  # labels of a few random rows
@parametrize_with_checks(ALL)
def test_scikit_learn_checks(estimator, check):
    # Some of them take a torch that was built for CUDA for a machine that has it.
    if "'cuda'" in str(check.keywords) and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the loss was 0 in every batch")
@parametrize_with_checks(DEEP_DEFAULT)
def test_scikit_learn_checks_with_all_epochs(estimator, check):
    test_scikit_learn_checks(estimator, check)


@all_estimators
@pytest.mark.filterwarnings("ignore:X .*feature names")  # the checks' own doing
@pytest.mark.parametrize("check", EXTRA_CHECKS, ids=lambda c: c.__name__)
def test_further_scikit_learn_checks(estimator, check):
    if "partial_fit" in check.__name__ and not hasattr(estimator, "partial_fit"):
        return
    check(type(estimator).__name__, clone(estimator))


@all_estimators
def test_distances_are_euclidean_after_transform(estimator, small):
    X, y = small
    learner = clone(estimator).fit(X, y)
    Z = learner.transform(X)
    expected = np.linalg.norm(Z[:, None] - Z[None], axis=2)
    np.testing.assert_allclose(learner.pairwise_distances(X), expected, atol=1e-5)
    np.testing.assert_allclose(learner.pairwise_distances(X, X[:7]), expected[:, :7], atol=1e-3)
    np.testing.assert_allclose(
        learner.paired_distances(X[:9], X[9:18]), expected[range(9), range(9, 18)], atol=1e-5
    )
    assert learner.get_metric()(X[0], X[1]) == pytest.approx(expected[0, 1], rel=1e-5)


@all_estimators
def test_metric_callable_pickles_and_finds_the_same_neighbors(estimator, small):
    X, y = small
    learner = clone(estimator).fit(X, y)
    metric = pickle.loads(pickle.dumps(learner.get_metric()))
    searched = KNeighborsClassifier(metric=metric).fit(X, y).kneighbors(X[:10])[0]
    Z = learner.transform(X)
    embedded = KNeighborsClassifier().fit(Z, y).kneighbors(Z[:10])[0]
    np.testing.assert_allclose(searched, embedded, atol=1e-5)


@all_estimators
def test_same_seed_same_result(estimator, small):
    X, y = small
    learner = clone(estimator)
    if "random_state" in learner.get_params():
        learner.set_params(random_state=3)
    first = learner.fit(X, y).transform(X)
    np.testing.assert_array_equal(first, clone(learner).fit(X, y).transform(X))


@all_estimators
def test_float32_in_float32_out(estimator, small):
    X, y = small
    learner = clone(estimator).fit(X.astype(np.float32), y)
    assert learner.transform(X.astype(np.float32)).dtype == np.float32


@class_estimators
def test_string_labels_change_nothing(estimator, small):
    X, y = small
    names = np.array(["ant", "bee", "cat"])[y]
    np.testing.assert_allclose(
        clone(estimator).fit(X, names).transform(X), clone(estimator).fit(X, y).transform(X)
    )


@all_estimators
def test_silent_by_default(estimator, small, capsys):
    clone(estimator).fit(*small)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ""


@all_estimators
def test_width_of_paired_rows_is_checked(estimator, small):
    X, y = small
    learner = clone(estimator).fit(X, y)
    with pytest.raises(ValueError, match="as many rows"):
        learner.paired_distances(X[:3], X[:4])
    with pytest.raises(ValueError, match="features"):
        learner.pairwise_distances(X[:, :2])


@all_estimators
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X, y: (np.where(X[3, 1] == X, np.nan, X), y), "NaN"),
        (lambda X, y: (np.where(X[3, 1] == X, np.inf, X), y), "infinity"),
        (lambda X, y: (np.full(X.shape, "red"), y), "X holds text"),
    ],
    ids=["nan", "infinity", "strings"],
)
def test_bad_rows_are_one_clear_error(estimator, small, spoil, message):
    with pytest.raises(ValueError, match=message):
        clone(estimator).fit(*spoil(*small))


@class_estimators
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(45, dtype=int), "y has one class only"),
        (np.r_[np.zeros(44, dtype=int), 1], "y: class 1 has 1 row"),
        (np.linspace(0, 1, 45), "continuous"),
    ],
    ids=["one class", "a class of one row", "continuous"],
)
def test_bad_labels_are_one_clear_error(estimator, small, labels, message):
    if not estimator.__sklearn_tags__().target_tags.required:
        return
    with pytest.raises(ValueError, match=message):
        clone(estimator).fit(small[0], labels)


@linear_estimators
def test_linear_learners_are_mahalanobis(estimator, small):
    X, y = small
    learner = clone(estimator).fit(X, y)
    M = learner.get_mahalanobis_matrix()
    np.testing.assert_allclose(M, M.T)
    assert np.linalg.eigvalsh(M)[0] >= -1e-10 * np.abs(M).max()
    np.testing.assert_allclose(learner.transform(X), X @ learner.components_.T)
    difference = X[0] - X[1]
    assert learner.paired_distances(X[:1], X[1:2])[0] ** 2 == pytest.approx(
        difference @ M @ difference
    )


@linear_estimators
def test_a_shift_of_the_data_changes_nothing(estimator, small):
    X, y = small
    M = clone(estimator).fit(X, y).get_mahalanobis_matrix()
    shifted = clone(estimator).fit(X + 5, y).get_mahalanobis_matrix()
    np.testing.assert_allclose(shifted, M, rtol=1e-3, atol=1e-4 * np.abs(M).max())


@linear_estimators
@pytest.mark.parametrize(
    "spoil",
    [
        lambda X: np.c_[X, np.ones(len(X))],
        lambda X: np.c_[X, X[:, :2]],
        lambda X: np.c_[X, np.random.RandomState(0).randn(len(X), 60)],
        lambda X: X * [1e8, 1e-8, 1, 1],
        lambda X: X * 1e8,
        lambda X: X * 1e-8,
    ],
    ids=["constant", "duplicate", "wide", "mixed scales", "huge", "tiny"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_awkward_features_never_give_nan(estimator, small, spoil):
    X, y = small
    X = spoil(X)
    Z = clone(estimator).fit(X, y).transform(X)
    assert np.all(np.isfinite(Z))
    assert np.ptp(Z) > 0


@class_estimators
def test_rows_labeled_minus_one_are_left_out(estimator, small):
    """-1 among integer labels is no class, as in scikit-learn: as if these rows were not there."""
    if estimator in DEEP or not (estimator.__sklearn_tags__().target_tags.required):
        return
    X, y = small
    hidden = np.random.RandomState(0).rand(45) < 0.3
    learner = clone(estimator).fit(X, np.where(hidden, -1, y))
    expected = clone(estimator).fit(X[~hidden], y[~hidden])
    if isinstance(estimator, KernelMetric):  # the rows are landmarks all the same
        assert learner.transform(X).shape[0] == 45
        return
    np.testing.assert_allclose(learner.transform(X), expected.transform(X), rtol=1e-5, atol=1e-7)


@class_estimators
def test_labels_of_minus_one_and_one_are_one_class(estimator, small):
    if estimator in DEEP or not estimator.__sklearn_tags__().target_tags.required:
        return
    with pytest.raises(ValueError, match=r"one class only \(1\) beside -1"):
        clone(estimator).fit(small[0], np.where(small[1] > 0, 1, -1))


@class_estimators
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda y: [1, "a", *y[2:].tolist()], "y mixes kinds of labels"),
        (lambda y: np.array([1, "a", *y[2:].tolist()], dtype=object), "y mixes kinds of labels"),
        (lambda y: np.array([None, *map(str, y[1:])], dtype=object), "y contains None"),
    ],
    ids=["list", "object array", "missing"],
)
def test_labels_of_mixed_kinds_are_one_clear_error(estimator, labels, message, small):
    X, y = small
    if estimator in DEEP or not estimator.__sklearn_tags__().target_tags.required:
        return
    with pytest.raises(ValueError, match=message):
        clone(estimator).fit(X, labels(y))


@class_estimators
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda y: np.where(y == 2, np.nan, y), "y contains NaN"),
        (lambda y: [0.0, float("nan"), *y[2:].tolist()], "y contains NaN"),
        (lambda y: np.where(y == 2, np.inf, y), "y contains infinity"),
        (
            lambda y: pandas.Series([None, *map(str, y[1:])], dtype="string"),
            "y contains (<NA>|NaN)",
        ),
        (lambda y: pandas.Series([None, *y[1:]], dtype="Int64"), "y contains (<NA>|NaN)"),
        (lambda y: np.array(["NaT", *["2020-01-01"] * 44], dtype="M8[D]"), "y contains NaT"),
    ],
    ids=["nan", "nan in a list", "infinity", "words", "nullable integers", "dates"],
)
def test_missing_labels_are_one_clear_error(estimator, labels, message, small):
    X, y = small
    if not estimator.__sklearn_tags__().target_tags.required:
        return
    with pytest.raises(ValueError, match=message):
        clone(estimator).fit(X, labels(y))


@pytest.mark.parametrize("estimator", [*ALL, *NEIGHBORS], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda X: pandas.DataFrame(X).assign(when=pandas.Timestamp("2020")), "X: column 'when'"),
        (lambda X: pandas.DataFrame(X).assign(when=pandas.Timedelta(1, "s")), "X: column 'when'"),
        (lambda X: X.astype(int).astype("M8[s]"), "X"),
        (lambda X: X.astype(int).astype("m8[s]"), "X"),
    ],
    ids=["a column of dates", "a column of durations", "dates", "durations"],
)
def test_times_are_no_numbers(estimator, rows, message, small):
    """Their numbers would be those of an unspoken unit, the nanosecond for example."""
    X, y = small
    with pytest.raises(ValueError, match=f"{message} holds times"):
        clone(estimator).fit(rows(X), y)
    fitted = clone(estimator).fit(X, y)
    with pytest.raises(ValueError, match="holds times"):
        (fitted.transform if hasattr(fitted, "transform") else fitted.kneighbors)(rows(X))


def integers_of(estimator):
    """Parameters that are integers, with a value that fits int8."""
    constraints = getattr(estimator, "_parameter_constraints", {})
    return {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if any(getattr(c, "type", None) is Integral for c in constraints.get(name, []))
        and name not in ("random_state", "verbose")
    }


@all_estimators
def test_true_is_no_number(estimator, small):
    for name in integers_of(estimator):
        with pytest.raises(ValueError, match=f"'{name}' parameter .* must be .* Got True"):
            clone(estimator).set_params(**{name: True}).fit(*small)


@linear_estimators
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*has no effect here:UserWarning")
def test_integers_of_eight_bits_are_integers(estimator, small):
    narrow = {
        name: np.int8({"batch_size": 20, "n_basis": 40, "n_components": 3}.get(name, 100))
        for name, value in integers_of(estimator).items()
        if name not in ("n_neighbors", "n_chunks", "chunk_size", "n_passes", "n_epochs")
    }
    if "diagonal" in estimator.get_params() or "n_components" not in narrow:
        narrow.pop("n_components", None)
    estimator = clone(estimator)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    given = clone(estimator).set_params(**narrow)
    plain = clone(estimator).set_params(**{name: int(value) for name, value in narrow.items()})
    np.testing.assert_array_equal(given.fit(*small).components_, plain.fit(*small).components_)
    assert all(type(getattr(given, name)) is np.int8 for name in narrow)


@linear_estimators
def test_what_other_libraries_do_is_answered_with_what_to_do_here(estimator, small):
    X, y = small
    with pytest.raises(ValueError, match="constraints_from_tuples"):
        clone(estimator).fit(X[[[0, 1], [2, 3]]], [1, 0])
    learner = clone(estimator).fit(X, y)
    with pytest.raises(ValueError, match="paired_distances"):
        learner.transform(X[[[0, 1], [2, 3]]])
    with pytest.raises(TypeError, match="has no preprocessor: constraints are row numbers"):
        type(estimator)(preprocessor=X)
    with pytest.raises(AttributeError, match=r"use paired_distances\(pairs"):
        learner.score_pairs  # noqa: B018
    if estimator._constraint_kinds:
        pairs = Pairs([[0, 1], [0, 20]], [1, 0])
        with pytest.raises(ValueError, match=r"by name: fit\(X, constraints=Pairs"):
            clone(estimator).fit(X, pairs)
    if not hasattr(estimator, "partial_fit"):
        with pytest.raises(AttributeError, match=r"solver='minibatch'"):
            learner.partial_fit  # noqa: B018
    if estimator not in SPARSE and not estimator._fits_sparse:
        with pytest.raises(TypeError, match=r"OneHotEncoder\(sparse_output=False\)"):
            clone(estimator).fit(sparse.csr_array(X), y)


def assert_same_metric(learner, expected):
    M, other = learner.get_mahalanobis_matrix(), expected.get_mahalanobis_matrix()
    np.testing.assert_allclose(M, other, rtol=1e-6, atol=1e-8 * np.abs(other).max())


@weighted_estimators
def test_weights_of_one_change_nothing(estimator, small):
    X, y = small
    weighted = clone(estimator).fit(X, y, sample_weight=np.ones(len(X)))
    assert_same_metric(weighted, clone(estimator).fit(X, y))


@weighted_estimators
def test_a_weight_is_a_number_of_repetitions(estimator, small):
    X, y = small
    weights = np.random.RandomState(0).randint(0, 3, len(X))
    weighted = clone(estimator).fit(X, y, sample_weight=weights)
    repeated = clone(estimator).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    assert_same_metric(weighted, repeated)
    plain = clone(estimator).fit(X, y).get_mahalanobis_matrix()
    assert not np.allclose(weighted.get_mahalanobis_matrix(), plain, rtol=1e-3)


@weighted_estimators
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(44), "sample_weight"),
        (np.r_[-1.0, np.ones(44)], "[Nn]egative"),
        (np.r_[np.nan, np.ones(44)], "NaN"),
        (np.zeros(45), "zero"),
    ],
    ids=["length", "negative", "nan", "all zero"],
)
def test_bad_weights_are_one_clear_error(estimator, small, weights, message):
    with pytest.raises(ValueError, match=message):
        clone(estimator).fit(*small, sample_weight=weights)


@weighted_estimators
def test_weights_are_routed_through_pipelines_and_searches(estimator, small):
    X, y = small
    weights = np.random.RandomState(0).randint(1, 4, len(X)).astype(float)
    with config_context(enable_metadata_routing=True):
        learner = clone(estimator).set_fit_request(sample_weight=True)
        pipeline = Pipeline([("learner", learner), ("knn", KNeighborsClassifier())])
        accuracy = get_scorer("accuracy").set_score_request(sample_weight=True)
        search = GridSearchCV(pipeline, {"knn__n_neighbors": [1, 3]}, cv=3, scoring=accuracy)
        search.fit(X, y, sample_weight=weights)
    direct = clone(estimator).fit(X, y, sample_weight=weights)
    assert_same_metric(search.best_estimator_["learner"], direct)


@sparse_estimators
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array, sparse.coo_matrix])
def test_sparse_rows_are_the_same_rows(estimator, container, small):
    X, y = small
    X = np.where(np.abs(X) < 0.5, 0, X)
    learner = clone(estimator).fit(container(X), y)
    assert_same_metric(learner, clone(estimator).fit(X, y))


@sparse_estimators
def test_sparse_rows_are_never_made_dense(estimator):
    rng = np.random.RandomState(0)
    X = sparse.csr_array(sparse.random(50_000, 100, density=0.001, random_state=0))
    y = rng.randint(3, size=50_000)
    tracemalloc.start()
    clone(estimator).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * 8 * X.shape[0] * X.shape[1]


@linear_estimators
def test_sparse_rows_are_embedded(estimator, small):
    X, y = small
    learner = clone(estimator).fit(X, y)
    rows = np.where(np.abs(X) < 0.5, 0, X)
    S = sparse.csr_array(rows)
    np.testing.assert_allclose(learner.transform(S), learner.transform(rows))
    np.testing.assert_allclose(
        learner.pairwise_distances(S, S[:5]),
        learner.pairwise_distances(rows, rows[:5]),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        learner.paired_distances(S[:9], S[9:18]), learner.paired_distances(rows[:9], rows[9:18])
    )
