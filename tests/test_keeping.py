"""The guide's short paths from data to a metric in use run as they stand, and stay short."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from metriclearn import Covariance
from metriclearn.cli import main
from metriclearn.neighbors import RetrievalIndex

PAGE = (Path(__file__).parents[1] / "docs" / "guide" / "keeping.md").read_text()
QUICK = ["--learners", "euclidean,lmnn", "--effort", "quick", "--folds", "2", "--n-jobs", "1"]


def block(title):
    """Return the lines of the first block of code below a title."""
    text = re.search(r"```\w+\n(.*?)\n```", PAGE.split(f"\n## {title}\n")[1], re.DOTALL)[1]
    return [line for line in text.splitlines() if line]


@pytest.fixture
def files(tmp_path, monkeypatch):
    frame = load_iris(as_frame=True).frame[::2].rename(columns={"target": "species"})
    frame["soil"] = np.where(frame.index % 4 == 0, "clay", None)
    frame.to_csv(tmp_path / "measurements.csv", index=False)
    frame.drop(columns="species")[::10].to_csv(tmp_path / "new.csv", index=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_three_commands_lead_from_a_table_to_what_is_nearest(files):
    commands = block("Three commands")
    assert len(commands) <= 3
    for command in commands:
        words = shlex.split(command.removeprefix("$ metriclearn "))
        assert main(words + QUICK * (words[0] == "compare")) == 0
    assert len(pd.read_parquet("vectors.parquet")) == 8


def test_eight_lines_lead_from_a_table_to_what_is_nearest(files):
    lines = block("Eight lines")
    assert len(lines) <= 8
    space = {}
    text = "\n".join(lines)
    assert 'effort="quick"' in text
    quick = 'effort="quick", learners=["euclidean", "lmnn"], n_folds=2, n_jobs=1'
    exec(text.replace('effort="quick"', quick), space)
    assert space["ids"].shape == (8, 5)
    assert space["ids"][:, 0].tolist() == list(range(0, 75, 10))
    assert (Path("model") / "README.md").is_file()


def test_a_search_over_classes_never_seen_takes_eleven_lines_and_three_concepts():
    lines = [line for line in block("A search of your own") if line.startswith((">>>", "..."))]
    assert len(lines) <= 11
    concepts = [line for line in lines if line.startswith(">>> from metriclearn")]
    assert len(concepts) <= 3


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
def test_the_path_to_a_vector_database_and_back(tmp_path, monkeypatch, metric):
    pytest.importorskip("lancedb")
    monkeypatch.chdir(tmp_path)
    X, y = load_iris(return_X_y=True)
    index = RetrievalIndex(Covariance().fit(X), metric=metric)
    index.add(X, ids=[f"flower {i}" for i in range(150)], payload={"species": y})
    index.to_parquet("gallery.parquet")
    distances, ids = index.search(X[[60]], k=5)
    page = (Path(__file__).parents[1] / "docs" / "guide" / "search.md").read_text()
    text = re.search(r"```python\n(import lancedb\n.*?)\n```", page, re.DOTALL)[1]
    kind = {"euclidean": "l2", "cosine": "cosine", "inner_product": "dot"}[metric]
    assert f'"{kind}"' in page
    space = {"learner": index.learner, "x": X[[60]], "RetrievalIndex": RetrievalIndex}
    exec(text.replace('"l2"', f'"{kind}"'), space)
    assert space["found"]["id"].tolist() == ids[0].tolist()
    theirs = space["found"]["_distance"].to_numpy()
    mine = {"euclidean": distances[0] ** 2, "inner_product": 1 + distances[0]}
    np.testing.assert_allclose(theirs, mine.get(metric, distances[0]), rtol=1e-4, atol=1e-5)
    again = space["index"].search(X[[60]], k=5)
    np.testing.assert_array_equal(again[1], ids)
    np.testing.assert_allclose(again[0], distances, rtol=1e-5, atol=1e-5)
    mine, theirs = index.payload(ids), space["index"].payload(ids)
    np.testing.assert_array_equal(theirs["species"], mine["species"])
