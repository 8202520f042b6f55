"""Whatever they are given, measures and splitters answer in numbers or in one clear error."""

import inspect
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclearn import metrics, model_selection

BOUNDED = settings(max_examples=25)
LONG = settings(BOUNDED, max_examples=2000)

NUMBERS = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 0.5, 3.0, 1e-155, 1e155, -1e155, 1e300, 1e-300, 1e30, np.nan, np.inf]
)
SANE = st.sampled_from([0.0, 1.0, -1.0, 0.5, 3.0, 1e-3])


@st.composite
def matrices(draw):
    """Rows of few or many features, often equal, sometimes of extreme values or wrong shape."""
    n, d = draw(st.integers(0, 12)), draw(st.integers(1, 3))
    values = draw(st.sampled_from([SANE, SANE, NUMBERS]))
    rows = [[draw(values) for _ in range(d)] for _ in range(n)]
    X = np.array(rows, dtype=float).reshape(n, d)
    kind = draw(st.sampled_from(["float64"] * 3 + ["float32", "list", "int", "flat", "str"]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "float64": lambda: X,
            "float32": lambda: X.astype(np.float32),
            "list": lambda: X.tolist(),
            "int": lambda: np.nan_to_num(X, posinf=9, neginf=-9).clip(-9, 9).astype(int),
            "flat": lambda: X.ravel(),
            "str": lambda: X.astype(str),
        }[kind]()


@st.composite
def label_lists(draw):
    """Labels of one kind or of several, as many as rows or not."""
    n = draw(st.integers(0, 12))
    kind = draw(
        st.sampled_from(
            [
                st.integers(0, 2),
                st.integers(-1, 1),
                st.sampled_from(["a", "b"]),
                st.booleans(),
                st.sampled_from([0.0, 1.0, 0.5]),
                st.sampled_from([0, 1, "a", None, np.nan, (1,), 2**63]),
            ]
        )
    )
    labels = [draw(kind) for _ in range(n)]
    form = draw(st.sampled_from([list, list, np.array, "object", "column"]))
    if form == "object":
        array = np.empty(n, dtype=object)
        array[:] = labels
        return array
    try:
        return np.array(labels)[:, None] if form == "column" else form(labels)
    except (ValueError, OverflowError):
        return labels


COUNTS = st.sampled_from([1, 2, 3, 0, -1, 100, 1.5, True, None, np.int8(2), "2", 2**63])
EXTRAS = {
    "k": COUNTS,
    "gallery": st.none() | matrices(),
    "gallery_labels": st.none() | label_lists(),
    "queries_in_gallery": st.sampled_from([None, None, True, False, [0, 1, 2], "all"]),
    "ignore": st.sampled_from([None, None, np.eye(5, dtype=bool), np.ones((3, 3)), "x"]),
    "metric": st.sampled_from(["euclidean", "cosine", "inner_product", "manhattan", "precomputed"]),
    "form": st.sampled_from(["gaussian", "empirical", "exact"]),
    "relevance": st.sampled_from([None, None, 0.5, -1.0, np.eye(6), np.eye(6) * np.nan, "a"]),
    "measures": st.sampled_from([["map_at_r"], "mrr", [], ["ndcg_at_3", "recall_at_2"], "hit"]),
    "average": st.booleans(),
    "tpr": st.sampled_from([0.95, 0.0, 1.0, 1.5, np.nan]),
    "least": st.sampled_from([0.0, 0.5, 1.0, 2.0, np.nan]),
    "far": st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, np.nan]),
    "criterion": st.sampled_from(["accuracy", "f1", "max_tpr", "eer", "best"]),
    "folds": st.sampled_from([2, 3, 10, 1, 0, [0, 1], "five"]),
    "sample_weight": st.sampled_from([None, None, [1.0] * 6, [0.0] * 6, [-1.0] * 6]),
    "alpha": st.sampled_from([2.0, 1.0, 0.0, -1.0, np.nan]),
    "t": st.sampled_from([2.0, 0.0, np.inf]),
    "n_init": st.just(1),
    "rank": st.sampled_from([1, 2, 0, 100]),
    "period": st.sampled_from([None, 360, 0.5, 0, np.nan, "a"]),
    "n_folds": st.sampled_from([2, 3, 0, 100]),
    "n_pairs": st.sampled_from([1, 2, 0, 100]),
    "n_resamples": st.sampled_from([10, 0]),
    "confidence": st.sampled_from([0.9, 0.0, 1.5]),
    "max_rows": st.sampled_from([5000, 2]),
    "groups": st.none() | label_lists(),
    "n_triplets": COUNTS.filter(lambda n: n != 2**63),
    "tol": st.sampled_from([0.0, 1e-5, -1.0, np.nan]),
    "random_state": st.just(0),
}
MAIN = {
    "embeddings": matrices(),
    "labels": label_lists(),
    "labels_true": label_lists(),
    "labels_pred": label_lists(),
    "same": st.lists(st.sampled_from([0, 1, 0, 1, -1, 2]), max_size=8),
    "distances": st.lists(st.one_of(SANE, SANE, NUMBERS), max_size=8),
    "values": st.lists(st.one_of(SANE, NUMBERS), max_size=8),
    "identities": matrices(),
    "A": matrices(),
    "X": matrices(),
    "distance": st.sampled_from([lambda a, b: float(a[0] > b[0]), np.dot, "euclidean", metrics]),
    "B": matrices(),
    "measure": st.just(metrics.equal_error_rate),
}
MEASURES = [
    "recall_at_k",
    "precision_at_k",
    "share_found_at_k",
    "r_precision",
    "map_at_r",
    "map_at_k",
    "mrr",
    "ndcg_at_k",
    "retrieve",
    "retrieval_scores",
    "verification_curve",
    "equal_error_rate",
    "tar_at_far",
    "best_threshold",
    "verification_accuracy",
    "verification_pairs",
    "bootstrap_interval",
    "bootstrap_over_identities",
    "cluster_scores",
    "pairwise_f1",
    "hubness",
    "k_occurrence",
    "mutual_proximity",
    "median_label_error",
    "recall_growth",
    "few_shot_accuracy",
    "identification_rate_at_far",
    "oscr",
    "fpr_at_tpr",
    "jaccard_relevance",
    "alignment",
    "uniformity",
    "effective_rank",
    "intra_inter_ratio",
    "check_metric",
]
SPLITTERS = [
    model_selection.ClassDisjointKFold(2),
    model_selection.ClassDisjointShuffleSplit(2, random_state=0),
    model_selection.ClassShiftSplit(2),
    model_selection.OpenSetSplit(),
]


