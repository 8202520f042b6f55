"""compare(): honest splits, nothing lost on the way, numbers that can be read again."""

import html.parser
import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import distributed
import numpy as np
import pytest
from scipy.stats import rankdata, ttest_1samp, uniform
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn.compare import ComparisonResult, compare
from metriclearn.compare import _protocol as protocol
from metriclearn.compare import _run as run
from metriclearn.compare._curves import shift_splits
from metriclearn.compare._fitting import fit_tuned
from metriclearn.compare._images import ImageScaler, ImageShrinker, shrinker
from metriclearn.compare._lineup import (
    LINE_UP,
    Setting,
    at_dimension,
    resolve_learners,
    search_space,
)
from metriclearn.compare._many import ranking_text
from metriclearn.compare._progress import TimeLeft
from metriclearn.compare._protocol import Split, Task, make_splits, run_task
from metriclearn.compare._report._labels import apart
from metriclearn.compare._report._svg import stretch
from metriclearn.compare._rows import stratified_order
from metriclearn.compare._significance import corrected_resampled_t_test
from metriclearn.compare._sources._load import load_source
from metriclearn.compare._sources._rows import as_source
from metriclearn.compare._tuning._budget import Tuning, make_tuning
from metriclearn.compare._tuning._halving import plan_halving
from metriclearn.compare._words import tuning_line
from metriclearn.deep import DeepEmbedder
from metriclearn.mahalanobis._nca import NCA

CHEAP = ["euclidean", "mahalanobis"]


class Broken(TransformerMixin, BaseEstimator):
    """Cannot learn."""

    def fit(self, X, y=None):
        raise RuntimeError("the machine\nis on strike")

    def transform(self, X):
        return X


@pytest.fixture(scope="module")
def blobs():
    """Eighty rows of eight classes in five features."""
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(8), 10)
    X = rng.randn(80, 5)
    X[:, :3] += 3 * rng.randn(8, 3)[y]
    return X, y


@pytest.fixture(scope="module")
def compared(blobs):
    return compare([*CHEAP, Broken()], *blobs, name="blobs", n_folds=3)


def without_seconds(record):
    return {key: value for key, value in record.items() if not key.endswith("_seconds")}


# The protocol


def learned_parameters(estimator):
    """Every array that fitting left behind, in every step."""
    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)])]
    arrays = []
    for step in steps:
        if hasattr(step, "net_"):
            arrays += [p.detach().numpy() for p in step.net_.module_.state_dict().values()]
            arrays += [p.detach().numpy() for p in step.net_.criterion_.state_dict().values()]
        else:
            arrays += [v for k, v in sorted(vars(step).items()) if k.endswith("_")]
    return arrays


@pytest.mark.parametrize("tuning", [Tuning("few"), Tuning("random", 3)], ids=["few", "random"])
@pytest.mark.parametrize("name", ["closed", "open"])
@pytest.mark.parametrize("key", LINE_UP)
def test_test_labels_never_reach_a_learner(blobs, key, name, tuning):
    X, y = blobs
    splits, _ = make_splits(y, 3, seed=0)
    split = next(split for split in splits if split.protocol == name)
    kept = []

    def make(setting):
        estimator, grid = LINE_UP[key].make(setting)
        kept.append(estimator)
        return estimator, [params | fewer_epochs(params) for params in grid]

    def fewer_epochs(params):
        return {name: 3 for name in params if name.endswith("max_epochs")}

    task = Task(replace(LINE_UP[key], make=make), split, seed=0, tuning=tuning, pictures=False)
    shuffled = y.copy()
    shuffled[split.test] = np.random.RandomState(1).permutation(y[split.test])
    honest, blinded = run_task(task, X, y), run_task(task, X, shuffled)
    assert honest["error"] is None
    learned = [*map(learned_parameters, kept)]
    assert key == "euclidean" or learned[0]
    for one, other in zip(*learned, strict=True):
        np.testing.assert_array_equal(one, other)
    assert honest["params"] == blinded["params"]
    assert honest["tuning"] == blinded["tuning"]
    assert len(honest["tuning"]) <= 3
    assert honest["scores"] != blinded["scores"]


def test_closed_folds_cover_every_row_once(blobs):
    splits, _ = make_splits(blobs[1], 5, seed=0)
    tested = np.concatenate([split.test for split in splits if split.protocol == "closed"])
    np.testing.assert_array_equal(np.sort(tested), np.arange(80))


def test_open_splits_share_no_class(blobs):
    y = blobs[1]
    splits, notes = make_splits(y, 5, seed=0)
    opened = [split for split in splits if split.protocol == "open"]
    assert len(opened) == 5
    for split in opened:
        assert not set(y[split.train]) & set(y[split.test])
        assert len(np.unique(y[split.train])) >= 4
    assert "4 classes and tested on the other 4" in notes["open"]


@pytest.mark.parametrize(("n_classes", "has_open"), [(5, False), (6, True)])
def test_too_few_classes_leave_the_open_set_out(n_classes, has_open):
    splits, notes = make_splits(np.repeat(np.arange(n_classes), 6), 3, seed=0)
    assert any(split.protocol == "open" for split in splits) is has_open
    assert ("5 classes are too few" in notes["open"]) is not has_open


def test_fewer_folds_where_a_class_is_small():
    splits, notes = make_splits(np.r_[np.zeros(20, int), np.ones(3, int)], 5, seed=0)
    assert len(splits) == 3
    assert notes["closed"] == "3 folds, as the smallest class has 3 rows"


@pytest.mark.parametrize("name", ["closed", "open"])
def test_a_setting_is_chosen_on_validation_rows(blobs, name):
    X, y = blobs
    noise = np.c_[X, 40 * np.random.RandomState(0).randn(len(X), 2)]

    class Take(TransformerMixin, BaseEstimator):
        def __init__(self, columns=2):
            self.columns = columns

        def fit(self, X, y):
            self.n_fit_ = len(X)
            return self

        def transform(self, X):
            return X[:, : self.columns]

    own = resolve_learners({"take": Take()})[0]
    grid = [{"columns": 7}, {"columns": 3}, {"columns": 1}]
    learner = replace(own, make=lambda setting: (Take(), grid))
    fitted = fit_tuned(learner, noise, y, protocol=name)
    scores = [trial["score"] for trial in fitted.tuning]
    assert fitted.params == {"columns": 3}
    assert scores[1] == max(scores) > max(scores[0], scores[2])
    assert fitted.estimator.n_fit_ == len(y)
    untuned = fit_tuned(learner, noise, y, protocol=name, tuning=Tuning("off"))
    assert untuned.params == {"columns": 7}
    assert untuned.tuning == []


# Tuning


SMALL_SPACE = {"lmnn": {"mu": [0.2, 0.5, 0.8], "n_components": [None, 0.5]}}


