"""How settings are chosen, and what that may cost."""

import re
from itertools import count
from operator import attrgetter
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.comparisons import CHEAP, without_seconds
from helpers.optional import deep
from scipy.stats import uniform
from sklearn.decomposition import PCA

from metriclearn import cli
from metriclearn.compare import _run as run
from metriclearn.compare import compare
from metriclearn.compare._effort import Effort
from metriclearn.compare._fitting import Rules, fit_tuned
from metriclearn.compare._learners._learner import Setting
from metriclearn.compare._learners._spaces import SEARCH_SPACES
from metriclearn.compare._learners._span import Span
from metriclearn.compare._records import Tuning
from metriclearn.compare._roster import (
    ROSTER,
    for_rows,
    resolve_learners,
    search_space,
)
from metriclearn.compare._tuning import _strategies
from metriclearn.compare._tuning._networks import NetworkCache
from metriclearn.compare._tuning._strategies import SEARCHES, make_tuning, plan_halving
from metriclearn.compare._words import SEARCH_NAMES, tuning_line
from metriclearn.mahalanobis._soft_neighbors._nca import NCA

SMALL_SPACE = {"lmnn": {"mu": [0.2, 0.5, 0.8], "n_components": [None, 0.5]}}


@pytest.mark.parametrize("key", ROSTER)
@pytest.mark.parametrize("shape", [None, (4, 4)], ids=["tabular", "image"])
def test_every_search_space_sets_its_learner(key, shape):
    setting = Setting(60, 16, 3, smallest_class=3, image_shape=shape)
    estimator, grid = ROSTER[key].make(setting)
    space = search_space(ROSTER[key], setting, grid)
    assert bool(space) is (key in SEARCH_SPACES or ROSTER[key].family == "deep")
    for name, values in space.items():
        assert len(set(values)) == len(values)
        for value in values:
            estimator.set_params(**{name: value})
    assert max(space.get("metric__n_neighbors", [0])) <= 2


