"""What numpy would misread is an error that names the argument, whoever reads it."""

import datetime
import inspect
import warnings

import numpy as np
import pytest
import test_hostile_names as names
from helpers.optional import pandas
from sklearn.base import clone

from metriclearn import RCA, KernelMetric, metrics
from metriclearn.constraints import (
    Chunks,
    Pairs,
    Triplets,
    chunks_from_labels,
    constraints_from_tuples,
    pairs_from_labels,
    quadruplets_from_labels,
    triplets_from_labels,
)
from metriclearn.mahalanobis import LinearStudent
from metriclearn.model_selection import ClassDisjointKFold
from metriclearn.neighbors import (
    ExactSearch,
    FaissKNeighborsClassifier,
    OpenSetClassifier,
    RetrievalIndex,
)


def hiding(A):
    A = np.ma.masked_array(A)
    A[0] = np.ma.masked
    return A


def with_a_date(A):
    A = A.astype(object)
    A.flat[3] = datetime.date(2020, 1, 1)
    return A


def with_a_word(A):
    A = A.astype(object)
    A.flat[3] = "blue"
    return A


def records(A):
    return np.zeros(len(A), dtype=[("a", float), ("b", float)])


#: What stands for rows, and what the error says.
ROWS = {
    "masked array": (hiding, "is a masked array that hides"),
    "dates among numbers": (with_a_date, "holds datetime.date"),
    "dates in lists": (lambda A: with_a_date(A).tolist(), "holds datetime.date"),
    "words among numbers": (with_a_word, "holds text, 'blue'"),
    "array of words": (lambda A: np.full(A.shape, "blue"), "holds text, 'blue'"),
    "records": (records, "holds records with the fields a, b"),
    "durations": (lambda A: A.astype(int).astype("m8[s]"), "holds times"),
    "dict": (lambda A: {"a": A}, "must be an array-like of numbers, got a dict"),
    "set": (lambda A: {1.0, 2.0}, "must be an array-like of numbers, got a set"),
    "generator": (lambda A: (row for row in A), "must be an array-like of numbers, got a gen"),
    "text": (lambda A: "abc", "must be an array-like of numbers, got a str"),
}
#: The same of columns of a frame.
COLUMNS = {
    "periods": (lambda n: pandas.period_range("2020", periods=n, freq="D"), "holds times"),
    "intervals": (lambda n: pandas.interval_range(0, n), "holds Interval"),
    "categories": (lambda n: pandas.Categorical(["blue"] * n), "holds text, 'blue'"),
    "strings": (lambda n: pandas.array(["blue"] * n, dtype="string"), "holds text, 'blue'"),
}
y = np.repeat([0, 1, 2], 8)
X = np.random.RandomState(0).randn(24, 4) + y[:, None]
readers = pytest.mark.parametrize("name", sorted(names.ESTIMATORS))


