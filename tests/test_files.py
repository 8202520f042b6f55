"""A file is written whole or not at all, and says what it is."""

import errno
import io
import os
import pickle
import re
import signal
import stat
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest
from helpers.faults import flipped, full_disk

from metriclearn import _files, _packed
from metriclearn._files import (
    Lock,
    check_writable,
    open_regular,
    replacing,
    write_bytes,
    write_text,
)
from metriclearn._format import Format, parse_json
from metriclearn._packed import open_npz


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    old = os.umask(0o027)
    yield
    os.umask(old)


@pytest.mark.usefixtures("umask")
def test_a_new_file_follows_the_umask_and_an_old_one_keeps_its_mode(tmp_path):
    path = tmp_path / "a"
    write_text(path, "one")
    assert mode(path) == 0o640
    for kept in (0o600, 0o664, 0o755):
        path.chmod(kept)
        write_text(path, "two")
        assert mode(path) == kept
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_parts_are_written_one_after_the_other(tmp_path):
    write_bytes(tmp_path / "a", b"ab", memoryview(b"cd"))
    assert (tmp_path / "a").read_bytes() == b"abcd"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError("other")])
def test_an_error_leaves_the_old_file_and_no_scratch(tmp_path, error):
    path = tmp_path / "a"
    write_text(path, "old")

    def fail():
        with replacing(path) as stream:
            stream.write(b"new")
            raise error

    with pytest.raises(error if isinstance(error, type) else OSError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("old", [None, "old"])
def test_a_full_disk_is_one_error_that_names_the_file(tmp_path, old):
    path = tmp_path / "a"
    if old is not None:
        write_text(path, old)
    with full_disk(1000), pytest.raises(OSError, match=r"'.*a'$") as caught:
        write_bytes(path, bytes(100_000))
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(path)
    assert [p.read_text() for p in tmp_path.iterdir()] == ([] if old is None else [old])


def test_an_error_that_a_failed_write_led_to_is_the_failed_write(tmp_path):
    def write():
        with replacing(tmp_path / "a") as stream:
            try:
                stream.write(bytes(100_000))
            except OSError:
                raise RuntimeError("enforce fail") from None

    with full_disk(1000), pytest.raises(OSError, match=r"'.*a'$"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_planted_scratch_name_is_not_followed(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    monkeypatch.setattr(_files.secrets, "token_hex", lambda n: "0")
    (tmp_path / ".a.0.part").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_text(tmp_path / "a", "new")
    assert victim.read_text() == "precious"


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    link.symlink_to("folder/target")  # which is not there yet
    for text in ("one", "two"):
        write_text(link, text)
        assert link.is_symlink()
        assert target.read_text() == text
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="symbolic links"):
        write_text(loop, "x")


def test_pipes_and_devices_are_written_in_place(tmp_path):
    fifo, read = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    write_text(fifo, "through")
    reader.join()
    assert read == ["through"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    check_writable(link, "--json")
    write_text(link, "nothing")
    assert link.is_symlink()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert sorted(tmp_path.iterdir()) == [fifo, link]


@pytest.mark.parametrize("redirected", [True, False])
def test_standard_output_is_a_file_like_any(tmp_path, redirected):
    code = (
        "from metriclearn._files import write_text; print('before', flush=True);"
        "write_text('/dev/stdout', 'written')"
    )
    with open(tmp_path / "out", "wb") as out:
        stdout = out if redirected else subprocess.PIPE
        result = subprocess.run([sys.executable, "-c", code], stdout=stdout, check=True)
    written = (tmp_path / "out").read_bytes() if redirected else result.stdout
    assert written == b"before\nwritten"


def test_check_writable_says_what_is_wrong_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"--json .*: is a folder"):
        check_writable(tmp_path, "--json")
    with pytest.raises(ValueError, match=r"--json .*: there is no folder"):
        check_writable(tmp_path / "no" / "a", "--json")
    check_writable(tmp_path / "a", "--json")
    assert list(tmp_path.iterdir()) == []


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, what in (("fifo", "pipe"), (".", "folder")):
        with pytest.raises(ValueError, match=what), open_regular(tmp_path / path):
            pass
    with pytest.raises(FileNotFoundError), open_regular(tmp_path / "none"):
        pass
    write_text(tmp_path / "a", "text")
    with open_regular(tmp_path / "a") as stream:
        assert stream.read() == b"text"


# --- locks --------------------------------------------------------------------------------


def test_one_holds_a_lock_and_the_others_are_told_who(tmp_path):
    mine, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert mine.take() is None
    assert mine.take() is None
    assert other.take().startswith(f"process {os.getpid()} on ")
    assert mine.held
    assert not other.held
    assert not pickle.loads(pickle.dumps(mine)).held
    mine.release()
    assert not (tmp_path / "lock").exists()
    assert other.take() is None
    del other
    assert not (tmp_path / "lock").exists()


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = (
        "import os, signal, sys; from metriclearn._files import Lock; lock = Lock(sys.argv[1]);"
        "assert lock.take() is None; os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = subprocess.run([sys.executable, "-c", code, tmp_path / "lock"], check=False)
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "lock").exists()
    assert Lock(tmp_path / "lock").take() is None


def test_a_forked_child_does_not_release_its_parents_lock(tmp_path):
    lock = Lock(tmp_path / "lock")
    lock.take()
    child = os.fork()
    if child == 0:
        lock.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "lock").exists()
    assert Lock(tmp_path / "lock").take() is not None


# --- formats ------------------------------------------------------------------------------

SHOES = Format("shoes", {1: lambda size: {"size": size}, 2: dict})


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (None, "a.json is not a shoes"),
        ([], "is not a shoes"),
        ({"format": "hats", "version": 1}, "is not a shoes"),
        ({"format": "shoes"}, "is damaged: its version of the format is None"),
        ({"format": "shoes", "version": "2"}, "is damaged"),
        ({"format": "shoes", "version": True}, "is damaged"),
        ({"format": "shoes", "version": 0}, "is damaged"),
        ({"format": "shoes", "version": 3}, "has version 3 .* reads up to 2: upgrade it"),
    ],
)
def test_a_format_names_what_it_cannot_read(head, message):
    with pytest.raises(ValueError, match=message):
        SHOES.reader(head, "a.json")


