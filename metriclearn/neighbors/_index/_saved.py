"""A retrieval index in a folder: plain arrays, JSON and faiss's own format, no pickle.

Every save writes files of a new generation and then replaces ``index.json``, which names
them with their checksums; files that it does not name are nobody's. Vectors are added to
their file, which is written again only where rows were removed.
"""

import contextlib
import io
import json
import os
import re
from pathlib import Path

import numpy as np

from metriclearn._files import (
    Lock,
    as_folder,
    as_path,
    make_folder,
    open_regular,
    remove_empty,
    sync_folder,
    write_bytes,
    write_text,
)
from metriclearn._format import Format, checksum, digest, parse_json
from metriclearn._packed import parse_array
from metriclearn.neighbors._faiss import load_faiss
from metriclearn.neighbors._index._columns import Column
from metriclearn.neighbors._index._vectors import BlockSums, Vectors
from metriclearn.neighbors._search._ranker import METRICS

MANIFEST = "index.json"
_LOCK = "index.lock"
# Files that a save makes, of this version and the one before.
_OURS = re.compile(
    r"(vectors|ids|coarse|center|offset|blocks|payload_\d+|missing_\d+)(-\d+)?\.(npy|f32)"
)
# As often as this a reader looks again where a writer replaced what it was about to open.
_LOOKS = 100


class SavedFolder:
    """A folder that an index is saved to: one writes at a time, any number read."""

    def __init__(self, path):
        self.path = as_path(path)
        self._lock = None
        # Folders that were made for it and hold nothing yet, the innermost first.
        self._new = []
        # Checksum of the manifest that the holder of this object last read or wrote.
        self.seen = None

    def __getstate__(self):
        return {**vars(self), "_lock": None, "_new": []}

    def holds_index(self):
        """Whether an index is saved there."""
        return (self.path / MANIFEST).exists()

    def is_at(self, path):
        """Whether a path names this folder."""
        return os.path.realpath(self.path) == os.path.realpath(as_path(path))

    def open(self, *, unchanged, new=False):
        """Take the folder for writing, and clear it of what killed processes left.

        Parameters
        ----------
        unchanged : bool
            Whether what is saved must be what was seen last.
        new : bool, default=False
            Whether it must hold no index.
        """
        if new and self.holds_index():
            raise ValueError(
                f"path: {self.path} holds vectors of another index; open it with "
                f"RetrievalIndex.load, or name another folder"
            )
        if self._lock is not None:
            return
        if unchanged and self.seen is not None and not self.holds_index():
            raise ValueError(
                f"path: {self.path} no longer holds the index that was opened; load it from where "
                f"it is now"
            )
        self._new = make_folder(as_folder(self.path))
        lock = Lock(self.path / _LOCK)
        holder = lock.take()
        if holder is not None:
            raise ValueError(
                f"path: {self.path} is being written by {holder}; one index at a time writes to a "
                f"folder"
            )
        manifest = _read_manifest(self.path) if self.holds_index() else None
        if unchanged and (None if manifest is None else checksum(manifest)) != self.seen:
            lock.release()
            raise ValueError(
                f"path: {self.path} was saved by another index since this one was opened; load it "
                f"again"
            )
        self._lock = lock
        self.generation = 1 + (manifest or {}).get("generation", 0)
        self._clear(manifest)

    def close(self):
        """Let others write."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        remove_empty(self._new)
        self._new = []

    @contextlib.contextmanager
    def filling(self, *, new):
        """Take the folder for rows to add; where a new index's cannot be written, leave nothing."""
        self.open(unchanged=True, new=new)
        try:
            yield
        except BaseException:
            if new:
                self._clear(None)
                self.close()
            raise

    def save(self, gallery, settings, *, own):
        """Save a gallery.

        Parameters
        ----------
        gallery : Gallery
        settings : dict
            Plain values that go into the manifest.
        own : bool
            Whether the gallery's vectors are in this folder.

        Returns
        -------
        Gallery
            As it was saved: without removed rows.
        """
        was_open = self._lock is not None
        self.open(unchanged=own)
        file = None
        try:
            gallery.build(coarse_only=True)
            if not own or not gallery.catalog.whole:
                file = self.vectors_file()
                gallery = gallery.compacted(file)
                gallery.build(coarse_only=True)
            self.write(gallery.vectors, gallery.catalog, gallery.coarse, settings)
        except BaseException:
            if file is not None and not self.names(file):
                Path(file).unlink(missing_ok=True)
            if not was_open:  # else there are rows that were added and not saved
                self.close()
            raise
        self.close()
        return gallery

    def names(self, file):
        """Whether what is saved names a file."""
        with contextlib.suppress(OSError, ValueError):
            return os.path.basename(file) in _named(_read_manifest(self.path))
        return False

    def vectors_file(self):
        """Return the name of a new file for vectors."""
        while (self.path / f"vectors-{self.generation}.f32").exists():
            self.generation += 1
        return os.fspath(self.path / f"vectors-{self.generation}.f32")

    def write(self, vectors, catalog, coarse, settings):
        """Write an index; the manifest, which makes it one, last and at once.

        Parameters
        ----------
        vectors : Vectors
            With a file in this folder.
        catalog : Catalog
            Without removed rows.
        coarse : CoarseIndex or None
        settings : dict
            Plain values that go into the manifest.
        """
        vectors.sync()
        sums = vectors.checksums()
        arrays = {"ids": catalog.ids, "blocks": sums}
        for number, column in enumerate(catalog.columns.values()):
            arrays[f"payload_{number}"] = column.values
            if column.missing is not None:
                arrays[f"missing_{number}"] = column.missing
        if vectors.offset is not None:
            arrays["offset"] = vectors.offset
        if coarse is not None:
            arrays["coarse"] = load_faiss().serialize_index(coarse.index)
            arrays["center"] = coarse.center
        files = {"vectors": {"name": os.path.basename(vectors.file)}}
        written = []
        try:
            for key, array in arrays.items():
                name = f"{key}-{self.generation}.npy"
                content = _npy(array)
                written.append(self.path / name)
                write_bytes(self.path / name, content)
                files[key] = {"name": name, "sha256": digest(content)}
            manifest = {
                **RETRIEVAL_INDEX.head,
                "generation": self.generation,
                "n": vectors.n,
                "d": vectors.d,
                "columns": list(catalog.columns),
                "built": 0 if coarse is None else coarse.built,
                "files": files,
                **settings,
            }
            manifest["sha256"] = checksum(manifest)
            write_text(self.path / MANIFEST, json.dumps(manifest, indent=1))
        except BaseException:
            # An interrupt may have come after the manifest was in place.
            for path in written:
                if not self.names(path):
                    path.unlink(missing_ok=True)
            raise
        self.seen = checksum(manifest)
        vectors.sums = BlockSums(sums, vectors.n, vectors.d)
        vectors.sums.trust()
        self.generation += 1
        self._clear(manifest)

    def _clear(self, manifest):
        """Remove files of ours that the manifest does not name."""
        named = {MANIFEST} if manifest is None else _named(manifest)
        for path in self.path.iterdir():
            scratch = path.name.startswith(".") and path.name.endswith(".part")
            if scratch or (_OURS.fullmatch(path.name) and path.name not in named):
                with contextlib.suppress(OSError):  # Windows keeps what someone has open
                    path.unlink()
        sync_folder(self.path)


