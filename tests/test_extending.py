"""Each recipe of docs/guide/extending.md, followed with a made-up member."""

import sys
from doctest import DocTestParser
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from helpers.optional import deep, losses, torch
from sklearn.datasets import load_iris
from sklearn.utils.estimator_checks import check_estimator

from metriclearn import cli
from metriclearn.cli import _main
from metriclearn.compare import _names, compare
from metriclearn.compare._sources import _load
from metriclearn.compare._sources._rows import as_source
from metriclearn.mahalanobis import MahalanobisTransformer
from metriclearn.metrics import make_retrieval_scorer, retrieval_scores, retrieve
from metriclearn.metrics._named import MEASURES, Measure

COMMAND = ["compare", "--n-jobs", "1", "--folds", "2"]
GUIDE = Path(__file__).parents[1] / "docs" / "guide" / "extending.md"


@pytest.fixture
def from_guide(monkeypatch):
    """Make a class of the guide, in a module that can be imported."""
    module = ModuleType("guide_of_extending")
    module.np, module.torch, module.MahalanobisTransformer = np, torch, MahalanobisTransformer
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def make(name):
        examples = DocTestParser().get_examples(GUIDE.read_text())
        (source,) = (e.source for e in examples if e.source.startswith(f"class {name}("))
        exec(source, vars(module))
        made = getattr(module, name)
        made.__module__ = module.__name__
        return made

    return make


def test_a_learner(from_guide, capsys):
    learner = from_guide("ClassMeans")
    check_estimator(learner())
    X, y = load_iris(return_X_y=True)
    result = compare(X, y, learners=["euclidean", learner()], n_folds=2)
    assert "ClassMeans" in str(result)
    learners = f"euclidean,{learner.__module__}:ClassMeans"
    assert cli.main([*COMMAND, "iris", "--learners", learners]) == 0
    assert "ClassMeans" in capsys.readouterr().out


def test_a_loss_by_class_and_by_name(from_guide, small, monkeypatch):
    loss = from_guide("Compactness")
    given = deep.DeepEmbedder(loss=loss, max_epochs=2, random_state=0).fit(*small)
    monkeypatch.setitem(losses.LOSSES, "compactness", loss)
    named = deep.DeepEmbedder(loss="compactness", max_epochs=2, random_state=0).fit(*small)
    np.testing.assert_array_equal(given.transform(small[0]), named.transform(small[0]))


def test_a_retrieval_measure_is_one_row(small, monkeypatch):
    def last_hit(gains, n_relevant, k):
        return (gains[:, k - 1] > 0).astype(float)

    monkeypatch.setitem(MEASURES, "last_hit", Measure(last_hit, "k"))
    X, y = small
    expected = (y[retrieve(X, y, k=3).indices[:, 2]] == y).mean()
    assert retrieve(X, y, k=5).score("last_hit_at_3") == expected
    assert retrieval_scores(X, y, ["last_hit_at_3"])["last_hit_at_3"] == expected
    assert "last_hit" in repr(make_retrieval_scorer("last_hit_at_3"))
    with pytest.raises(ValueError, match="last_hit_at_10"):
        retrieval_scores(X, y, ["purity"])


def test_a_built_in_data_set(monkeypatch, small, capsys):
    read = _load._read_built_in

    def with_ours(name, **choices):
        return as_source(*small, name=name, **choices) if name == "ours" else read(name, **choices)

    names = (*_names.SOURCE_NAMES, "ours")
    monkeypatch.setattr(_load, "SOURCE_NAMES", names)
    monkeypatch.setattr(_load, "_read_built_in", with_ours)
    assert cli.main([*COMMAND, "ours", "--learners", "euclidean,lmnn"]) == 0
    assert "ours: 45 rows" in capsys.readouterr().out
    assert cli.main([*COMMAND, "our", "--learners", "euclidean"]) == 2
    assert "did you mean 'ours'?" in capsys.readouterr().err


def test_a_sub_command(monkeypatch, capsys):
    def add_parser(commands):
        commands.add_parser("greet").set_defaults(run=lambda options, command: print(command) or 0)

    greet = SimpleNamespace(add_parser=add_parser)
    monkeypatch.setattr(_main, "COMMANDS", (*_main.COMMANDS, greet))
    assert cli.main(["greet"]) == 0
    assert capsys.readouterr().out == "metriclearn greet\n"


@pytest.mark.parametrize("name", _names.SOURCE_NAMES)
def test_every_built_in_name_is_read_or_fetched(name, monkeypatch):
    monkeypatch.setattr("sklearn.datasets.fetch_olivetti_faces", _no_network)
    if name == "olivetti":
        with pytest.raises(ValueError, match="olivetti is fetched from the internet"):
            _load.load_source(name)
    else:
        assert _load.load_source(name).name == name


def _no_network():
    raise OSError("no network in tests")
