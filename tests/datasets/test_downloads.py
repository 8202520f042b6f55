"""Downloads survive what networks do."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from metriclearn.datasets import _fetch
from metriclearn.datasets._fetch import RemoteFile, download
from metriclearn.datasets._sources import BENCHMARKS


@pytest.fixture
def remote(server, monkeypatch):
    """A file of 10,000 bytes, read in chunks of 1,000."""
    monkeypatch.setattr(_fetch, "CHUNK", 1000)
    content = np.random.RandomState(0).bytes(10_000)
    (server.folder / "file.bin").write_bytes(content)
    return RemoteFile(
        server.url + "file.bin", "file.bin", sha256=hashlib.sha256(content).hexdigest()
    )


def served(server):
    return (server.folder / "file.bin").read_bytes()


def test_a_broken_download_goes_on_where_it_broke(server, remote, home):
    server.breaks = [4000, 2500]
    path = download(remote, home, delay=0)
    assert path.read_bytes() == served(server)
    assert [wanted for _, wanted in server.requests] == [None, "bytes=4000-", "bytes=6500-"]
    assert [file.name for file in home.iterdir()] == ["file.bin"]


def test_a_part_is_continued_by_the_next_call(server, remote, home):
    server.breaks = [4000]
    with pytest.raises(OSError, match=r"4000 of 10000 bytes.*call again to go on"):
        download(remote, home, n_retries=0)
    assert not (home / "file.bin").exists()
    assert (home / "file.bin.part").stat().st_size == 4000
    download(remote, home)
    assert server.requests[-1] == ("file.bin", "bytes=4000-")
    assert (home / "file.bin").read_bytes() == served(server)


def test_a_part_complete_but_for_its_name_is_kept(server, remote, home):
    server.breaks = [4000]
    with pytest.raises(OSError, match="4000"):
        download(remote, home, n_retries=0)
    (home / "file.bin.part").write_bytes(served(server))
    assert download(remote, home).read_bytes() == served(server)
    assert server.requests[-1] == ("file.bin", "bytes=10000-")


def test_a_part_that_is_too_long_is_discarded(server, remote, home):
    server.breaks = [4000]
    with pytest.raises(OSError, match="4000"):
        download(remote, home, n_retries=0)
    (home / "file.bin.part").write_bytes(served(server) + b"more")
    assert download(remote, home).read_bytes() == served(server)


@pytest.mark.parametrize("why", ["changed", "no ranges", "no tags"])
def test_a_part_that_cannot_be_continued_is_discarded(why, server, remote, home):
    server.breaks = [4000]
    server.tags = why != "no tags"
    with pytest.raises(OSError, match="4000"):
        download(remote, home, n_retries=0)
    server.ranges = why != "no ranges"
    if why == "changed":
        content = served(server)[::-1]
        (server.folder / "file.bin").write_bytes(content)
        remote = replace(remote, sha256=hashlib.sha256(content).hexdigest())
    assert download(remote, home).read_bytes() == served(server)


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_wrong_checksum_is_refused_and_the_file_removed(algorithm, server, remote, home):
    wrong = replace(remote, **{"sha256": None, algorithm: "0" * 32})
    with pytest.raises(OSError, match=rf"wrong checksum \({algorithm} \w+, should be 0+\)"):
        download(wrong, home)
    assert not (home / "file.bin").exists()
    assert not (home / "file.bin.part").exists()
    # A complete file from elsewhere is no better.
    (home / "file.bin").write_bytes(b"something else")
    with pytest.raises(OSError, match="checksum"):
        download(remote, home)
    assert download(remote, home).read_bytes() == served(server)


def test_a_right_md5_is_accepted(server, remote, home):
    md5 = hashlib.md5(served(server)).hexdigest()
    assert download(replace(remote, sha256=None, md5=md5), home).is_file()


def test_a_refusal_is_not_asked_for_again(server, remote, home):
    with pytest.raises(OSError, match=r"answered 404 Not Found; .* give it as archive="):
        download(replace(remote, url=remote.url + "x"), home, delay=0)
    assert len(server.requests) == 1


def test_a_troubled_server_is_asked_again(server, remote, home):
    server.status = 503
    with pytest.raises(OSError, match="answered 503"):
        download(remote, home, n_retries=2, delay=0)
    assert len(server.requests) == 3


def test_an_unreachable_server_is_an_os_error(home):
    unreachable = RemoteFile("http://127.0.0.1:9/file.bin", "file.bin")
    with pytest.raises(OSError, match=r"call again to go on, or give file\.bin as archive="):
        download(unreachable, home, n_retries=1, delay=0)


def test_a_loader_refuses_a_wrong_checksum(server, publish, home, monkeypatch):
    fetch, benchmark = publish("cub200")
    wrong = replace(benchmark.files[0], sha256="0" * 64)
    monkeypatch.setitem(BENCHMARKS, "cub200", replace(benchmark, files=(wrong,)))
    with pytest.raises(OSError, match="wrong checksum"):
        fetch(data_home=home)
    assert list(home.rglob("*.tgz*")) == []