@pytest.mark.parametrize("key", LINE_UP)
@pytest.mark.parametrize("shape", [None, (4, 4)], ids=["tabular", "image"])
def test_every_search_space_sets_its_learner(key, shape):
    setting = Setting(60, 16, 3, smallest_class=3, image_shape=shape)
    estimator, grid = LINE_UP[key].make(setting)
    space = search_space(LINE_UP[key], setting, grid)
    assert bool(space) is (key not in ("euclidean", "standardised", "mahalanobis"))
    for name, values in space.items():
        assert len(set(values)) == len(values)
        for value in values:
            estimator.set_params(**{name: value})
    assert max(space.get("metric__n_neighbors", [0])) <= 2


@pytest.mark.parametrize("method", ["grid", "random", "halving"])
@pytest.mark.parametrize("name", ["closed", "open"])
def test_a_search_keeps_its_budget_and_takes_the_best(blobs, method, name):
    learner = resolve_learners(["lmnn"], SMALL_SPACE)[0]
    fitted = fit_tuned(learner, *blobs, protocol=name, tuning=Tuning(method, 4))
    again = fit_tuned(learner, *blobs, protocol=name, tuning=Tuning(method, 4))
    assert fitted.tuning == again.tuning
    n_rows = max(trial.get("n_rows", 1) for trial in fitted.tuning)
    spent = sum(trial.get("n_rows", 1) for trial in fitted.tuning) / n_rows
    assert 3 <= spent <= 4 + 1e-9
    last = [trial for trial in fitted.tuning if trial.get("n_rows", 1) == n_rows]
    best = max(last, key=lambda trial: trial["score"])
    assert {k: fitted.params[k] for k in best["params"]} == best["params"]
    assert fitted.params["metric__n_passes"] == 2  # what is not searched is the line-up's


def test_a_grid_within_the_budget_is_tried_whole(blobs):
    learner = resolve_learners(["lmnn"], SMALL_SPACE)[0]
    fitted = fit_tuned(learner, *blobs, protocol="closed", tuning=Tuning("grid", 50))
    tried = [tuple(trial["params"].values()) for trial in fitted.tuning]
    assert len(tried) == len(set(tried)) == 6


def test_seconds_end_a_search(blobs):
    learner = resolve_learners(["lmnn"], {"lmnn": {"mu": uniform(0.1, 0.8)}})[0]
    fitted = fit_tuned(learner, *blobs, protocol="closed", tuning=Tuning("random", None, 1e-9))
    assert len(fitted.tuning) == 1
    fitted = fit_tuned(learner, *blobs, protocol="closed", tuning=Tuning("random", None, 0.3))
    assert len(fitted.tuning) > 1
    assert fitted.tune_seconds >= 0.3


def test_settings_that_cannot_be_fitted_are_passed_over(blobs):
    space = {"lmnn": {"mu": [0.5, 2.0]}}
    fitted = fit_tuned(
        resolve_learners(["lmnn"], space)[0], *blobs, protocol="closed", tuning=Tuning("grid", 9)
    )
    assert [trial["score"] is None for trial in fitted.tuning] == [False, True]
    assert fitted.params["metric__mu"] == 0.5
    result = compare(
        ["lmnn"], *blobs, n_folds=2, tune="grid", search_spaces={"lmnn": {"mu": [2.0, 3.0]}}
    )
    assert re.match("ValueError: no setting could be fitted: .*mu", result.rows()[0]["error"])


def test_a_learner_of_ones_own_is_tuned_over_the_space_given(blobs):
    result = compare(
        {"mine": NCA(random_state=0), "as it is": NCA(random_state=0)},
        *blobs,
        n_folds=2,
        tune="random",
        tune_budget=2,
        search_spaces={"mine": {"n_components": [2, 3, 4]}},
    )
    rows = {row["key"]: row for row in result.rows()}
    assert rows["mine"]["n_tried"] == 2
    assert rows["as it is"]["n_tried"] == 0
    assert rows["mine"]["dimension"] <= 4
    assert "at most 2 fits for each learner in each fold" in tuning_line(result)


@pytest.mark.parametrize("n_fits", [1, 2, 3, 7, 20, 100])
@pytest.mark.parametrize("n_settings", [None, 5])
@pytest.mark.parametrize(("n_rows", "fewest"), [(900, 80), (901, 901), (50, 20), (1000, 1)])
def test_halving_costs_no_more_than_the_budget(n_fits, n_settings, n_rows, fewest):
    n_candidates, first = plan_halving(n_fits, n_rows, fewest, n_settings)
    assert first >= min(fewest, n_rows) or first == n_rows
    assert n_candidates <= (n_settings or n_candidates)
    cost, kept, rows = 0, n_candidates, first
    while rows <= n_rows:
        cost += kept * rows
        kept, rows = -(-kept // 3), 3 * rows
    assert cost <= n_fits * n_rows
    if n_settings is None and n_rows != 1000:
        assert n_candidates >= n_fits  # what halving is for


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tune": "bayes"}, "tune='bayes' is unknown; give 'grid', 'random', 'halving'"),
        ({"tune_budget": 5}, "tune_budget=5 needs a search"),
        ({"tune": "grid", "tune_budget": 0}, "tune_budget=0 must be a number of fits"),
        ({"tune": "grid", "tune_budget": "1h"}, "tune_budget='1h' must be a number of fits"),
        ({"tune": "grid", "tune_budget": "-3s"}, "tune_budget='-3s' must be"),
        ({"tune": "grid", "tune_budget": True}, "tune_budget=True must be"),
        ({"tune": "halving", "tune_budget": "9s"}, "halving plans its rounds ahead"),
        (
            {"tune": "grid", "search_spaces": {"euclidean": {"a": uniform()}}},
            "search_spaces['euclidean'] holds a distribution, which has no end",
        ),
        ({"search_spaces": {"lmn": {}}}, "search_spaces: 'lmn' is not one of the learners"),
        ({"search_spaces": {"euclidean": [1]}}, "must be a dict of parameter name to values"),
        ({"search_spaces": {"euclidean": {"a": 1}}}, "must be a list of values to try"),
        ({"search_spaces": {"euclidean": {"a": []}}}, "must be a list of values to try"),
    ],
)
def test_bad_tuning_is_one_clear_error_before_any_work(blobs, monkeypatch, arguments, message):
    monkeypatch.setattr(run, "run_task", None)
    with pytest.raises(ValueError, match=re.escape(message)):
        compare(CHEAP, *blobs, **arguments)


def test_budgets_are_read():
    assert make_tuning("random", "12") == Tuning("random", 12)
    assert make_tuning("grid", "1.5s") == Tuning("grid", None, 1.5)
    assert make_tuning("halving") == Tuning("halving", 20)
    assert make_tuning() == make_tuning(True) == Tuning("few")
    assert make_tuning(False) == Tuning("off")


def test_costly_learners_see_a_share_of_many_rows(blobs):
    learner = replace(LINE_UP["mahalanobis"], max_rows=40)
    fitted = fit_tuned(learner, *blobs, protocol="closed")
    assert fitted.notes == ["learned from 40 of 80 training rows"]


