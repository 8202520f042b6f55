"""Archives that are broken, hostile or of something else are refused."""

import os
import re
import shutil
import tarfile
import zipfile
from dataclasses import replace

import pytest
from helpers.archives import LOADERS, archives, jpeg, write_tgz, write_zip

from metriclearn import _packed
from metriclearn._files import Lock
from metriclearn.datasets import fetch_cub200, fetch_inshop, fetch_mnist, fetch_omniglot, fetch_sop
from metriclearn.datasets._sources import BENCHMARKS


@pytest.mark.parametrize(
    "content",
    [b"", b"<!DOCTYPE html><title>Quota exceeded</title>", b"PK\x03\x04 broken"],
    ids=["empty", "page", "broken zip"],
)
def test_what_is_no_archive_is_refused(content, publish, home, tmp_path):
    fetch, _ = publish("cub200")
    path = tmp_path / "CUB_200_2011.tgz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"CUB_200_2011\.tgz is not a whole zip or tar archive"):
        fetch(data_home=home, archive=path)
    assert path.exists()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("key", ["cub200", "sop"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_archive_leaves_nothing_behind(key, share, server, publish, home):
    fetch, benchmark = publish(key)
    (path,) = archives(server, benchmark)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="is not a whole zip or tar archive"):
        fetch(data_home=home, archive=path)
    assert list(home.iterdir()) == []
    # The whole one is accepted afterwards.
    path.write_bytes(content)
    assert len(fetch(data_home=home, archive=path).target) > 0


def test_a_damaged_member_is_refused(server, publish, home):
    fetch, benchmark = publish("sop")
    (path,) = archives(server, benchmark)
    content = bytearray(path.read_bytes())
    content[content.index(jpeg()) + 20] ^= 255
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="CRC"):
        fetch(data_home=home, archive=path)


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt", "C:\\out.txt"])
@pytest.mark.parametrize("write", [write_zip, write_tgz])
def test_a_member_that_leads_out_of_the_folder_is_refused(name, write, publish, home, tmp_path):
    fetch, _ = publish("cub200")
    write(tmp_path / "evil", {"images.txt": b"1 a.jpg\n", name: b"gotcha"})
    with pytest.raises(ValueError, match="leads out of the folder"):
        fetch(data_home=home, archive=tmp_path / "evil")
    assert list(tmp_path.rglob("out.txt")) == []


def test_a_link_that_leads_out_of_the_folder_is_refused(publish, home, tmp_path):
    fetch, _ = publish("cub200")
    with tarfile.open(tmp_path / "evil.tgz", "w:gz") as archive:
        link = tarfile.TarInfo("images")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../elsewhere"
        archive.addfile(link)
    with pytest.raises(ValueError, match="outside the destination"):
        fetch(data_home=home, archive=tmp_path / "evil.tgz")


def test_a_password_is_said(publish, home, tmp_path):
    fetch, _ = publish("inshop")
    path = tmp_path / "img.zip"
    write_zip(path, {"img/a.jpg": jpeg()})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="has a password"):
        fetch(data_home=home, archive=path)


@pytest.mark.parametrize("key", LOADERS)
def test_a_foreign_archive_is_refused(key, publish, home, tmp_path):
    fetch, benchmark = publish(key)
    write_zip(tmp_path / "holiday.zip", {"beach/1.jpg": jpeg()})
    with pytest.raises(
        ValueError, match=rf"holiday\.zip'\) is not {re.escape(benchmark.title)}: there is no"
    ):
        fetch(data_home=home, archive=tmp_path / "holiday.zip")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("key", LOADERS)
def test_a_foreign_download_is_removed(key, server, publish, home, monkeypatch):
    """As where a source without a published checksum now serves something else."""
    fetch, benchmark = publish(key)
    for remote in benchmark.files:
        write_zip(server.folder / remote.filename, {"beach/1.jpg": jpeg()})
    files = tuple(replace(remote, sha256=None) for remote in benchmark.files)
    monkeypatch.setitem(BENCHMARKS, key, replace(benchmark, files=files))
    with pytest.raises(ValueError, match=rf"127\.0\.0\.1.* is not {re.escape(benchmark.title)}"):
        fetch(data_home=home)
    assert list(home.iterdir()) == []


def test_missing_images_and_wrong_numbers_are_refused(server, publish, home, monkeypatch):
    fetch, benchmark = publish("cub200")
    fetch(data_home=home)
    folder = home / benchmark.folder
    image = folder / "CUB_200_2011" / "images" / "004.Dove" / "Dove_1.jpg"
    image.unlink()
    with pytest.raises(ValueError, match=r"the image 004\.Dove/Dove_1\.jpg is missing"):
        fetch(archive=folder)
    larger = replace(benchmark, counts={"train": (4, 2), "test": (5, 2)})
    monkeypatch.setitem(BENCHMARKS, "cub200", larger)
    with pytest.raises(ValueError, match="test has 4 images of 2 classes, 5 of 2 are expected"):
        fetch(archive=folder)