def test_every_public_measure_is_tried():
    others = {"AxiomCheck", "RetrievalResult", "VerificationPairs", "RecallGrowth"}
    others |= {"make_retrieval_scorer", "get_scorer"}
    others |= {name for name in metrics.__all__ if name.endswith("_scorer")}
    assert set(MEASURES) == set(metrics.__all__) - others


def answers_or_explains(call, arguments):
    """Call it: a finite answer, or one ValueError or TypeError; nothing given is changed."""
    before = {name: repr(value) for name, value in arguments.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # those of the user are allowed
        warnings.simplefilter("error", RuntimeWarning)  # those of numpy are not
        try:
            call(**arguments)
        except (ValueError, TypeError) as error:
            message = str(error)
            assert message
            for raw in ("'<' not supported", "inhomogeneous", "setting an array element"):
                assert raw not in message, message
    assert {name: repr(value) for name, value in arguments.items()} == before


def draw_arguments(data, function):
    accepted = dict(inspect.signature(function).parameters)
    if "search" in accepted:
        del accepted["search"]
        accepted |= dict.fromkeys(
            ["gallery", "gallery_labels", "metric", "relevance", "ignore", "queries_in_gallery"]
        )
    arguments = {name: data.draw(MAIN[name], name) for name in accepted if name in MAIN}
    optional = [name for name in accepted if name in EXTRAS]
    for name in optional:
        required = accepted[name] is not None and (
            accepted[name].default is inspect.Parameter.empty
        )
        if required or data.draw(st.integers(0, 3), f"give {name}") == 0:
            arguments[name] = data.draw(EXTRAS[name], name)
    return arguments


def check_measure(data, name):
    function = getattr(metrics, name)
    answers_or_explains(function, draw_arguments(data, function))


def check_splitter(data, splitter):
    X, y = data.draw(matrices(), "X"), data.draw(label_lists(), "y")
    answers_or_explains(lambda X, y: list(splitter.split(X, y)), {"X": X, "y": y})


@pytest.mark.parametrize("name", MEASURES)
@BOUNDED
@given(data=st.data())
def test_measures(name, data):
    check_measure(data, name)


@pytest.mark.parametrize("splitter", SPLITTERS, ids=lambda s: type(s).__name__)
@BOUNDED
@given(data=st.data())
def test_splitters(splitter, data):
    check_splitter(data, splitter)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURES)
@LONG
@given(data=st.data())
def test_measures_at_length(name, data):
    check_measure(data, name)


@pytest.mark.slow
@pytest.mark.parametrize("splitter", SPLITTERS, ids=lambda s: type(s).__name__)
@LONG
@given(data=st.data())
def test_splitters_at_length(splitter, data):
    check_splitter(data, splitter)