def test_closed_scores_against_loops(blobs):
    X, y = blobs
    split = next(s for s in make_splits(y, 3, seed=0)[0] if s.protocol == "closed")
    record = run_task(Task(LINE_UP["euclidean"], split, 0, Tuning(), False), X, y)
    hits = {1: [], 4: []}
    votes = []
    for row in split.test:
        order = np.argsort([np.sum((X[row] - X[other]) ** 2) for other in split.train])
        labels = y[split.train][order]
        votes.append(np.bincount(labels[:3]).argmax() == y[row])
        for k, found in hits.items():
            found.append(y[row] in labels[:k])
    assert record["scores"]["accuracy"] == pytest.approx(np.mean(votes))
    assert record["recall_at"]["1"] == pytest.approx(np.mean(hits[1]))
    assert record["recall_at"]["4"] == pytest.approx(np.mean(hits[4]))


# The line-up


@pytest.mark.parametrize("key", LINE_UP)
@pytest.mark.parametrize("shape", [None, (4, 4)], ids=["tabular", "image"])
def test_every_grid_fits_its_learner(key, shape):
    setting = Setting(60, 16, 3, smallest_class=2, image_shape=shape)
    estimator, grid = LINE_UP[key].make(setting)
    for params in grid:
        estimator.set_params(**params)
    if LINE_UP[key].family == "deep":
        assert estimator["metric"].module == ("mlp" if shape is None else "convnet")


def test_wide_data_get_principal_components():
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], 12)
    X = rng.randn(36, 60) + 2 * y[:, None]
    result = compare(["euclidean", "mahalanobis"], X, y, n_folds=3)
    rows = {row["key"]: row for row in result.rows()}
    assert rows["euclidean"]["notes"] == []
    assert rows["euclidean"]["dimension"] == 60
    assert rows["mahalanobis"]["notes"] == ["on 6 principal components"]
    matrix = next(r["matrix"] for r in result.records if r.get("matrix"))
    assert matrix["space"] == "principal components"
    assert np.shape(matrix["values"]) == (6, 6)
    assert len(matrix["weights"]) == 60


def test_image_scaler_divides_all_pixels_by_one_number(rng):
    X = (rng.rand(30, 6) * [1, 2, 3, 4, 5, 0]).astype(np.float32)
    Z = ImageScaler().fit_transform(X)
    assert Z.dtype == np.float32
    centred = X - X.mean(axis=0)
    np.testing.assert_allclose(Z, centred / np.sqrt(np.mean(centred**2)), rtol=1e-6)
    assert np.all(np.isfinite(ImageScaler().fit_transform(np.ones((3, 2)))))


@pytest.mark.parametrize("channels", [(), (3,)])
def test_image_shrinker_averages_blocks(rng, channels):
    images = rng.rand(4, 7, 5, *channels)
    shrink = ImageShrinker((7, 5, *channels), 2)
    small = shrink.fit_transform(images.reshape(4, -1)).reshape(4, *shrink.shape)
    assert shrink.shape == (3, 2, *channels)
    np.testing.assert_allclose(small[1, 2, 0], images[1, 4:6, 0:2].mean(axis=(0, 1)))


@pytest.mark.parametrize(
    ("shape", "shrunk"),
    [((28, 28), None), ((64, 64), (32, 32)), ((33, 20, 3), (16, 10, 3)), ((100, 2), (50, 1))],
)
def test_only_large_images_are_shrunk(shape, shrunk):
    shrink = shrinker(shape)
    assert (shrink and shrink.shape) == shrunk


@pytest.mark.parametrize(
    ("learners", "names"),
    [
        (
            ["lmnn", "Deep-Triplet", "standardized"],
            ["LMNN", "Deep triplet", "Standardised Euclidean"],
        ),
        ("nca", ["NCA"]),
        ({"mine": StandardScaler(), "theirs": "mmc"}, ["mine", "theirs"]),
        ([StandardScaler()], ["StandardScaler"]),
    ],
)
def test_learners_by_name_and_by_object(learners, names):
    assert [learner.name for learner in resolve_learners(learners)] == names


def test_the_default_line_up():
    assert [learner.key for learner in resolve_learners()] == list(LINE_UP)
    assert len(LINE_UP) == 10


@pytest.mark.parametrize(
    ("learners", "message"),
    [
        (["lmn"], "unknown learner 'lmn'; did you mean 'lmnn'"),
        ([], "learners is empty"),
        (["nca", "nca"], "'nca' twice"),
        ([StandardScaler], "neither a name of the line-up"),
        ([3], "neither a name of the line-up"),
    ],
)
def test_bad_learners_are_one_clear_error(blobs, learners, message):
    with pytest.raises(ValueError, match=message):
        compare(learners, *blobs)


# The run


def test_same_seed_same_numbers_in_one_process_and_in_two(blobs, compared):
    again = compare([*CHEAP, Broken()], *blobs, name="blobs", n_folds=3, n_jobs=2)
    assert [*map(without_seconds, again.records)] == [*map(without_seconds, compared.records)]


def test_another_seed_other_splits(blobs, compared):
    other = compare(CHEAP, *blobs, n_folds=3, random_state=1)
    assert other.rows()[0]["accuracy"] != compared.rows()[0]["accuracy"]


def test_a_learner_that_fails_is_a_row_that_says_why(compared):
    rows = {row["name"]: row for row in compared.rows()}
    assert rows["Broken"]["error"] == "RuntimeError: the machine is on strike"
    assert rows["Broken"]["accuracy"] is None
    assert compared.rows()[-1]["name"] == "Broken"
    assert rows["Euclidean"]["error"] is None
    assert rows["Euclidean"]["folds"] == {"closed": 3, "open": 3}