def read_saved(folder):
    """Read and check what ``SavedFolder.write`` wrote; the vectors are only measured.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    saved : dict
        The manifest, with ``ids``, ``coarse``, ``center`` and ``columns``, a dict of Column,
        read, and the ``identity`` of what was saved.
    vectors : Vectors
        Their file is open.
    """
    for _ in range(_LOOKS):
        manifest = _read_manifest(folder)
        try:
            saved = RETRIEVAL_INDEX.reader(manifest, folder)(folder, manifest)
            sums, offset = saved["sums"], saved["offset"]
            file = os.fspath(saved["vectors"])
            return saved, Vectors(saved["d"], file, saved["n"], offset=offset, sums=sums, new=False)
        except (ValueError, OSError):
            # A writer may have replaced the files since; else they are damaged.
            if checksum(_read_manifest(folder)) == checksum(manifest):
                raise
    raise ValueError(f"path: {folder} is saved again and again; try when it is quieter")


def _read_manifest(folder):
    path = folder / MANIFEST
    try:
        with open_regular(path) as stream:
            manifest = parse_json(stream.read(), f"path: {path}")
    except OSError as error:
        raise ValueError(
            f"path: {folder} is not a saved retrieval index ({MANIFEST}: {error.strerror})"
        ) from None
    RETRIEVAL_INDEX.reader(manifest, f"path: {folder}")
    return manifest


def _named(manifest):
    if "files" in manifest:
        return {entry["name"] for entry in manifest["files"].values()}
    return {"vectors.f32", *manifest["sha256"]}


def _read_version_2(folder, manifest):
    damaged = f"path: {folder / MANIFEST} is damaged"
    kept = {name: value for name, value in manifest.items() if name != "sha256"}
    if manifest.get("sha256") != checksum(kept):
        raise ValueError(f"{damaged}: its checksum is another")
    _check_types(manifest, {"files": dict, "generation": int}, damaged)
    for entry in manifest["files"].values():
        if not isinstance(entry, dict) or not _OURS.fullmatch(str(entry.get("name"))):
            raise ValueError(f"{damaged}: it names a file that is none of an index")
    names = {key: entry["name"] for key, entry in manifest["files"].items()}
    sums = {key: entry.get("sha256") for key, entry in manifest["files"].items()}
    return _read(folder, manifest, names, sums)