def rows_for(estimator):
    width = getattr(estimator, "_width", None)
    if width is None:
        return X.copy(), y
    rows = X[: 24 // width * width].reshape(-1, width, 4).copy()
    return rows, np.arange(len(rows)) % 2


@readers
@pytest.mark.parametrize("given", ROWS)
def test_rows_that_numpy_would_misread(name, given):
    make, message = ROWS[given]
    estimator = names.ESTIMATORS[name](**names.GIVEN.get(name, {}))
    rows, labels = rows_for(estimator)
    with pytest.raises((ValueError, TypeError), match=f"^X.* {message}|^X {message}"):
        clone(estimator).fit(make(rows), labels)


@readers
@pytest.mark.parametrize("given", COLUMNS)
def test_columns_that_numpy_would_misread(name, given):
    make, message = COLUMNS[given]
    estimator = names.ESTIMATORS[name](**names.GIVEN.get(name, {}))
    if getattr(estimator, "_width", None) is not None:
        return
    frame = pandas.DataFrame(X).assign(odd=make(24))
    with pytest.raises((ValueError, TypeError), match=f"X: column 'odd' {message}"):
        estimator.fit(frame, y)


@readers
def test_labels_that_a_masked_array_hides(name):
    estimator = names.ESTIMATORS[name](**names.GIVEN.get(name, {}))
    rows, labels = rows_for(estimator)
    ignored = not estimator.__sklearn_tags__().target_tags.required
    if ignored and name not in ("DeepEmbedder", "PairClassifier", "PairNetwork"):
        return
    with pytest.raises(ValueError, match=r"^y.* is a masked array that hides"):
        estimator.fit(rows, hiding(labels.copy()))


PAIRS = np.column_stack([np.arange(12), np.arange(12, 24)])
HALF = np.arange(12) % 2
#: Functions of arrays: each argument that they read by position or name.
FUNCTIONS = {
    "retrieval_scores": (metrics.retrieval_scores, {"embeddings": X, "labels": y}),
    "cluster_scores": (metrics.cluster_scores, {"embeddings": X, "labels": y}),
    "equal_error_rate": (
        metrics.equal_error_rate,
        {"same": HALF, "distances": HALF + 0.5, "sample_weight": HALF + 1.0},
    ),
    "Pairs": (Pairs, {"indices": PAIRS, "similar": HALF, "weights": HALF + 1.0}),
    "Triplets": (Triplets, {"indices": np.column_stack([PAIRS, PAIRS[:, 0] + 1])}),
    "Chunks": (Chunks, {"labels": y}),
    "constraints_from_tuples": (
        constraints_from_tuples,
        {"tuples": X.reshape(12, 2, 4), "similar": HALF, "weights": HALF + 1.0},
    ),
    "pairs_from_labels": (pairs_from_labels, {"y": y}),
    "triplets_from_labels": (triplets_from_labels, {"y": y}),
    "quadruplets_from_labels": (quadruplets_from_labels, {"y": y}),
    "chunks_from_labels": (chunks_from_labels, {"y": y}),
    "ClassDisjointKFold": (lambda y: next(ClassDisjointKFold(2).split(X, y)), {"y": y}),
    "ExactSearch": (ExactSearch, {"X": X}),
    "RetrievalIndex": (
        lambda X, ids, color: RetrievalIndex().add(X, ids=ids, payload={"color": color}),
        {"X": X, "ids": np.arange(24), "color": y},
    ),
}


@pytest.mark.parametrize(
    ("name", "argument"), [(name, given) for name, (_, all_) in FUNCTIONS.items() for given in all_]
)
def test_every_argument_shows_what_a_masked_array_hides(name, argument):
    call, given = FUNCTIONS[name]
    with pytest.raises(ValueError, match=f"{argument}.* is a masked array that hides"):
        call(**{**given, argument: hiding(given[argument].copy())})


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_columns_of_other_libraries_are_read_as_arrays(name, library):
    module = pytest.importorskip(library)
    made = {"pandas": "Series", "polars": "Series", "pyarrow": "array"}[library]
    call, given = FUNCTIONS[name]
    for argument, values in given.items():
        if values.ndim == 1:
            call(**{**given, argument: getattr(module, made)(values)})


@pytest.mark.parametrize("missing", [None, np.nan, "NA"])
def test_yes_or_no_is_never_missing(missing):
    same = HALF.astype(object)
    same[3] = pandas.NA if missing == "NA" else missing
    for call in (
        lambda: Pairs(PAIRS, same),
        lambda: Pairs(PAIRS, pandas.Series(same)),
        lambda: metrics.equal_error_rate(same, HALF + 0.5),
    ):
        with pytest.raises(ValueError, match=r"(similar|same) must hold True/False, 1/0 or 1/-1"):
            call()


@pytest.mark.parametrize("kind", [dict.fromkeys, set, frozenset, "".join])
def test_names_without_an_order_name_no_rows(kind):
    frame = pandas.DataFrame({"a": ["x", "x"], "b": ["y", "z"], "same": [1, 0]})
    with pytest.raises(TypeError, match="ids must name the rows of X in their order"):
        Pairs.from_frame(frame, kind(["x", "y", "z"]))


def test_names_of_rows_may_be_anything_hashable():
    frame = pandas.DataFrame({"a": [(1, "x")], "b": [(2, "x")], "weight": [2.0], "same": [1]})
    pairs = Pairs.from_frame(frame, [(2, "x"), (1, "x")], weights="weight")
    assert pairs.indices.tolist() == [[1, 0]]
    assert pairs.weights.tolist() == [2.0]
    assert pairs.similar.tolist() == [True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": {"a": [1]}}, "frame must be a DataFrame, got a dict"),
        ({"weights": "none"}, "weights='none' is not a column of the frame"),
        ({"similar": "none"}, "similar='none' is not a column of the frame"),
        ({"columns": ["a", "none"]}, "columns: 'none' is not in the frame"),
        ({"ids": ["x", "y", None]}, "ids: None is no name of a row"),
        ({"ids": [["x"], ["y"]]}, r"ids: \['x'\] cannot name a row"),
        ({"ids": np.array([["x"], ["y"]])}, r"ids must be of shape \(n_rows,\), got \(2, 1\)"),
        ({"pos_label": [1]}, r"pos_label=\[1\] is not among the labels"),
    ],
)
def test_tables_of_names_are_one_clear_error(changes, message):
    frame = pandas.DataFrame({"a": ["x", "x"], "b": ["y", "z"], "same": [1, 0]})
    given = {"frame": frame, "ids": ["x", "y", "z"], **changes}
    with pytest.raises((ValueError, TypeError), match=message):
        Pairs.from_frame(**given)
    with pytest.raises(ValueError, match="frame has the column 'a' twice"):
        Pairs.from_frame(frame.set_axis(["a", "a", "same"], axis=1), ["x", "y", "z"])