def test_missing_torch_is_a_row_with_the_install_command():
    # Away only while the learner is made: scipy itself stumbles over a torch that is None.
    code = """
import sys
from dataclasses import replace
from sklearn.datasets import load_iris
from metriclearn.compare import _lineup, compare

def without_torch(setting):
    sys.modules["torch"] = None
    try:
        return triplet.make(setting)
    finally:
        del sys.modules["torch"]

triplet = _lineup.LINE_UP["triplet"]
_lineup.LINE_UP["triplet"] = replace(triplet, make=without_torch)
rows = compare(["triplet", "euclidean"], *load_iris(return_X_y=True), n_folds=2).rows()
print(rows[0]["name"], rows[1]["error"], sep="|")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    name, error = done.stdout.strip().split("|")
    assert name == "Euclidean"
    assert error == "torch is not installed; it comes with: pip install 'metriclearn[deep]'"


@pytest.fixture
def interrupted_after(monkeypatch):
    def after(n_tasks):
        finished = []

        def task_or_interrupt(task, X, y):
            if len(finished) == n_tasks:
                raise KeyboardInterrupt
            finished.append(task)
            return run_task(task, X, y)

        monkeypatch.setattr(run, "run_task", task_or_interrupt)

    return after


def test_an_interrupt_keeps_what_is_finished(blobs, interrupted_after, tmp_path):
    interrupted_after(5)
    with pytest.warns(UserWarning, match="interrupted: 5 of 12 fits were finished"):
        result = compare(CHEAP, *blobs, n_folds=3)
    assert result.interrupted == "interrupted"
    assert len(result.records) == 5
    assert all(row["accuracy"] is not None for row in result.rows())
    result.to_html(tmp_path / "report.html")
    assert "Stopped early" in (tmp_path / "report.html").read_text()


def test_a_learner_not_reached_says_so(blobs, interrupted_after):
    interrupted_after(1)
    with pytest.warns(UserWarning, match="1 of 12"):
        result = compare(CHEAP, *blobs, n_folds=3)
    assert result.rows()[-1]["error"] == "not reached before the interrupt"


def test_an_interrupt_before_anything_is_finished_is_an_interrupt(blobs, interrupted_after):
    interrupted_after(0)
    with pytest.raises(KeyboardInterrupt):
        compare(CHEAP, *blobs)


# On a cluster

ON_THIS_MACHINE = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "memory_limit": 0}


@pytest.fixture(scope="module")
def cluster():
    """Two workers, and no network but this machine's own."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **ON_THIS_MACHINE) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        yield client


@pytest.mark.parametrize(
    "learner",
    [
        "nca",
        pytest.param(
            DeepEmbedder(max_epochs=2, n_components=4, validation=None),
            marks=pytest.mark.slow,
            id="deep",
        ),
    ],
)
def test_a_cluster_of_two_workers_gives_the_same_numbers(blobs, client, learner):
    learners = {"it": learner, "broken": Broken()}
    arguments = {"n_folds": 2, "tune": "random", "tune_budget": 2, "dimensions": [2]}
    alone = compare(learners, *blobs, **arguments)
    together = compare(learners, *blobs, **arguments, client=client)
    assert [*map(without_seconds, together.records)] == [*map(without_seconds, alone.records)]
    assert [*map(without_seconds, together.curve_records)] == [
        *map(without_seconds, alone.curve_records)
    ]
    assert len(together.records) == 2 * 2 * 2
    assert together.run["n_jobs"] == 2


def test_both_workers_of_a_cluster_work(blobs, client, monkeypatch):
    def run_and_tell(task, X, y):
        return run_task(task, X, y) | {"where": distributed.get_worker().address}

    monkeypatch.setattr(run, "run_task", run_and_tell)
    result = compare(CHEAP, *blobs, n_folds=3, client=client)
    assert len({record["where"] for record in result.records}) == 2


def test_an_interrupt_on_a_cluster_keeps_what_is_finished(blobs, client, monkeypatch):
    class Stop(run.NoProgress):
        n_finished = 0

        def finished(self, record):
            self.n_finished += 1
            if self.n_finished == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(run, "NoProgress", Stop)
    with pytest.warns(UserWarning, match="interrupted: 3 of 12 fits were finished"):
        result = compare(CHEAP, *blobs, n_folds=3, client=client)
    assert len(result.records) == 3


def test_a_cluster_that_dies_keeps_what_is_finished(blobs, client, monkeypatch):
    def dying(task, X, y):
        if task.split.fold == 1:
            raise distributed.KilledWorker("run", SimpleNamespace(address="gone"), 3)
        return run_task(task, X, y)

    monkeypatch.setattr(run, "run_task", dying)
    with pytest.warns(UserWarning, match="a worker process died"):
        result = compare(CHEAP, *blobs, n_folds=3, client=client)
    assert 1 <= len(result.records) < 12


def test_a_client_that_cannot_be_used_is_one_clear_error(blobs, client):
    with pytest.raises(ValueError, match=r"client must be a dask.distributed.Client .* got 'tcp:"):
        compare(CHEAP, *blobs, client="tcp://localhost:1")
    with pytest.raises(ValueError, match="n_jobs=2 and client are two answers"):
        compare(CHEAP, *blobs, client=client, n_jobs=2)


def test_a_cluster_without_workers_is_one_clear_error(blobs):
    with (
        distributed.LocalCluster(n_workers=0, **ON_THIS_MACHINE) as empty,
        distributed.Client(empty) as client,
        pytest.raises(ValueError, match="client: its cluster has no worker yet"),
    ):
        compare(CHEAP, *blobs, client=client)


# Curves


@pytest.fixture(scope="module")
def curved(blobs):
    return compare(
        [*CHEAP, "nca", Broken()],
        *blobs,
        n_folds=3,
        rows=[50, 20],
        dimensions=[2, 5, 9],
        shift=3,
    )


def test_a_curve_over_rows_is_the_comparison_on_fewer_rows(blobs, curved):
    X, y = blobs
    (curve,) = [c for c in curved.curve("rows", "accuracy") if c["key"] == "euclidean"]
    assert [point["place"] for point in curve["points"]] == [20, 50]
    assert [point["n_folds"] for point in curve["points"]] == [3, 3]
    votes = []
    for split in make_splits(y, 3, seed=0)[0]:
        if split.protocol == "closed":
            rows = split.train[stratified_order(y[split.train], 0)[:20]]
            nearest = KNeighborsClassifier(3).fit(X[np.sort(rows)], y[np.sort(rows)])
            votes.append(nearest.score(X[split.test], y[split.test]))
    assert curve["points"][0]["mean"] == pytest.approx(np.mean(votes))
    assert curve["points"][0]["std"] == pytest.approx(np.std(votes, ddof=1))
    (opened,) = [c for c in curved.curve("rows", "map_at_r") if c["key"] == "euclidean"]
    assert [point["place"] for point in opened["points"]] == [20]  # 40 rows of 4 classes


def test_a_curve_leaves_the_table_as_it_is(curved, compared):
    kept = [r for r in curved.records if r["learner"] != "nca"]
    assert [*map(without_seconds, kept)] == [*map(without_seconds, compared.records)]


@pytest.mark.parametrize("key", ["euclidean", "mahalanobis", "nca"])
def test_a_curve_over_dimensions_sets_the_dimension(curved, key):
    records = [r for r in curved.curve_records if r["axis"] == "dimensions" and r["learner"] == key]
    assert {(r["place"], r["dimension"]) for r in records} == {(2, 2), (5, 5)}
    (curve,) = [c for c in curved.curve("dimensions", "accuracy") if c["key"] == key]
    assert [point["place"] for point in curve["points"]] == [2, 5]


def test_all_dimensions_are_the_learner_itself(curved):
    """PCA to as many dimensions as there are is a rotation, which moves no neighbour."""
    rows = {row["key"]: row for row in curved.rows()}
    for curve in curved.curve("dimensions", "map_at_r"):
        assert curve["points"][-1]["mean"] == pytest.approx(rows[curve["key"]]["map_at_r"])


