"""What is no path of a file is one error that names it, and nothing is written anywhere."""

import os

import numpy as np
import pytest

from metriclearn import GMML, load, save
from metriclearn._files import check_writable
from metriclearn.compare import ComparisonResult
from metriclearn.neighbors import RetrievalIndex
from metriclearn.persistence import read_card

X = np.random.RandomState(0).randn(20, 3).astype(np.float32)
LEARNER = GMML().fit(X, np.repeat([0, 1], 10))
INDEX = RetrievalIndex()
INDEX.add(X)


def trained(path, **params):
    deep = pytest.importorskip("metriclearn.deep")
    y = np.repeat([0, 1], 10)
    return deep.DeepEmbedder("linear", max_epochs=1, random_state=0, **params).fit(X, y)


WRITE = {
    "model": lambda path: save(LEARNER, path),
    "index": INDEX.save,
    "folder of an index": lambda path: RetrievalIndex(path=path).add(X),
    "parquet": INDEX.to_parquet,
    "embedder": lambda path: trained(path).save(path),
    "checkpoint": lambda path: trained(path, checkpoint=path),
    "report": lambda path: check_writable(path, "path"),
}
READ = {
    "model": load,
    "card": read_card,
    "index": RetrievalIndex.load,
    "parquet": RetrievalIndex.from_parquet,
    "comparison": ComparisonResult.from_json,
}


@pytest.mark.parametrize("name", WRITE)
@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_names_no_file_is_one_error_and_nothing_is_written(name, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"(path|checkpoint)=.* is no name of a file or folder"):
        WRITE[name](path)
    assert os.listdir() == []


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_names_no_file_cannot_be_read(name, path):
    with pytest.raises(ValueError, match=r"path=.* is no name of a file or folder"):
        READ[name](path)


@pytest.mark.parametrize("call", [*WRITE.values(), *READ.values()], ids=[*WRITE, *READ])
@pytest.mark.parametrize("path", [3, [], 1.5])
def test_other_kinds_of_paths_are_a_type_error(call, path):
    with pytest.raises((TypeError, ValueError), match="str"):
        call(path)


@pytest.mark.parametrize("name", ["model", "index", "folder of an index", "checkpoint"])
@pytest.mark.parametrize("kind", ["file", "link to nowhere", "link to itself"])
def test_a_folder_is_not_made_where_something_else_is(name, kind, tmp_path):
    path = tmp_path / "taken"
    if kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(tmp_path / ("nowhere" if "nowhere" in kind else "taken"))
    with pytest.raises(ValueError, match="is a file, or leads nowhere; give a folder"):
        WRITE[name](path)
    assert kind != "file" or path.read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("name", READ)
def test_a_pipe_is_an_error_and_no_endless_wait(name, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises((ValueError, OSError), match="pipe"):
        READ[name](path)


def test_a_file_that_is_no_parquet_is_one_error_that_names_it(tmp_path):
    (tmp_path / "a.parquet").write_text("id,vector")
    with pytest.raises(ValueError, match=r"a\.parquet is no Parquet file"):
        RetrievalIndex.from_parquet(tmp_path / "a.parquet")


def test_an_index_whose_folder_went_away_says_so(tmp_path):
    INDEX.save(tmp_path / "index")
    opened = RetrievalIndex.load(tmp_path / "index")
    os.rename(tmp_path / "index", tmp_path / "moved")
    assert opened.search(X[:1], k=1)[1][0, 0] == 0
    with pytest.raises(ValueError, match="no longer holds the index that was opened"):
        opened.add(X)
    assert not (tmp_path / "index").exists()
    assert len(RetrievalIndex.load(tmp_path / "moved")) == len(X)