def test_a_format_reads_every_version_that_was_written():
    assert SHOES.head == {"format": "shoes", "version": 2}
    assert SHOES.reader({"format": "shoes", "version": 1}, "a.json")(43) == {"size": 43}
    assert SHOES.reader(SHOES.head, "a.json")({"size": 43}) == {"size": 43}


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, "nan?"])
def test_what_is_no_json_is_one_error_that_names_the_file(text):
    with pytest.raises(ValueError, match=r"a\.json is not valid JSON"):
        parse_json(text, "a.json")


# --- archives of arrays -------------------------------------------------------------------


def test_any_damage_of_an_npz_file_is_one_error_that_names_it(tmp_path):
    """From zipfile, zlib and numpy come a dozen kinds."""
    X = np.random.default_rng(0).random((20, 3)).round(1)
    stream = io.BytesIO()
    np.savez_compressed(stream, X=X, y=np.arange(20))
    whole, path, n_errors = stream.getvalue(), tmp_path / "a.npz", 0
    for damaged in (*flipped(whole, 400), b"", whole[:100], whole[:-3], b"PK\x03\x04"):
        path.write_bytes(damaged)
        try:
            with open_npz(path) as arrays:
                arrays["X"], arrays["y"]
        except ValueError as error:
            n_errors += str(path) in str(error) and "\n" not in str(error)
    assert n_errors > 150


def test_an_npz_file_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    head = io.BytesIO()
    form = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10)}
    np.lib.format.write_array_header_1_0(head, form)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", head.getvalue())
    with pytest.raises(ValueError, match=r"a\.npz: "), open_npz(path) as arrays:
        arrays["X"]
    monkeypatch.setattr(_packed, "_MUCH", 50_000_000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", bytes(100_000_000))
    with pytest.raises(ValueError, match=r"unpacks to 0\.1 GB from 0\.1 MB"), open_npz(path):
        pass


def test_pickled_arrays_and_pipes_are_no_npz_files(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="pickled"), open_npz(tmp_path / "a.npz") as arrays:
        arrays["X"]
    os.mkfifo(tmp_path / "b.npz")
    with pytest.raises(ValueError, match="is a pipe"), open_npz(tmp_path / "b.npz"):
        pass
    with pytest.raises(FileNotFoundError), open_npz(tmp_path / "c.npz"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS])
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("there", [True, False], ids=["replaced", "new"])
def test_any_failing_call_leaves_the_old_file_and_names_it(
    call, number, there, tmp_path, monkeypatch
):
    path = tmp_path / "a.bin"
    if there:
        path.write_bytes(b"old")

    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(_files.os, call, fail)
        with pytest.raises(OSError, match=re.escape(str(path))) as caught:
            _files.write_bytes(path, b"new")
    assert caught.value.errno == number
    assert [file.name for file in tmp_path.iterdir()] == (["a.bin"] if there else [])
    assert not there or path.read_bytes() == b"old"


def test_without_the_calls_of_unix_files_are_whole_and_locks_hold_nobody(tmp_path, monkeypatch):
    """As on Windows: no fcntl, no fchmod, no folder that can be opened."""
    unopened = os.open

    def no_folders(path, *args, **kwargs):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return unopened(path, *args, **kwargs)

    monkeypatch.setattr(_files, "fcntl", None)
    monkeypatch.delattr(_files.os, "fchmod")
    monkeypatch.delattr(_files.os, "fchown")
    monkeypatch.setattr(_files.os, "open", no_folders)
    path = tmp_path / "a.bin"
    for content in (b"old", b"new"):
        _files.write_bytes(path, content)
        assert path.read_bytes() == content
    first, second = _files.Lock(tmp_path / ".lock"), _files.Lock(tmp_path / ".lock")
    assert first.take() is None
    assert second.take() is None
    first.release()
    second.release()
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]