def test_a_curve_over_shift_is_read_by_the_distance(curved):
    shifts = curved.run["axes"]["shift"]
    assert shifts == sorted(shifts)
    for curve in curved.curve("shift", "recall_at_1"):
        assert [point["place"] for point in curve["points"]] == shifts
        assert {point["std"] for point in curve["points"]} == {None}


def test_a_learner_with_a_dimension_of_its_own_and_one_without(blobs):
    result = compare(
        {"nca": NCA(), "scaled": StandardScaler(), "piped": make_pipeline(StandardScaler(), NCA())},
        *blobs,
        n_folds=2,
        dimensions=[3],
        tune="grid",
        search_spaces={"scaled": {"with_mean": [True, False]}, "nca": {"n_components": [1, 2]}},
    )
    assert {r["dimension"] for r in result.curve_records} == {3}
    assert result.curve_notes() == []
    assert {r["dimension"] for r in result.records if r["learner"] == "nca"} <= {1, 2}
    tried = {r["learner"]: r["params"] for r in result.curve_records}
    assert set(tried["scaled"]) == {"metric__with_mean"}
    assert tried["nca"] == {}


def test_deep_learners_have_more_dimensions_than_the_rows(blobs):
    X, y = blobs
    setting = Setting(80, 5, 8, smallest_class=5)
    estimator, grid = LINE_UP["arcface"].make(setting)
    estimator, grid, space = at_dimension(estimator, grid, {"metric__n_components": [2]}, 17)
    assert space == {}
    estimator.set_params(metric__max_epochs=1)
    assert estimator.fit(X.astype(np.float32), y).transform(X.astype(np.float32)).shape == (80, 17)


def test_principal_components_grow_with_the_dimension(rng):
    X, y = rng.randn(60, 80), np.repeat(np.arange(3), 20)
    result = compare(["nca"], X, y, n_folds=2, dimensions=[4, 12])
    dimensions = {r["place"]: r["dimension"] for r in result.curve_records}
    assert dimensions == {4: 4, 12: 12}


def test_missing_points_say_why(curved):
    assert curved.curve_notes() == [
        f"Broken, curve over {axis}: {n} fits failed: RuntimeError: the machine is on strike"
        for axis, n in (("dimensions", 18), ("rows", 9), ("shift", 3))
    ]


def test_curves_as_a_frame(curved):
    frame = curved.to_frame(curve="dimensions")
    assert list(frame) == ["learner", "measure", "place", "mean", "std", "n_folds"]
    assert len(frame) == 3 * 2 * 4
    with pytest.raises(ValueError, match="axis='depth' was not compared over; there are: rows, di"):
        curved.to_frame(curve="depth")


def test_curves_are_in_the_report_and_in_the_json(curved, tmp_path):
    curved.to_html(tmp_path / "report.html")
    text = read_page(tmp_path / "report.html")
    for heading in ("Score by training rows", "Score by dimension", "Score by shift"):
        assert heading in text
    curved.to_json(tmp_path / "numbers.json")
    assert ComparisonResult.from_json(tmp_path / "numbers.json") == curved


def test_stratified_order_holds_the_shares_of_the_classes(rng):
    y = rng.permutation(np.repeat([0, 1, 2], [100, 50, 4]))
    order = stratified_order(y, 0)
    np.testing.assert_array_equal(np.sort(order), np.arange(154))
    np.testing.assert_array_equal(np.bincount(y[order[:6]]), [2, 2, 2])
    counts = np.bincount(y[order[:77]])
    assert np.all(np.abs(counts - [50, 25, 2]) <= 2)
    assert list(order) == list(stratified_order(y, 0)) != list(stratified_order(y, 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": [15]}, "rows: 15 training rows are too few for 8 classes; give at least 16"),
        ({"rows": [20, 60]}, "rows: 60 is more than the 54 rows of the largest training part"),
        ({"rows": 20}, "rows must be a list of whole numbers of training rows"),
        ({"rows": []}, "rows must be a list"),
        ({"rows": [0.5]}, "rows must be a list"),
        ({"dimensions": [0]}, "dimensions must be a list of whole numbers of dimensions"),
        ({"dimensions": "64"}, "dimensions must be a list"),
        ({"shift": 1}, "shift=1 must be a number of splits, at least 2"),
        ({"shift": True}, "shift=True must be"),
    ],
)
def test_bad_curves_are_one_clear_error(blobs, monkeypatch, arguments, message):
    monkeypatch.setattr(run, "run_task", None)
    with pytest.raises(ValueError, match=message):
        compare(CHEAP, *blobs, n_folds=3, **arguments)


def test_shift_needs_classes():
    y = np.repeat(np.arange(6), 5)
    with pytest.raises(ValueError, match="shift: 6 classes are too few; 7 are needed"):
        compare(CHEAP, np.random.RandomState(0).randn(30, 2), y, shift=3)


def test_splits_that_are_the_same_come_once(blobs):
    splits, shifts = shift_splits(20, *blobs)
    assert len(splits) == len(shifts) == 3  # of 8 classes two pairs can be exchanged


# Going on


@pytest.fixture
def counted(monkeypatch):
    """The tasks that were really run."""
    ran = []

    def count(task, X, y):
        ran.append(task.cell)
        return run_task(task, X, y)

    monkeypatch.setattr(run, "run_task", count)
    return ran


@pytest.fixture(scope="module")
def kept(blobs, tmp_path_factory):
    """A finished comparison and the folder of its fits."""
    folder = tmp_path_factory.mktemp("kept") / "fits"
    return compare([*CHEAP, Broken()], *blobs, n_folds=3, resume=folder), folder


@pytest.fixture
def folder(kept, tmp_path):
    return shutil.copytree(kept[1], tmp_path / "fits")


KILLED = """
import os, signal, sys
import numpy as np
from metriclearn.compare import _run, compare

def run_then_die(task, X, y, run_task=_run.run_task):
    if len(os.listdir(sys.argv[1])) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return run_task(task, X, y)

_run.run_task = run_then_die
blobs = np.load(sys.argv[2])
compare(["euclidean", "mahalanobis"], blobs["X"], blobs["y"], n_folds=3, resume=sys.argv[1])
"""


def test_a_killed_run_goes_on_from_what_it_has(blobs, compared, counted, tmp_path):
    X, y = blobs
    np.savez(tmp_path / "blobs.npz", X=X, y=y)
    command = [sys.executable, "-c", KILLED, tmp_path / "fits", tmp_path / "blobs.npz"]
    assert subprocess.run(command, timeout=120).returncode == -signal.SIGKILL
    result = compare(CHEAP, X, y, n_folds=3, resume=tmp_path / "fits")
    assert len(counted) == 7
    assert result.run["n_resumed"] == 5
    whole = [record for record in compared.records if record["learner"] in CHEAP]
    assert [*map(without_seconds, result.records)] == [*map(without_seconds, whole)]


