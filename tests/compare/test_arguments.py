"""Every argument of ``compare`` is honored or refused by name, before any work."""

import warnings

import numpy as np
import pytest

from metriclearn import LMNN
from metriclearn.compare import _compare, compare

N = 60
X = np.random.RandomState(0).randn(N, 4)
Y = np.arange(N) % 3
NAN, INF = float("nan"), float("inf")
ODD = [
    "", " ", "abc", b"x", -1, 0, 1.5, NAN, INF, True, [], {}, [None], [-1], [1.5], [True], "1",
    3 + 0j, {"a": 1}, set(), np.array([1, 2]), np.array([[2]]), np.float64(2.0), object(), len,
]  # fmt: skip


class Work(Exception):
    """Raised where work would begin."""


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    def begin(plan, *args):
        plan.schedule()
        raise Work

    monkeypatch.setattr(_compare, "run", begin)


def outcome(**given):
    """Return what is said of arguments; None where work would begin."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compare(**{"X": X, "y": Y, "learners": "euclidean,lmnn", **given})
    except Work:
        return None
    except ValueError as error:
        return str(error)


# Argument to the odd values that it takes.
TAKES = {
    "dimensions": [np.array([1, 2])],
    "rows": [],
    "shift": [],
    "min_rows": [],
    "random_state": [0],
    "seeds": [],
    "repeats": [],
    "n_folds": [],
    "n_jobs": [-1],
    "time": [1.5, "1", np.float64(2.0)],
    "effort": [],
    "tune": [True],
    "search_spaces": [{}],
    "drop": [[], {}, set()],
    "keep": [[], {}, set()],
    "task": [],
    "name": ["abc", "1"],
    "verbose": [0, True],
    "client": [],
    "image_shape": [],
    "groups": [],
    "split": [],
    "features": [True],
    "finetune": [],
    "constraints": [],
    "datasets": [],
    "resume": [],
}


@pytest.mark.parametrize("argument", TAKES)
def test_odd_values_are_refused_by_name(argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in ODD:
        if argument == "resume" and isinstance(value, str):
            continue
        given = {argument: value}
        if argument in ("datasets", "constraints"):
            given |= {"y": None} if argument == "constraints" else {"X": None, "y": None}
        said = outcome(**given)
        taken = any(
            type(value) is type(each) and repr(value) == repr(each) for each in TAKES[argument]
        )
        if taken:
            assert said is None, (value, said)
        else:
            assert said is not None, value
            assert argument in said, (value, said)
            assert "\n" not in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"drop": "x1", "keep": ["x1"]}, "keep and drop both name 'x1'"),
        ({"groups": "x1", "keep": "x1"}, "keep and groups both name 'x1'"),
        ({"drop": ["nope"]}, "drop: no column 'nope'"),
        ({"keep": ["nope"]}, "keep: no column 'nope'"),
        ({"groups": "nope"}, "groups: no column 'nope'"),
        ({"drop": ["x0", "x1", "x2", "x3"]}, "no columns of features; drop leaves out 'x0', "),
        ({"image_shape": (2, 2), "drop": ["x0"]}, "drop names columns, and the rows are images"),
        ({"X": X.reshape(-1, 2, 2), "image_shape": (4, 1)}, "X holds images of shape (2, 2)"),
        ({"min_rows": 21}, "min_rows=21: y: fewer than 2 classes have the 21 rows"),
        ({"y": np.arange(N) / 7, "min_rows": 3, "learners": None}, "min_rows=3 is of classes"),
        ({"time": 5, "resume": "fits"}, "resume keeps whole fits"),
        ({"seeds": 10**30}, "seeds must be an integer from 1 to 1,000, got 10000"),
        ({"repeats": 1001}, "repeats must be an integer from 1 to 1,000, got 1001"),
        ({"effort": ""}, "effort='' is unknown"),
        ({"search_spaces": {"lmnn": {"nope": [1]}}}, "search_spaces['lmnn']: 'nope' is not a par"),
        ({"search_spaces": {"lmnn": {"mu": []}}, "tune": "grid"}, "search_spaces['lmnn']['mu']"),
        ({"X": "wine", "y": None, "drop": ["nope"]}, "drop: no column 'nope'"),
        ({"X": None, "y": None, "datasets": ["iris", "wine"], "name": "a"}, "datasets: name can"),
        (
            {"X": None, "y": None, "datasets": ["iris", "wine"], "image_shape": (2, 2)},
            "datasets: image_shape can be given for one data set only",
        ),
        ({"X": None, "y": None, "datasets": {"a": (1, 2)}}, "datasets['a']: X must have rows"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_go_together(given, said):
    assert said in outcome(**given)


def test_what_is_taken_is_honored(monkeypatch):
    plans = []

    def begin(plan, *args):
        plans.append(plan)
        raise Work

    monkeypatch.setattr(_compare, "run", begin)
    for given in (
        {"drop": "x1"}, {"drop": ["x1", "x1"]}, {"groups": "x1"}, {"name": "mine"},
        {"X": "wine", "y": None, "drop": ["alcohol"], "name": "mine"},
        {"X": "digits", "y": None, "groups": np.arange(1797) // 2},
    ):  # fmt: skip
        assert outcome(**given) is None
    assert [plan.source.X.shape[1] for plan in plans] == [3, 3, 3, 4, 12, 64]
    assert [plan.source.name for plan in plans] == ["data"] * 3 + ["mine"] * 2 + ["digits"]
    assert plans[5].source.groups.max() == 898


class Lazy:
    """A query, as other libraries have them."""

    def __init__(self, reader):
        setattr(self, reader, lambda: None)
        self.columns = ["a", "target"]


@pytest.mark.parametrize("reader", ["collect", "toPandas", "compute", "df", "to_dataframe"])
def test_what_is_not_in_memory_says_how_to_read_it(reader):
    lazy = Lazy(reader)
    assert f"give X.{reader}()" in outcome(X=lazy)
    assert f"give X.{reader}()" in outcome(X=lazy, y="target")
    assert f"give y.{reader}()" in outcome(y=lazy)
    assert f"give groups.{reader}()" in outcome(groups=lazy)
    with pytest.raises(TypeError, match=rf"X is a .*Lazy, whose rows .*: give X\.{reader}\(\)"):
        LMNN().fit(lazy, Y)
    with pytest.raises(TypeError, match=rf"give y\.{reader}\(\)"):
        LMNN().fit(X, lazy)


def test_lazy_frames_of_polars_and_frames_of_dask():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({f"c{j}": X[:, j] for j in range(4)} | {"kind": Y})
    assert outcome(X=frame, y="kind") is None
    assert (
        outcome(X=frame.lazy(), y="kind")
        == "X is a polars.LazyFrame, whose rows are not in memory: give X.collect()"
    )
    dask = pytest.importorskip("dask.dataframe")
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abcd")).assign(kind=Y)
    assert outcome(X=dask.from_pandas(table, npartitions=2), y="kind") is None
