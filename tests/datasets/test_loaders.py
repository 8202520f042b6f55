"""Loaders read the layouts of the field with their standard splits."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.archives import LOADERS, archives, cars_table, jpeg, write_tgz
from numpy.testing import assert_array_equal
from scipy.io import savemat

from metriclearn import datasets
from metriclearn.datasets._sources import BENCHMARKS


@pytest.mark.parametrize("key", LOADERS)
def test_fetch_downloads_once(key, server, publish, home):
    fetch, benchmark = publish(key)
    first = fetch(data_home=home, delay=0)
    assert len(server.requests) == len(benchmark.files)
    second = fetch(data_home=home, download_if_missing=False)
    assert len(server.requests) == len(benchmark.files)
    assert all(path.is_file() for path in second.images)
    assert_array_equal(first.target, second.target)
    assert benchmark.title in second.DESCR
    # Nothing is left but the data.
    assert [path.name for path in home.iterdir()] == [benchmark.folder]
    assert second.images.load(size=6).shape == (len(second.target), 6, 6, 3)


@pytest.mark.parametrize("key", LOADERS)
def test_local_archives_replace_the_network(key, server, publish, home):
    fetch, benchmark = publish(key)
    files = archives(server, benchmark)
    data = fetch(data_home=home, archive=files if len(files) > 1 else str(files[0]))
    assert server.requests == []
    assert all(path.is_file() for path in files)
    # Once unpacked, the archive is not needed.
    again = fetch(data_home=home, download_if_missing=False)
    assert_array_equal(data.target, again.target)


@pytest.mark.parametrize("key", LOADERS)
def test_an_unpacked_folder_is_read_in_place(key, server, publish, home):
    fetch, benchmark = publish(key)
    fetch(data_home=home, archive=archives(server, benchmark))
    data = fetch(archive=home / benchmark.folder, data_home=home / "other")
    assert data.images[0].is_relative_to(home / benchmark.folder)
    assert not (home / "other").exists()


@pytest.mark.parametrize("key", [key for key in LOADERS if key != "lfw_funneled"])
def test_splits_are_the_standard_ones_with_classes_apart(key, server, publish, home):
    fetch, benchmark = publish(key)
    data = fetch(data_home=home)
    assert set(data.split) == set(benchmark.counts)
    train, *tests = benchmark.counts
    for part, (n_images, n_classes) in benchmark.counts.items():
        rows = data.split == part
        images, target = fetch(data_home=home, subset=part, return_X_y=True)
        assert_array_equal(target, data.target[rows])
        assert_array_equal(images.names, data.images.names[rows])
        assert (len(target), len(set(target))) == (n_images, n_classes)
    for part in tests:
        assert not set(data.target[data.split == train]) & set(data.target[data.split == part])
    assert len(data.target_names) == len(set(data.target))
    subset = fetch(data_home=home, subset=tests[0])
    for name, column in data.items():
        if isinstance(column, np.ndarray) and name != "target_names":
            assert_array_equal(subset[name], column[data.split == tests[0]])


def test_classes_are_named(publish, home):
    cub = publish("cub200")[0](data_home=home)
    assert cub.target_names.tolist() == ["001.Auk", "002.Bee_eater", "003.Crow", "004.Dove"]
    for path, code in zip(cub.images, cub.target, strict=True):
        assert path.parent.name == cub.target_names[code]
    assert publish("cars196")[0](data_home=home).target_names.tolist() == ["Audi", "BMW", "Citroën"]
    sop = publish("sop")[0](data_home=home)
    assert sop.category.tolist() == ["bicycle"] * 2 + ["coffee_maker"] * 3
    assert sop.target_names[sop.target].tolist() == ["1", "1", "2", "3", "3"]
    inshop = publish("inshop")[0](data_home=home)
    assert inshop.category.tolist() == ["WOMEN/Dresses"] * 2 + ["MEN/Denim"] * 2
    assert inshop.target[2] == inshop.target[3]
    omniglot = publish("omniglot")[0](data_home=home)
    assert omniglot.target_names[0] == "Greek/character01"
    assert omniglot.drawer.tolist() == [1, 2, 3] * 6
    assert_array_equal(np.unique(omniglot.alphabet), ["Greek", "Latin", "Oriya"])


def test_lfw_pairs_are_of_the_people_they_say(publish, home):
    fetch, _ = publish("lfw_funneled")
    data = fetch(data_home=home)
    assert data.fold.tolist() == [0, 0, 1, 1]
    assert_array_equal(data.same, data.target[data.pairs[:, 0]] == data.target[data.pairs[:, 1]])
    names = [[path.stem for path in data.images[pair]] for pair in data.pairs]
    assert names[1] == ["Ann_A_0002", "Bob_B_0003"]
    assert names[2] == ["Cy_C_0001", "Cy_C_0002"]
    people = [set(data.target[data.pairs[data.fold == k]].ravel()) for k in (0, 1)]
    assert not people[0] & people[1]
    X, same = fetch(data_home=home, subset="train", return_X_y=True)
    assert X.shape == (2, 2)
    assert same.tolist() == [True, False]
    assert X.load(size=4, mode="L").shape == (2, 2, 4, 4)


def test_cars_are_read_from_the_challenge_layout(server, publish, home):
    fetch, _ = publish("cars196")
    expected = fetch(data_home=home)
    loose = server.folder / "loose"
    loose.mkdir()
    parts = {"train": range(3), "test": range(3, 6)}
    for part, rows in parts.items():
        write_tgz(
            loose / f"cars_{part}.tgz",
            {f"cars_{part}/{k + 1:06d}.jpg": jpeg() for k in rows},
        )
    tables = {part: cars_table("fname", "", rows)["annotations"] for part, rows in parts.items()}
    savemat(loose / "cars_test_annos_withlabels.mat", {"annotations": tables["test"]})
    kit = io.BytesIO(), io.BytesIO()
    savemat(kit[0], {"annotations": tables["train"]})
    savemat(kit[1], {"class_names": np.array(["Audi", "BMW", "Citroën"], dtype=object)})
    write_tgz(
        loose / "car_devkit.tgz",
        {
            "devkit/cars_train_annos.mat": kit[0].getvalue(),
            "devkit/cars_meta.mat": kit[1].getvalue(),
        },
    )
    data = fetch(data_home=home / "other", archive=sorted(loose.iterdir()))
    assert_array_equal(data.target, expected.target)
    assert_array_equal(data.target_names, expected.target_names)
    assert [path.name for path in data.images] == [path.name for path in expected.images]


def test_default_home_is_within_that_of_scikit_learn(server, publish, tmp_path, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "sk"))
    fetch, _ = publish("cub200")
    assert fetch().images.folder.is_relative_to(tmp_path / "sk" / "metriclearn")


def test_missing_data_are_not_downloaded_against_ones_will(server, publish, home):
    fetch, _ = publish("cub200")
    with pytest.raises(OSError, match=r"CUB-200-2011 is not in .* download_if_missing=False"):
        fetch(data_home=home, download_if_missing=False)
    assert server.requests == []
    assert not home.exists()


def test_verbose_shows_a_bar_and_silence_is_the_default(publish, home, capsys):
    fetch, _ = publish("cub200")
    fetch(data_home=home)
    assert capsys.readouterr() == ("", "")
    fetch(data_home=home / "again", verbose=1)
    shown = capsys.readouterr().out
    assert "CUB_200_2011.tgz (MiB)" in shown
    assert "unpacking CUB_200_2011.tgz" in shown


def test_sources_are_complete():
    for key, benchmark in BENCHMARKS.items():
        assert key in LOADERS or key == "lfw"
        for remote in benchmark.files:
            assert remote.url.startswith("http")
            assert remote.url.startswith("https") or remote.sha256 is not None
            for digest, length in ((remote.sha256, 64), (remote.md5, 32)):
                assert digest is None or re.fullmatch(rf"[0-9a-f]{{{length}}}", digest)
    unchecked = [key for key, b in BENCHMARKS.items() if not all(f.sha256 for f in b.files)]
    assert unchecked == ["cars196", "inshop"]


def test_public_names_are_documented_and_others_are_none():
    for name in datasets.__all__:
        assert getattr(datasets, name).__doc__
        assert name in dir(datasets)
    with pytest.raises(AttributeError, match="no attribute 'fetch_imagenet'"):
        datasets.fetch_imagenet  # noqa: B018


def test_paths_may_be_text_or_paths(server, publish, home):
    fetch, benchmark = publish("cub200")
    (path,) = archives(server, benchmark)
    assert len(fetch(data_home=str(home), archive=Path(path)).target) == 8