def _read_version_1(folder, manifest):
    """Read what was written before vectors had checksums."""
    damaged = f"path: {folder / MANIFEST} is damaged"
    _check_types(manifest, {"sha256": dict}, damaged)
    for name in manifest["sha256"]:
        if not _OURS.fullmatch(name):
            raise ValueError(f"{damaged}: it names a file that is none of an index")
    names = {name.partition(".")[0]: name for name in manifest["sha256"]}
    sums = {name.partition(".")[0]: sha256 for name, sha256 in manifest["sha256"].items()}
    return _read(folder, manifest, {**names, "vectors": "vectors.f32"}, sums)


RETRIEVAL_INDEX = Format("metriclearn retrieval index", {1: _read_version_1, 2: _read_version_2})
_TYPES = {"n": int, "d": int, "index": str, "metric": str, "columns": list, "built": int}


def _check_types(manifest, types, damaged):
    for name, kind in types.items():
        if type(manifest.get(name)) is not kind:
            raise ValueError(f"{damaged}: its entry {name!r} is {manifest.get(name)!r:.40}")


def _read(folder, manifest, names, sums):
    damaged = f"path: {folder / MANIFEST} is damaged"
    _check_types(manifest, _TYPES, damaged)
    n, d, columns = manifest["n"], manifest["d"], manifest["columns"]
    effort = manifest.get("search_params")
    if n < 0 or d < 1 or manifest["metric"] not in METRICS:
        raise ValueError(f"{damaged}: n={n}, d={d}, metric={manifest['metric']!r:.40}")
    if not (effort is None or isinstance(effort, str)) or not all(
        isinstance(column, str) for column in columns
    ):
        raise ValueError(f"{damaged}: its search_params or columns are not text")
    expected = {"vectors", "ids", *(f"payload_{i}" for i in range(len(columns)))}
    optional = {"coarse", "center", "offset", "blocks"}
    optional |= {f"missing_{i}" for i in range(len(columns))}
    if not expected <= set(names) <= expected | optional or len(set(columns)) < len(columns):
        raise ValueError(f"{damaged}: it does not name the files of its columns")
    arrays = {
        key: _read_array(folder / name, sums[key])
        for key, name in names.items()
        if key != "vectors"
    }
    vectors = folder / names["vectors"]
    size = 4 * n * d
    if not vectors.is_file() or vectors.stat().st_size < size:
        raise ValueError(f"path: {vectors} is missing or cut short, {size} bytes are due")
    read = {
        "ids": arrays["ids"],
        "columns": {
            name: Column(arrays[f"payload_{i}"], arrays.get(f"missing_{i}"))
            for i, name in enumerate(columns)
        },
        "offset": arrays.get("offset"),
        "coarse": _read_coarse(arrays, folder / names.get("coarse", "")),
        "center": arrays.get("center"),
    }
    _check_fit(read, n, d, folder)
    blocks = arrays.get("blocks")
    try:
        sums = None if blocks is None else BlockSums(blocks, n, d)
    except ValueError as error:
        raise ValueError(f"path: {folder / names['blocks']}: {error}") from None
    return {
        **{name: manifest[name] for name in _TYPES},
        **read,
        "search_params": effort,
        "sums": sums,
        "vectors": vectors,
        "identity": checksum(manifest),
    }


def _check_fit(read, n, d, folder):
    """Compare the sizes and kinds of what was read."""
    ids, coarse = read["ids"], read["coarse"]
    fits = ids.shape == (n,) and (ids.dtype.kind == "U" or ids.dtype in (np.int64, np.uint64))
    for column in read["columns"].values():
        missing = column.missing
        fits &= column.values.shape == (n,) and column.values.dtype.kind in "biufUM"
        fits &= missing is None or (missing.shape == (n,) and missing.dtype == bool)
    if read["offset"] is not None:
        fits &= read["offset"].shape == (d,) and read["offset"].dtype == np.float64
    if coarse is not None:
        center = read["center"]
        fits &= (coarse.ntotal, coarse.d) == (n, d)
        fits &= center is not None and center.shape == (d,) and center.dtype == np.float32
    if not fits:
        raise ValueError(f"path: {folder} has files of different indexes; save it again")


def _read_coarse(arrays, path):
    if "coarse" not in arrays:
        return None
    codes = arrays["coarse"]
    if codes.dtype != np.uint8 or codes.ndim != 1:
        raise ValueError(f"path: {path} holds no index of faiss")
    try:
        return load_faiss().deserialize_index(codes)
    except (RuntimeError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"path: {path} holds no index of faiss: {reason}") from None


def _read_array(path, sha256):
    try:
        with open_regular(path) as stream:
            content = stream.read()
    except OSError:
        content = None
    if content is None or digest(content) != sha256:
        raise ValueError(f"path: {path} is missing, cut short or changed; save it again")
    return parse_array(content, f"path: {path}")


def _npy(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()
