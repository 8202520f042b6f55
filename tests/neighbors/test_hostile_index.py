"""A folder of an index that a stranger made is safe to open."""

import json
import os

import numpy as np
import pytest
from helpers.saved_indexes import GONE, edit, filled, replace
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclearn.neighbors import RetrievalIndex


class Runs:
    """What no index may do when it is opened."""

    def __reduce__(self):
        return (os.mkdir, (self.folder,))


@pytest.mark.parametrize("key", ["ids", "coarse", "blocks", "payload_0"])
def test_nothing_is_unpickled_though_checksums_agree(gallery, tmp_path, key):
    folder = tmp_path / "index"
    made = RetrievalIndex(index="ivf")
    made.add(gallery[0], payload={"a": np.arange(600)})
    made.save(folder)
    code = Runs()
    code.folder = str(tmp_path / "was run")
    objects = np.array([code], dtype=object)
    replace(folder, key, lambda path: np.save(path, objects, allow_pickle=True))
    with pytest.raises(ValueError, match=f"{key}-1.npy is not a plain array: holds pickled"):
        RetrievalIndex.load(folder)
    assert not (tmp_path / "was run").exists()


ENTRIES = ["n", "d", "columns", "metric", "index", "built", "files", "generation", "version"]


@pytest.mark.parametrize("key", ENTRIES)
def test_manifests_that_lack_something_are_refused(gallery, tmp_path, key):
    filled(gallery[0], index="ivf").save(tmp_path)
    edit(tmp_path, **{key: GONE})
    with pytest.raises(ValueError, match=r"index\.json is damaged|is damaged: its version"):
        RetrievalIndex.load(tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=60)
@given(key=st.sampled_from([*ENTRIES, "search_params", "format"]), value=json_values)
def test_hostile_manifests_are_one_value_error(tmp_path_factory, key, value):
    """With a right checksum, as a stranger would write it."""
    folder = tmp_path_factory.mktemp("index")
    index = RetrievalIndex()
    index.add(np.eye(3))
    index.save(folder)
    edit(folder, **{key: value})
    try:
        loaded = RetrievalIndex.load(folder)
    except ValueError as error:
        said = str(error)
    else:
        assert loaded.index == value or len(loaded.search(np.eye(3), 1)[1]) == 3
        said = str(folder)
    assert str(folder) in said


@pytest.mark.parametrize("name", ["../victim.f32", "/tmp/victim.f32", "victim", "ids-1.npy/../x"])
def test_a_manifest_cannot_name_files_elsewhere(gallery, tmp_path, name):
    filled(gallery[0]).save(tmp_path / "index")
    files = json.loads((tmp_path / "index" / "index.json").read_text())["files"]
    edit(tmp_path / "index", files={**files, "vectors": {"name": name}})
    with pytest.raises(ValueError, match="names a file that is none of an index"):
        RetrievalIndex.load(tmp_path / "index")


@pytest.mark.parametrize(
    ("key", "array"),
    [
        ("ids", np.arange(600.0)),
        ("ids", np.zeros((600, 2), int)),
        ("ids", np.arange(599)),
        ("payload_0", np.zeros(3)),
        ("payload_0", np.zeros(600, complex)),
        ("center", np.zeros(7, np.float32)),
    ],
)
def test_arrays_of_other_shapes_and_kinds_are_refused(gallery, tmp_path, key, array):
    made = RetrievalIndex(index="ivf")
    made.add(gallery[0], payload={"a": np.arange(600)})
    made.save(tmp_path)
    replace(tmp_path, key, lambda path: np.save(path, array))
    with pytest.raises(ValueError, match="has files of different indexes"):
        RetrievalIndex.load(tmp_path)


def test_an_array_longer_than_its_file_is_not_made(gallery, tmp_path):
    filled(gallery[0]).save(tmp_path)
    head = {"descr": "<i8", "fortran_order": False, "shape": (10**13,)}

    def write(path):
        with open(path, "wb") as stream:
            np.lib.format.write_array_header_1_0(stream, head)

    replace(tmp_path, "ids", write)
    with pytest.raises(ValueError, match="is not as long as it says"):
        RetrievalIndex.load(tmp_path)


def test_codes_that_are_not_faiss_are_refused(gallery, tmp_path):
    filled(gallery[0], index="ivf").save(tmp_path)
    for codes in (np.zeros(50, np.uint8), np.zeros(50)):
        replace(tmp_path, "coarse", lambda path, codes=codes: np.save(path, codes))
        with pytest.raises(ValueError, match="holds no index of faiss"):
            RetrievalIndex.load(tmp_path)


def test_vectors_of_another_index_are_not_overwritten(gallery, tmp_path):
    filled(gallery[0], path=tmp_path).save(tmp_path)
    with pytest.raises(ValueError, match=r"holds vectors of another index; open it with"):
        RetrievalIndex(path=tmp_path).add(gallery[1])
    assert len(RetrievalIndex.load(tmp_path)) == 600
