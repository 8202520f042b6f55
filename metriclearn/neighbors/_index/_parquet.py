"""The rows of an index as Parquet, as vector databases take and give them."""

import json
import os

import numpy as np

from metriclearn._extras import require
from metriclearn._files import open_regular, replacing
from metriclearn._packed import check_columns
from metriclearn.neighbors._search._ranker import METRICS

_ROW_GROUP = 65_536
_KEY = b"metriclearn"


def write_parquet(file, vectors, catalog, metric):
    """Write the rows that are still there, a group at a time; the schema names the metric."""
    pyarrow, parquet = require("pyarrow", "cli"), require("pyarrow.parquet", "cli")
    taken = {"id", "vector"} & set(catalog.columns)
    if taken:
        raise ValueError(f"payload has a column {taken.pop()!r}, which the file needs for itself")
    metadata = {_KEY: json.dumps({"metric": metric}).encode()}
    rows = catalog.rows
    with replacing(file) as stream:
        writer = None
        try:
            for start in range(0, max(1, len(rows)), _ROW_GROUP):
                group = rows[start : start + _ROW_GROUP]
                table = _table(pyarrow, vectors, catalog, group).replace_schema_metadata(metadata)
                writer = writer or parquet.ParquetWriter(stream, table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()


def _table(pyarrow, vectors, catalog, group):
    vectors.verify(group)
    block = vectors.array()[group]
    if vectors.offset is not None:
        block = (block + vectors.offset).astype(np.float32)
    flat = pyarrow.array(np.ascontiguousarray(block).reshape(-1))
    columns = {
        name: pyarrow.array(
            column.values[group], mask=None if column.missing is None else column.missing[group]
        )
        for name, column in catalog.columns.items()
    }
    return pyarrow.table(
        {
            "id": pyarrow.array(catalog.ids[group]),
            "vector": pyarrow.FixedSizeListArray.from_arrays(flat, vectors.d),
            **columns,
        }
    )


def _opened(file):
    with open_regular(file):  # no folder, pipe or device
        pass
    try:
        return require("pyarrow.parquet", "cli").ParquetFile(file)
    except (ValueError, OSError) as error:
        raise ValueError(f"path: {file} is no Parquet file ({error})") from None


def read_metric(file):
    """Return the metric that a Parquet file names, None where it names none."""
    with _opened(file) as source:
        metadata = source.schema_arrow.metadata or {}
    try:
        metric = json.loads(metadata[_KEY])["metric"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return metric if metric in METRICS else None


def read_parquet(file):
    """Yield ids, vectors and payload of a Parquet file, a group of rows at a time."""
    with _opened(file) as source:
        try:
            check_columns(source.metadata, os.path.getsize(file))
        except ValueError as error:
            raise ValueError(f"path: {file} {error}") from None
        names = source.schema_arrow.names
        if not {"id", "vector"} <= set(names):
            raise ValueError(f"path: {file} has no columns 'id' and 'vector', only {names}")
        for batch in source.iter_batches(_ROW_GROUP):
            if batch.num_rows:
                yield _read_batch(batch, names, file)


def _read_batch(batch, names, file):
    column = batch.column("vector")
    if column.null_count or not hasattr(column, "flatten"):
        raise ValueError(f"path: {file}: 'vector' must be a list of numbers in every row")
    lengths = (
        np.diff(np.asarray(column.offsets))
        if hasattr(column, "offsets")
        else [column.type.list_size]
    )
    if len(np.unique(lengths)) != 1:
        raise ValueError(f"path: {file}: the vectors are of different lengths")
    flat = column.flatten()
    if flat.null_count:
        raise ValueError(f"path: {file}: 'vector' must be a list of numbers in every row")
    vectors = flat.to_numpy(zero_copy_only=False).reshape(batch.num_rows, -1)
    payload = {
        name: batch.column(name).to_pylist()
        if batch.column(name).null_count
        else batch.column(name).to_numpy(zero_copy_only=False)
        for name in names
        if name not in ("id", "vector")
    }
    return batch.column("id").to_numpy(zero_copy_only=False), vectors, payload