def test_every_reader_of_labels_says_what_objects_are_no_labels():
    for name, thing in names.ESTIMATORS.items():
        if name in ("LFDA", "LMNN", "RCA", "DeepEmbedder", "FaissKNeighborsClassifier"):
            assert inspect.isclass(thing)
            estimator = thing(**names.GIVEN.get(name, {}))
            with pytest.raises(ValueError, match="objects of type int; give numbers as integers"):
                estimator.fit(X, y.astype(object))


IDS = {
    "pandas' integers": lambda ids: pandas.array(ids, dtype="Int64"),
    "pandas' integers without a sign": lambda ids: pandas.array(ids, dtype="UInt64"),
    "a column of them": lambda ids: pandas.Series(ids, dtype="Int64"),
    "a frame of one column": lambda ids: pandas.DataFrame({"id": pandas.array(ids, dtype="Int64")}),
    "categories": lambda ids: pandas.Categorical(pandas.array(ids, dtype="Int64")),
    "Arrow's integers": lambda ids: arrow(ids),
}


def arrow(ids):
    pytest.importorskip("pyarrow")
    return pandas.Series(ids, dtype="int64[pyarrow]")


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.filterwarnings("ignore:false_identification_rate")
@pytest.mark.parametrize("kind", IDS)
def test_large_ids_do_not_fall_together(small, kind):
    """As floats, 2**53 and 2**53 + 1 are one number."""
    X, y = small
    ids = 2**53 + y
    given = IDS[kind](ids)
    for learner in (RCA(), KernelMetric(RCA()), LinearStudent(RCA())):
        np.testing.assert_array_equal(
            clone(learner).fit(X, given).transform(X), clone(learner).fit(X, ids).transform(X)
        )
    for classifier in (FaissKNeighborsClassifier(1), OpenSetClassifier()):
        assert classifier.fit(X, given).classes_.tolist() == sorted(set(ids.tolist()))
    pairs = pairs_from_labels(np.ravel(given), n_pairs=30, random_state=0)
    assert (y[pairs.indices[:, 0]] == y[pairs.indices[:, 1]]).tolist() == pairs.similar.tolist()


@pytest.mark.parametrize("kind", IDS)
def test_an_embedder_knows_large_ids_apart(small, kind):
    deep = pytest.importorskip("metriclearn.deep")
    X, y = small
    embedder = deep.DeepEmbedder("linear", max_epochs=1, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A column-vector y was passed")
        embedder.fit(X, IDS[kind](2**53 + y))
    assert embedder.classes_.tolist() == [2**53, 2**53 + 1, 2**53 + 2]


@pytest.mark.parametrize("classifier", [FaissKNeighborsClassifier(1), OpenSetClassifier()])
@pytest.mark.filterwarnings("ignore:.*false_identification_rate")
def test_nullable_truths_come_back_as_truths(small, classifier):
    X, y = small
    fitted = clone(classifier).fit(X, pandas.array(y > 0, dtype="boolean"))
    assert fitted.classes_.dtype == bool