def test_failures_are_tried_again_and_all_else_is_kept(blobs, kept, folder, counted):
    result = compare([*CHEAP, Broken()], *blobs, n_folds=3, resume=folder)
    assert {cell[0] for cell in counted} == {"Broken"}
    assert len(counted) == 6
    assert result.records == [
        record | {"task_seconds": again["task_seconds"]}
        for record, again in zip(kept[0].records, result.records, strict=True)
    ]


def test_a_cell_that_is_not_whole_is_computed_again(blobs, kept, folder, counted):
    cut, changed, *_ = sorted(folder.iterdir())
    cut.write_text(cut.read_text()[:-40])
    changed.write_text(changed.read_text().replace('"error": null', '"error":  "x"'))
    result = compare(CHEAP, *blobs, n_folds=3, resume=folder)
    assert len(counted) == 2
    assert [*map(without_seconds, result.records)] == [
        without_seconds(record) for record in kept[0].records if record["learner"] in CHEAP
    ]
    assert compare(CHEAP, *blobs, n_folds=3, resume=folder).run["n_resumed"] == 12


CHANGES = {
    "nothing": ({}, 12),
    "seed": ({"random_state": 1}, 0),
    "tuning": ({"tune": "random"}, 0),
    "budget": ({"tune": "random", "tune_budget": 3}, 0),
    "folds": ({"n_folds": 4}, 6),  # the first three open splits stay what they are
    "space": ({"search_spaces": {"mahalanobis": {"a": uniform(0, 1)}}}, 6),
    "rows": ({"X": lambda X: X + 1e-12}, 0),
    "labels": ({"y": lambda y: y[::-1]}, 0),
    "shape": ({"image_shape": (5, 1)}, 0),
}


@pytest.mark.parametrize(("change", "n_kept"), CHANGES.values(), ids=CHANGES)
def test_changed_settings_are_not_mixed_up(blobs, folder, change, n_kept):
    X, y = blobs
    change = dict(change)
    X, y = change.pop("X", lambda X: X)(X), change.pop("y", lambda y: y)(y)
    result = compare(CHEAP, X, y, **{"n_folds": 3, **change}, resume=folder)
    assert result.run["n_resumed"] == n_kept
    again = compare(CHEAP, X, y, **{"n_folds": 3, **change}, resume=folder)
    assert again.run["n_resumed"] == again.run["n_tasks"]
    assert again.records == result.records


def test_settings_of_ones_own_learner_are_not_mixed_up(blobs, tmp_path):
    first = compare({"mine": NCA(2, max_iter=3)}, *blobs, n_folds=2, resume=tmp_path)
    other = compare({"mine": NCA(3, max_iter=3)}, *blobs, n_folds=2, resume=tmp_path)
    assert [first.rows()[0]["dimension"], other.rows()[0]["dimension"]] == [2, 3]
    again = compare({"mine": NCA(2, max_iter=3)}, *blobs, n_folds=2, resume=tmp_path)
    assert again.records == first.records


def test_a_disk_that_fills_up_costs_no_result(blobs, tmp_path, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("metriclearn.compare._cells.write_whole", full)
    result = compare(CHEAP, *blobs, n_folds=2, resume=tmp_path)
    assert len(result.records) == 8
    assert "could be kept in" in result.data["notes"][0]


def test_a_folder_that_cannot_be_used_is_one_clear_error(blobs, tmp_path, counted):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"resume .*file: is not a folder"):
        compare(CHEAP, *blobs, resume=tmp_path / "file")
    with pytest.raises(ValueError, match=r"resume .*no/fits: there is no folder .*no"):
        compare(CHEAP, *blobs, resume=tmp_path / "no" / "fits")

    class Mine(StandardScaler):
        pass

    with pytest.raises(ValueError, match="resume: learner 'Mine' cannot be pickled"):
        compare([Mine()], *blobs, resume=tmp_path)
    assert counted == []


def test_time_left_learns_from_what_is_done():
    learners = resolve_learners(["euclidean", "lmnn"])
    tasks = [
        Task(learner, Split("closed", fold, None, None), 0, Tuning(), False)
        for fold in range(3)
        for learner in learners
    ]
    left = TimeLeft(tasks, n_jobs=2)
    left.finished({"learner": "euclidean", "protocol": "closed", "axis": None, "task_seconds": 1.0})
    ratio = LINE_UP["lmnn"].cost / LINE_UP["euclidean"].cost
    assert left.seconds() == pytest.approx((2 * 1.0 + 3 * ratio) / 2)
    left.finished({"learner": "lmnn", "protocol": "closed", "axis": None, "task_seconds": 10.0})
    assert left.seconds() == pytest.approx((2 * 1.0 + 2 * 10.0) / 2)