@pytest.mark.parametrize("share", [0, 0.1, 0.5])
def test_a_damaged_table_of_cars_is_refused(share, server, publish, home):
    fetch, _ = publish("cars196")
    fetch(data_home=home)
    table = home / "cars196" / "cars196" / "cars_annos.mat"
    content = table.read_bytes()
    table.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="is not Cars196"):
        fetch(archive=home / "cars196")


def test_a_page_in_place_of_a_list_is_refused(server, publish, home):
    fetch, benchmark = publish("inshop")
    path = server.folder / "list_eval_partition.txt"
    for page in ("<html>\n<p>Quota exceeded\n", "<html>\n<p>\nThe quota is exceeded\n"):
        path.write_text(page)
        with pytest.raises(ValueError, match=r"is not In-Shop .* list_eval_partition\.txt"):
            fetch(data_home=home, archive=archives(server, benchmark))
    for name in ("/img/MEN/a.jpg", "img/[a-z]/**/a.jpg"):
        path.write_text(f"1\nimage_name item_id evaluation_status\n{name} id_1 train\n")
        with pytest.raises(ValueError, match="is not In-Shop"):
            fetch(data_home=home, archive=archives(server, benchmark))


@pytest.mark.parametrize("content", ["", "1\n", "1 one\n2 two", "\ufeff"])
def test_a_kept_folder_that_was_tampered_with_says_so(content, publish, home):
    fetch, benchmark = publish("cub200")
    fetch(data_home=home)
    labels = home / benchmark.folder / "CUB_200_2011" / "image_class_labels.txt"
    labels.write_text(content)
    with pytest.raises(ValueError, match="delete the folder and fetch it again"):
        fetch(data_home=home)


def test_a_half_extracted_folder_is_never_taken_for_a_whole_one(publish, home, monkeypatch):
    fetch, benchmark = publish("cub200")

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("metriclearn.datasets._benchmark.os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(data_home=home)
    assert not (home / benchmark.folder).exists()
    # What was downloaded is whole, and is used.
    assert len(fetch(data_home=home).target) == 8


def test_two_processes_may_fetch_at_once(server, publish, home, monkeypatch):
    fetch, benchmark = publish("cub200")
    (archive,) = archives(server, benchmark)
    other = home / "other"
    fetch(data_home=other, archive=archive)

    def lost_race(source, target):
        (other / benchmark.folder).rename(target)
        raise OSError("the folder is there already")

    monkeypatch.setattr("metriclearn.datasets._benchmark.os.replace", lost_race)
    assert len(fetch(data_home=home, archive=archive).target) == 8


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        ("nowhere.tgz", "archive: there is no nowhere.tgz"),
        ([], "archive is an empty list"),
        ([".", "."], "archive: . is a folder in a list"),
        (3, "'archive' parameter"),
    ],
)
def test_a_bad_archive_argument_is_named(archive, message, home):
    with pytest.raises(ValueError, match=re.escape(message)):
        fetch_sop(data_home=home, archive=archive)
    assert not home.exists()


@pytest.mark.parametrize("fetch", [fetch_cub200, fetch_inshop, fetch_omniglot, fetch_mnist])
def test_an_unknown_subset_is_named(fetch, home):
    with pytest.raises(ValueError, match="'subset' parameter"):
        fetch(subset="validation", data_home=home)


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(
    kind, publish, home, tmp_path, monkeypatch
):
    fetch, _ = publish("cub200")
    path = tmp_path / f"bomb.{kind}"
    n_bytes = 100_000_000
    monkeypatch.setattr(_packed, "_MUCH", 50_000_000)
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("images.txt", bytes(n_bytes))
    else:
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo("images.txt")
            member.size = n_bytes
            archive.addfile(member, Zeros())
    with pytest.raises(ValueError, match=r"bomb\.\w+ unpacks to 0.1 GB from 0.1 MB"):
        fetch(data_home=home, archive=path)
    assert list(home.iterdir()) == []


class Zeros:
    """A file of any number of zeros."""

    def read(self, n):
        return bytes(n)


def test_a_disk_without_room_is_said_before_anything_is_unpacked(
    server, publish, home, monkeypatch
):
    fetch, benchmark = publish("sop")
    (path,) = archives(server, benchmark)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(OSError, match=r"unpacking takes .* GB, but 0\.0 GB are free"):
        fetch(data_home=home, archive=path)
    assert list(home.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_nothing_else(server, publish, home):
    fetch, benchmark = publish("sop")
    (path,) = archives(server, benchmark)
    folder = benchmark.folder
    for name in (f".{folder}-old", f".{folder}-busy", f".{folder}-new", ".other-old"):
        (home / name / "images").mkdir(parents=True)
        if not name.endswith("-new"):
            os.utime(home / name, (0, 0))
    busy = Lock(home / f".{folder}-busy" / "lock")
    busy.take()
    os.utime(home / f".{folder}-busy", (0, 0))
    fetch(data_home=home, archive=path)
    left = {entry.name for entry in home.iterdir()}
    assert left == {folder, f".{folder}-busy", f".{folder}-new", ".other-old"}
