"""A retrieval index in a folder: plain arrays, JSON and faiss's own format, no pickle."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np

from metriclearn._extras import require
from metriclearn.neighbors._faiss import load_faiss

_FORMAT = "metriclearn retrieval index"
_VERSION = 1
_KEYS = {"version", "n", "d", "index", "metric", "columns", "built", "search_params", "sha256"}
_ROW_GROUP = 65_536


def write_saved(folder, vectors, catalog, coarse, settings):
    """Write an index; ``index.json``, which makes it one, last and at once.

    Parameters
    ----------
    folder : str
    vectors : ndarray of shape (n, d), float32
    catalog : Catalog
        Without removed rows.
    coarse : CoarseIndex or None
    settings : dict
        Plain values that go into ``index.json``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "vectors.f32"
    source = getattr(vectors, "filename", None)
    if source is None or Path(source).resolve() != target.resolve():
        part = folder / "vectors.f32.part"
        if source is None:
            np.ascontiguousarray(vectors).tofile(part)
        else:
            shutil.copyfile(source, part)
            os.truncate(part, vectors.nbytes)
        os.replace(part, target)
    columns = enumerate(catalog.payload.values())
    arrays = {"ids.npy": catalog.ids}
    arrays |= {f"payload_{number}.npy": column for number, column in columns}
    if coarse is not None:
        arrays["coarse.npy"] = load_faiss().serialize_index(coarse.index)
        arrays["center.npy"] = coarse.center
    sums = {}
    for name, array in arrays.items():
        np.save(folder / name, array, allow_pickle=False)
        sums[name] = _checksum(folder / name)
    description = {
        "format": _FORMAT,
        "version": _VERSION,
        "n": len(vectors),
        "d": vectors.shape[1],
        "columns": list(catalog.payload),
        "built": 0 if coarse is None else coarse.built,
        "sha256": sums,
        **settings,
    }
    part = folder / "index.json.part"
    part.write_text(json.dumps(description, indent=1))
    os.replace(part, folder / "index.json")


def read_saved(folder):
    """Read and check what ``write_saved`` wrote; the vectors are only measured.

    Returns
    -------
    dict
        The description, with ``ids``, ``payload``, ``coarse`` and ``center`` read.

    Raises
    ------
    ValueError
        If it is not such an index, or a file is missing, cut short or changed.
    """
    folder = Path(folder)
    try:
        saved = json.loads((folder / "index.json").read_text())
        known = saved["format"] == _FORMAT and set(saved) >= _KEYS
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise ValueError(f"path: {folder} is not a saved retrieval index")
    if saved["version"] != _VERSION:
        raise ValueError(
            f"path: {folder} was saved in version {saved['version']} of the format, this one "
            f"reads {_VERSION}"
        )
    try:
        return _read_checked(folder, saved)
    except (KeyError, TypeError, AttributeError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"path: {folder} is not a saved retrieval index: {_first_line(error)}"
        ) from None


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]


def _read_checked(folder, saved):
    for name, checksum in saved["sha256"].items():
        if not (folder / name).is_file() or _checksum(folder / name) != checksum:
            raise ValueError(f"path: {folder / name} is missing, cut short or changed; save anew")
    size = 4 * saved["n"] * saved["d"]
    vectors = folder / "vectors.f32"
    if not vectors.is_file() or vectors.stat().st_size < size:
        raise ValueError(f"path: {vectors} is missing or cut short, {size} bytes are due")

    def read(name):
        try:
            return np.load(folder / name, allow_pickle=False)
        except ValueError as error:
            raise ValueError(
                f"path: {folder / name} is not a plain array: {_first_line(error)}"
            ) from None

    coarse = center = None
    if "coarse.npy" in saved["sha256"]:
        coarse, center = load_faiss().deserialize_index(read("coarse.npy")), read("center.npy")
    payload = {column: read(f"payload_{i}.npy") for i, column in enumerate(saved["columns"])}
    ids = read("ids.npy")
    lengths = {len(ids), *map(len, payload.values())}
    if lengths != {saved["n"]} or (
        coarse is not None and (coarse.ntotal, center.shape) != (saved["n"], (saved["d"],))
    ):
        raise ValueError(f"path: {folder} has files of different indexes; save anew")
    return {**saved, "ids": ids, "payload": payload, "coarse": coarse, "center": center}


def _checksum(file):
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_parquet(file, vectors, catalog):
    """Write the rows that are still there as Parquet, a group of rows at a time."""
    pyarrow, parquet = require("pyarrow", "cli"), require("pyarrow.parquet", "cli")
    taken = {"id", "vector"} & set(catalog.payload)
    if taken:
        raise ValueError(f"payload has a column {taken.pop()!r}, which the file needs for itself")
    rows = catalog.rows
    writer = None
    try:
        for start in range(0, len(rows), _ROW_GROUP):
            group = rows[start : start + _ROW_GROUP]
            flat = pyarrow.array(np.ascontiguousarray(vectors[group]).reshape(-1))
            table = pyarrow.table(
                {
                    "id": pyarrow.array(catalog.ids[group]),
                    "vector": pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
                    **{
                        name: pyarrow.array(column[group])
                        for name, column in catalog.payload.items()
                    },
                }
            )
            writer = writer or parquet.ParquetWriter(file, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