def test_progress_names_what_runs(blobs, capsys, monkeypatch):
    for name, value in (("FORCE_COLOR", "1"), ("TTY_INTERACTIVE", "1"), ("COLUMNS", "160")):
        monkeypatch.setenv(name, value)
    compare(CHEAP, *blobs, n_folds=2, verbose=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", captured.err)
    assert "8/8" in shown
    assert "left" in shown


def test_silent_by_default(blobs, capsys):
    compare(CHEAP, *blobs, n_folds=2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


# The result


def test_frame_is_the_table_best_first(compared):
    frame = compared.to_frame()
    assert list(frame["learner"])[-1] == "Broken"
    assert {"accuracy", "accuracy_std", "map_at_r", "fit_seconds", "dimension"} <= set(frame)
    finished = frame["accuracy"].dropna()
    assert list(finished) == sorted(finished, reverse=True)
    folds = compared.to_frame(per_fold=True)
    assert len(folds) == 3 * 2 * 3
    mean = folds.query("learner == 'Euclidean'")["recall_at_1"].mean()
    row = frame[frame["learner"] == "Euclidean"].iloc[0]
    assert row["recall_at_1"] == pytest.approx(mean)


def test_json_round_trip(compared, tmp_path):
    path = tmp_path / "numbers.json"
    compared.to_json(path)
    again = ComparisonResult.from_json(path)
    assert again == compared
    assert again.rows() == compared.rows()
    document = json.loads(path.read_text())
    assert document["run"]["seed"] == 0
    assert set(document["run"]["versions"]) >= {"metriclearn", "python", "numpy", "torch"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["numbers.json"]


@pytest.mark.parametrize("text", ["", "[1]", '{"format": "another"}'])
def test_another_json_file_is_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.json: not a"):
        ComparisonResult.from_json(path)


def made_up(scores, family="linear"):
    """A result with these accuracies: {name: one score a fold}."""
    records = [
        {
            "learner": name,
            "protocol": "closed",
            "fold": fold,
            "axis": None,
            "place": None,
            "n_train": 80,
            "n_test": 20,
            "scores": {"accuracy": score},
            "recall_at": {"1": score, "2": score},
            "dimension": 2,
            "fit_seconds": 1.0,
            "tune_seconds": 0.0,
            "params": {},
            "tuning": [],
            "notes": [],
            "error": None,
        }
        for name, folds in scores.items()
        for fold, score in enumerate(folds)
    ]
    learners = [
        {"key": name, "name": name, "family": "deep" if name.startswith("deep") else family}
        for name in scores
    ]
    data = {
        "name": "made up",
        "kind": "tabular",
        "n_rows": 100,
        "n_features": 2,
        "n_classes": 2,
        "class_names": ["0", "1"],
        "feature_names": None,
        "image_shape": None,
        "notes": [],
    }
    about = {
        "command": "none",
        "seed": 0,
        "n_folds": 5,
        "tuning": {"method": "few", "n_fits": None, "seconds": None},
        "n_tasks": len(records),
        "n_resumed": 0,
        "axes": {},
        "protocols": ["closed"],
        "protocol_notes": {"open": "left out"},
        "started": "",
        "seconds": 1.0,
        "n_jobs": 1,
        "versions": {"metriclearn": "0"},
        "platform": "",
        "n_cores": 1,
    }
    return ComparisonResult(learners, records, data, about)


CLOSE = {"a": [0.90, 0.92, 0.91, 0.93, 0.90], "b": [0.91, 0.90, 0.92, 0.90, 0.91]}
CLEAR = {"a": [0.90, 0.92, 0.91, 0.93, 0.90], "b": [0.80, 0.82, 0.80, 0.83, 0.81]}


def test_a_lead_within_noise_is_a_tie():
    verdict = made_up(CLOSE).verdict("accuracy")
    assert verdict["winner"] == "a"
    assert verdict["tied"] == ["b"]
    assert "Not told apart from it by these folds: b." in made_up(CLOSE).sentences()[0]


def test_a_clear_lead_is_beyond_noise():
    verdict = made_up(CLEAR).verdict("accuracy")
    assert verdict["tied"] == []
    assert verdict["against"][0]["lead"] == pytest.approx(0.10)
    assert "beyond the noise of the folds" in made_up(CLEAR).sentences()[0]


def test_deep_or_linear_compares_the_best_of_each():
    result = made_up({"deep one": CLEAR["b"], "deep two": CLEAR["a"], "line": CLOSE["b"]})
    question = result.deep_or_linear("accuracy")
    assert (question["deep"], question["linear"]) == ("deep two", "line")
    assert made_up(CLEAR).deep_or_linear("accuracy") is None


def test_an_unknown_measure_is_one_clear_error(compared):
    with pytest.raises(ValueError, match="measure='f1' is unknown; there are accuracy"):
        compared.fold_scores("euclidean", "f1")


def test_corrected_test_is_the_plain_one_without_shared_rows(rng):
    d = rng.randn(8)
    plain = ttest_1samp(d, 0).pvalue
    assert corrected_resampled_t_test(d, 0) == pytest.approx(plain)
    assert corrected_resampled_t_test(d, 0.25) > plain
    assert corrected_resampled_t_test(-d, 0.25) == corrected_resampled_t_test(d, 0.25)


@pytest.mark.parametrize(("differences", "p"), [([], 1), ([0.1], 1), ([0, 0], 1), ([1, 1], 0)])
def test_corrected_test_without_spread(differences, p):
    assert corrected_resampled_t_test(differences, 0.25) == p


# The report


class Links(html.parser.HTMLParser):
    """Collects what a browser would fetch, and checks that elements close."""

    VOID = ("meta", "img", "link", "br", "hr", "input")

    def __init__(self):
        super().__init__()
        self.fetched, self.stack = [], []

    def handle_starttag(self, tag, attributes):
        self.fetched += [value for name, value in attributes if name in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.fetched += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def read_page(path):
    text = path.read_text(encoding="utf-8")
    page = Links()
    page.feed(text)
    assert page.stack == []
    assert all(link.startswith("data:") for link in page.fetched)
    assert not re.search(r"https?://|url\(|@import|<link", text)
    return text


def test_report_is_one_file_that_needs_no_network(compared, tmp_path):
    compared.to_html(tmp_path / "report.html")
    text = read_page(tmp_path / "report.html")
    assert len(text) < 2_000_000
    assert "the machine is on strike" in text
    assert "seed" in text
    for row in compared.rows():
        assert row["name"] in text
    assert text.count('class="map"') == 2 * len(CHEAP)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_report_of_images_shows_pixels(tmp_path):
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1], 10)
    images = rng.rand(20, 5, 4) + y[:, None, None]
    result = compare(CHEAP, images, y, n_folds=2)
    assert result.data["image_shape"] == [5, 4]
    result.to_html(tmp_path / "report.html")
    assert "weight of each pixel" in read_page(tmp_path / "report.html")


def test_report_escapes_names(tmp_path):
    pandas = pytest.importorskip("pandas")
    rng = np.random.RandomState(0)
    frame = pandas.DataFrame(rng.randn(20, 2), columns=["<b>bold", "a & b"])
    y = np.repeat(["<i>x", "y & z"], 10)
    result = compare({"<u>mine": StandardScaler(), "M": "mahalanobis"}, frame, y, n_folds=2)
    result.to_html(tmp_path / "report.html")
    text = read_page(tmp_path / "report.html")
    assert "<b>bold" not in text
    assert "<i>x" not in text
    assert "<u>mine" not in text
    assert "a &amp; b" in text


def test_report_where_everything_failed(blobs, tmp_path):
    result = compare([Broken()], *blobs, n_folds=2)
    result.to_html(tmp_path / "report.html")
    assert "on strike" in read_page(tmp_path / "report.html")
    assert result.sentences() == []


def test_plot_draws_each_protocol(compared):
    from matplotlib import pyplot

    figure = compared.plot()
    assert len(figure.axes) == 6
    figure.canvas.draw()
    pyplot.close(figure)


def test_stretched_scale_rises_and_spreads_the_top():
    scores = np.linspace(0, 1, 101)
    places = [stretch(score) for score in scores]
    assert np.all(np.diff(places) > 0)
    assert np.all(np.diff(places, 2) > 0)


@pytest.mark.parametrize("positions", [[50, 50, 50, 50], [0, 1, 2, 80], [97, 98, 99, 100], [5]])
def test_labels_are_kept_apart(positions):
    moved = apart(positions, 10, 0, 100)
    assert np.all(np.diff(moved) >= 10 - 1e-9)
    assert max(moved) <= 100


# Several data sets


@pytest.fixture(scope="module")
def ranked(blobs):
    X, y = blobs
    rng = np.random.RandomState(1)
    few = y < 4
    datasets = {
        "blobs": (X, y),
        "noisy": (X + 2 * rng.randn(*X.shape), y),
        "few": (X[few], y[few]),
        "scaled": (X * [1, 1, 1, 30, 30], y),
    }
    learners = [*CHEAP, "standardised", Broken()]
    return compare(learners, datasets=datasets, n_folds=2), datasets


def test_ranks_are_those_of_the_scores(ranked):
    result, datasets = ranked
    ranking = result.ranks("accuracy")
    assert ranking["datasets"] == list(datasets)
    frame = result.to_frame()
    assert list(frame["mean_rank"]) == sorted(frame["mean_rank"])
    scores = frame[list(datasets)].to_numpy()
    for column, (X, y) in zip(scores.T, datasets.values(), strict=True):
        alone = compare(["mahalanobis"], X, y, n_folds=2).rows()[0]["accuracy"]
        assert column[list(frame["learner"]).index("Mahalanobis")] == alone
    ranks = rankdata(-np.nan_to_num(scores.T, nan=-1), axis=1).mean(axis=0)
    np.testing.assert_allclose(frame["mean_rank"], ranks)
    assert list(frame["learner"])[-1] == "Broken"
    assert ranking["critical_difference"] == pytest.approx(2.569 * np.sqrt(20 / 24), abs=1e-3)
    assert 0 < ranking["friedman"]["p_value"] < 1


def test_a_protocol_is_ranked_on_the_data_sets_that_have_it(ranked):
    assert ranked[0].ranks("map_at_r")["datasets"] == ["blobs", "noisy", "scaled"]
    assert len(ranked[0].sentences()) == 2
    assert "on 4 data sets" in ranked[0].sentences()[0]


def test_ranks_in_report_json_and_picture(ranked, tmp_path):
    from matplotlib import pyplot

    result = ranked[0]
    result.to_html(tmp_path / "r.html")
    text = read_page(tmp_path / "r.html")
    assert "4 data sets: which distance?" in text
    assert "critical difference 2.35" in text
    assert "on strike" in text
    result.to_json(tmp_path / "r.json")
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["ranks"]["accuracy"] == result.ranks("accuracy")
    assert len(document["comparisons"]) == 4
    display = result.plot("map_at_r")
    assert display.names == list(result.to_frame("map_at_r")["learner"])
    pyplot.close(display.figure_)


def test_words_of_ranks():
    def ranking(mean_ranks, p_value, difference):
        learners = [{"name": n, "mean_rank": r} for n, r in zip("abc", mean_ranks, strict=True)]
        return {
            "measure": "accuracy",
            "datasets": list("123456"),
            "learners": learners,
            "critical_difference": difference,
            "friedman": {"p_value": p_value},
        }

    assert ranking_text(ranking([1.1, 2.2, 2.7], 0.01, 1.0)).endswith(
        "every other learner is worse."
    )
    assert ranking_text(ranking([1.1, 2.0, 2.9], 0.01, 1.0)).endswith("from it: b.")
    assert "finds no difference (p = 0.3)" in ranking_text(ranking([1.9, 2.0, 2.1], 0.3, 1.0))


def test_an_interrupt_keeps_the_data_sets_that_are_finished(blobs, monkeypatch):
    def stop_at_other(task, X, y):
        if len(X) == 40:
            raise KeyboardInterrupt
        return run_task(task, X, y)

    monkeypatch.setattr(run, "run_task", stop_at_other)
    X, y = blobs
    result = compare(CHEAP, datasets={"a": (X, y), "b": (X[:40], y[:40]), "c": (X, y)}, n_folds=2)
    assert [comparison.data["name"] for comparison in result.comparisons] == ["a"]
    assert result.interrupted == "interrupted before b"
    assert result.ranks("accuracy") is None
    with pytest.raises(ValueError, match="measure='accuracy' is there for fewer than two"):
        result.to_frame()


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ("digits", "datasets must be a dict of name to .* or a list, got 'digits'"),
        ({"a": (np.ones((6, 1)), [0, 0, 0, 1, 1, 1])}, "datasets has 1; ranks need at least 2"),
        ({"a": np.ones((6, 1)), "b": 3}, r"datasets\['a'\] must be a pair"),
        (["iris", "iris"], "datasets has 'iris' twice"),
        (["iris", "no such"], "unknown source 'no such'"),
        (
            {"a": (np.ones((6, 1)), [0] * 6), "b": 3},
            r"datasets\['a'\]: y has one class only",
        ),
    ],
)
def test_bad_data_sets_are_one_clear_error(monkeypatch, datasets, message):
    monkeypatch.setattr(run, "run_task", None)
    with pytest.raises(ValueError, match=message):
        compare(CHEAP, datasets=datasets)