def few_to_judge():
    """Rows of which settings are judged on fewer than a metric has dimensions."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(7), [3, 3, 3, 3, 3, 4, 4])
    return rng.normal(size=(len(y), 48)) + y[:, None], y


@pytest.mark.parametrize(
    "key", ["mahalanobis", "lda", "mmc", "nca", "lfda", "itml", "kernelmetric"]
)
@pytest.mark.parametrize("form", ["tabular", "embeddings", "image"])
def test_settings_are_judged_on_however_few_rows(key, form):
    X, y = few_to_judge()
    shape = (6, 8) if form == "image" else None
    learner = for_rows(ROSTER[key], form)
    for protocol in learner.protocols:
        fitted = fit_tuned(learner, X, y, protocol=protocol, image_shape=shape)
        assert all(trial.score is not None for trial in fitted.tuning), protocol


@pytest.mark.parametrize("key", ["nca", "lfda"])
def test_halving_begins_with_however_few_rows(key):
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    X = rng.normal(size=(120, 70)) + y[:, None]
    fitted = fit_tuned(ROSTER[key], X, y, protocol="closed", rules=Rules(Tuning("halving", 4)))
    few = [trial for trial in fitted.tuning if trial.n_rows < 35]
    assert few
    assert any(trial.score is not None for trial in few)


def test_span_is_what_the_rows_have():
    X = np.random.default_rng(0).normal(size=(9, 5))
    for n_rows, n_found in ((9, 4), (3, 3)):
        span, pca = (kind(4, random_state=0) for kind in (Span, PCA))
        pca.set_params(n_components=n_found)
        Z = span.fit_transform(X[:n_rows])
        np.testing.assert_allclose(Z, pca.fit_transform(X[:n_rows]), atol=1e-12)
        np.testing.assert_allclose(span.transform(X), pca.transform(X), atol=1e-12)
        assert span.get_feature_names_out().tolist() == [f"span{k}" for k in range(n_found)]
        assert span.get_params()["n_components"] == 4


@pytest.mark.parametrize("method", ["grid", "random", "halving"])
@pytest.mark.parametrize("name", ["closed", "open"])
def test_a_search_keeps_its_budget_and_takes_the_best(blobs, method, name):
    learner = resolve_learners(["lmnn"], SMALL_SPACE)[0]
    fitted = fit_tuned(learner, *blobs, protocol=name, rules=Rules(Tuning(method, 4)))
    again = fit_tuned(learner, *blobs, protocol=name, rules=Rules(Tuning(method, 4)))
    assert fitted.tuning == again.tuning
    n_rows = max((trial.n_rows or 1) for trial in fitted.tuning)
    spent = sum((trial.n_rows or 1) for trial in fitted.tuning) / n_rows
    assert 3 <= spent <= 4 + 1e-9
    last = [trial for trial in fitted.tuning if (trial.n_rows or 1) == n_rows]
    best = max(last, key=lambda trial: trial.score)
    assert {k: fitted.params[k] for k in best.params} == best.params
    assert fitted.params["metric__n_passes"] == 2  # what is not searched is the line-up's


def test_a_grid_within_the_budget_is_tried_whole(blobs):
    learner = resolve_learners(["lmnn"], SMALL_SPACE)[0]
    fitted = fit_tuned(learner, *blobs, protocol="closed", rules=Rules(Tuning("grid", 50)))
    tried = [tuple(trial.params.values()) for trial in fitted.tuning]
    assert len(tried) == len(set(tried)) == 6


def test_seconds_end_a_search(blobs, monkeypatch):
    seconds = count()  # one passes with every look at the clock
    clock = SimpleNamespace(perf_counter=lambda: next(seconds))
    monkeypatch.setattr(_strategies, "time", clock)
    learner = resolve_learners(["lmnn"], {"lmnn": {"mu": uniform(0.1, 0.8)}})[0]
    fitted = fit_tuned(
        learner, *blobs, protocol="closed", rules=Rules(Tuning("random", None, 1e-9))
    )
    assert len(fitted.tuning) == 1
    fitted = fit_tuned(learner, *blobs, protocol="closed", rules=Rules(Tuning("random", None, 4)))
    assert len(fitted.tuning) == 4
    assert fitted.tune_seconds > 0


def test_settings_that_cannot_be_fitted_are_passed_over(blobs):
    space = {"lmnn": {"mu": [0.5, 2.0]}}
    fitted = fit_tuned(
        resolve_learners(["lmnn"], space)[0],
        *blobs,
        protocol="closed",
        rules=Rules(Tuning("grid", 9)),
    )
    assert [trial.score is None for trial in fitted.tuning] == [False, True]
    assert fitted.params["metric__mu"] == 0.5
    result = compare(
        *blobs,
        learners=["lmnn"],
        n_folds=2,
        tune="grid",
        search_spaces={"lmnn": {"mu": [2.0, 3.0]}},
    )
    assert re.match("ValueError: no setting could be fitted: .*mu", result.rows()[0].error)


def test_a_learner_of_ones_own_is_tuned_over_the_space_given(blobs):
    result = compare(
        *blobs,
        learners={"mine": NCA(random_state=0), "as it is": NCA(random_state=0)},
        n_folds=2,
        tune="random",
        tune_budget=2,
        search_spaces={"mine": {"n_components": [2, 3, 4]}},
    )
    rows = {row.key: row for row in result.rows()}
    assert rows["mine"].n_tried == 2
    assert rows["as it is"].n_tried == 1
    assert rows["mine"].dimension <= 4
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
        compare(*blobs, learners=CHEAP, **arguments)


def test_every_search_has_a_name_and_is_on_the_command_line(capsys):
    assert set(SEARCH_NAMES) == set(SEARCHES)
    with pytest.raises(SystemExit):
        cli.main(["compare", "--help"])
    assert f"--tune {{none,{','.join(SEARCHES)}}}" in capsys.readouterr().out


def test_budgets_are_read():
    assert make_tuning("random", "12") == Tuning("random", 12)
    assert make_tuning("grid", "1.5s") == Tuning("grid", None, 1.5)
    assert make_tuning("halving") == Tuning("halving", 20)
    assert make_tuning() == make_tuning(True) == Tuning("few")
    assert make_tuning(False) == Tuning("off")


def test_settings_on_one_network_train_it_once(blobs, monkeypatch):
    trained, fit = [], deep.DeepEmbedder._fit

    def counted(self, *args, **kwargs):
        trained.append(self.max_epochs)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(deep.DeepEmbedder, "_fit", counted)
    effort = Effort("short", 2, (3, 5), (3,), 4, 1)

    def run():
        trained.clear()
        fitted = fit_tuned(
            ROSTER["linear_on_deep"], *blobs, protocol="closed", rules=Rules(effort=effort)
        )
        return fitted, sorted(trained[:-1])

    once, epochs = run()
    assert epochs == sorted(set(epochs))
    monkeypatch.setattr(NetworkCache, "remembering", lambda self, estimator: estimator)
    again, more = run()
    assert len(more) > len(epochs)
    assert (again.tuning, again.params) == (once.tuning, once.params)
    assert again.validation == once.validation
    assert once.estimator.memory is None


@pytest.mark.parametrize(("effort", "updates"), [("quick", (3,)), ("normal", (3, 5))])
def test_what_stands_on_a_learners_network_does_not_train_it_again(
    blobs, monkeypatch, effort, updates
):
    """Every number is that of a run alone, the price of the network included."""
    trained, fit = [], deep.DeepEmbedder._fit

    def counted(self, *args, **kwargs):
        trained.append(self.max_epochs)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(deep.DeepEmbedder, "_fit", counted)
    short = Effort(effort, len(updates), updates, (3,), 4, 1)
    monkeypatch.setattr("metriclearn.compare._plan.find_effort", lambda name: short)
    learners = ["proxy_anchor", "linear_on_deep"]
    alone = [compare(*blobs, learners=[name], n_folds=2) for name in learners]
    n_alone, n_below = len(trained), sum(r.learner == learners[0] for r in alone[0].records)
    trained.clear()
    together = compare(*blobs, learners=learners, n_folds=2)
    expected = [record for each in alone for record in each.records]
    key = attrgetter("learner", "protocol", "fold")
    for one, other in zip(*(sorted(r, key=key) for r in (together.records, expected)), strict=True):
        assert without_seconds(one) == without_seconds(other)
        assert one.fit_seconds > 0.3 * other.fit_seconds
    assert len(trained) <= n_alone - n_below
    if effort == "quick":
        assert len(trained) == n_alone // 2