def test_data_sets_or_rows_but_not_both(blobs):
    with pytest.raises(ValueError, match="datasets and X, y are two answers"):
        compare(CHEAP, *blobs, datasets=["iris", "wine"])


# Sources from Python


def test_built_in_names():
    wine = load_source("wine")
    assert wine.kind == "tabular"
    assert wine.feature_names[0] == "alcohol"
    assert set(wine.y) == {"class_0", "class_1", "class_2"}
    digits = load_source("digits")
    assert digits.kind == "image"
    assert digits.image_shape == (8, 8)
    assert digits.X.shape == (1797, 64)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[1.0], [np.nan], [3.0]], [0, 1, 0], r"X\[:, 0\] holds NaN in row 1, counting from 0"),
        ([[1.0], [2.0], [np.inf]], [0, 1, 0], "holds infinity in row 2"),
        ([["red"], ["blue"]], [0, 1], "X must hold numbers"),
        ([[1j], [2]], [0, 1], "X must hold real numbers"),
        ([], [], "X must have rows and columns"),
        (np.empty((0, 3)), [], "X is empty"),
        ([[1.0], [2.0]], [0, 1, 1], "y has 3 labels for the 2 rows"),
        (np.ones((6, 1)), [0] * 6, "y has one class only"),
        (np.ones((6, 1)), [0, 0, 0, 1, 1, 1], None),
        (np.ones((7, 1)), [0, 0, 0, 1, 1, 1, 2], "y: class 2 has 1 row, at least 3"),
        (np.ones((6, 1)), list("abcdef"), "different label in every one of its 6 rows"),
        (np.ones((6, 1)), [0.5, 0.5, 1.5, 1.5, 2.5, 2.5], "continuous numbers"),
        (np.ones((3, 1)), [0, np.nan, 1], "no label in row 1"),
        (np.ones((3, 1)), np.array(["a", None, "b"], dtype=object), "no label in row 1"),
        (np.ones((3, 1)), [[0, 1], [1, 0], [1, 1]], "one label per row"),
    ],
)
def test_bad_arrays_are_one_clear_error(X, y, message):
    if message is None:
        assert len(as_source(X, y).y) == 6
        return
    with pytest.raises(ValueError, match=message):
        compare(CHEAP, X, y)


def test_bad_arguments_are_one_clear_error(blobs):
    with pytest.raises(ValueError, match="X and y are both needed"):
        compare(CHEAP, blobs[0])
    with pytest.raises(ValueError, match="n_folds=1 is too few"):
        compare(CHEAP, *blobs, n_folds=1)
    with pytest.raises(ValueError, match=r"image_shape=\(2, 2\) has 4 values"):
        compare(CHEAP, *blobs, image_shape=(2, 2))


def test_protocol_constants_leave_room_for_each_part():
    assert protocol.MIN_OPEN_CLASSES == 6
