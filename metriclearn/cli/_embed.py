"""``metriclearn embed``: rows to vectors of a saved model."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from metriclearn._files import replacing
from metriclearn._packed import read_npy
from metriclearn._progress import progress
from metriclearn._text import counted, printable
from metriclearn.cli._errors import BadInputError, wrapped
from metriclearn.cli._model import BLOCK, check_outputs, embed_block, is_terminal, load_model, read
from metriclearn.images._reader import ImageReader

SUFFIXES = (".npy", ".parquet")
EXAMPLES = """
examples:
  metriclearn compare wine --save model
  metriclearn embed model new.csv --out vectors.parquet
  metriclearn embed model photos/ --out vectors.npy

A .parquet file has the columns id (the row's number in its file, from 0, or the name of the
image), vector and, where the source has them, label. A run that was stopped goes on from the
blocks that it has. Exit codes: 0; 2 for bad input; 130 after Ctrl-C.
"""


def add_parser(commands):
    """Add the sub-command to a parser."""
    parser = commands.add_parser(
        "embed",
        help="turn rows or images into vectors of a saved model",
        description=(
            "Embed rows by a model that compare --save or metriclearn.save kept: Euclidean "
            "distance between the vectors is the learned metric."
        ),
        epilog=EXAMPLES,
    )
    parser.add_argument("model", metavar="MODEL", help="folder of the model")
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a table, an .npz or .npy file, an image or a folder of images, or a built-in name",
    )
    parser.add_argument("--out", metavar="FILE", required=True, help="a .npy or .parquet file")
    parser.set_defaults(run=run)


def run(options, command):
    """Run the sub-command; return the exit code."""
    out = Path(options.out)
    check_outputs({"--out": options.out}, options.model, [options.source], SUFFIXES)
    model = load_model(options.model)
    rows = read(options.source, model)
    kept = out.with_name(f".{out.name}.blocks")
    try:
        vectors = _blocks(model, rows, kept, _fingerprint(options, rows))
    except BaseException:
        if not list(kept.glob("*.npy")):  # nothing to go on from
            shutil.rmtree(kept, ignore_errors=True)
        raise
    try:
        if out.suffix.lower() == ".npy":
            with replacing(out) as stream:
                np.save(stream, vectors)
        else:
            _write_parquet(out, rows, vectors)
    except OSError as error:
        raise BadInputError(f"--out {options.out}: {error}") from None
    shutil.rmtree(kept, ignore_errors=True)
    found = counted(len(vectors), "vector")
    said = f"{found} of {counted(vectors.shape[1], 'number')}"
    print(wrapped(f"wrote {printable(options.out)}: {said}"))
    return 0


def _fingerprint(options, rows):
    """Tell a run from others: its model and its source."""
    manifest = Path(options.model) / "model.json"
    source = Path(options.source)
    parts = [str(source.resolve()), len(rows), BLOCK]
    if source.exists():  # no built-in name
        parts += [source.stat().st_size, source.stat().st_mtime_ns]
    whole = hashlib.sha256(manifest.read_bytes())
    whole.update(json.dumps([*parts, [str(i) for i in rows.ids]]).encode())
    if hasattr(rows.X, "files"):
        whole.update(b"".join(ImageReader().identities(rows.X)))
    return whole.hexdigest()


def _blocks(model, rows, folder, fingerprint):
    """Embed block by block; blocks that a stopped run of the same kind left are not done again."""
    mark = folder / "run"
    if not mark.is_file() or mark.read_bytes() != fingerprint.encode():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with replacing(mark) as stream:
            stream.write(fingerprint.encode())
    vectors = []
    with progress(is_terminal(), "embed", len(rows)) as advance:
        for number, start in enumerate(range(0, len(rows), BLOCK)):
            file = folder / f"{number}.npy"
            block = _kept(file)
            if block is None:
                block = embed_block(model, rows, slice(start, start + BLOCK))
                if len(rows) > BLOCK:
                    with replacing(file) as stream:
                        np.save(stream, block)
            vectors.append(block)
            advance(steps=len(block))
    return np.concatenate(vectors)


def _kept(file):
    try:
        return read_npy(file)
    except (OSError, ValueError):
        return None


def _write_parquet(out, rows, vectors):
    """Write ids, vectors and labels, as `RetrievalIndex.from_parquet` reads them."""
    from metriclearn._extras import require

    arrow, parquet = require("pyarrow", "cli"), require("pyarrow.parquet", "cli")
    flat = arrow.array(np.ascontiguousarray(vectors).ravel())
    columns = {
        "id": arrow.array([_as_text(each) for each in rows.ids.tolist()]),
        "vector": arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
    }
    if rows.labels is not None:
        columns["label"] = arrow.array([_as_text(str(label)) for label in rows.labels])
    with replacing(out) as stream:
        parquet.write_table(arrow.table(columns), stream)


def _as_text(value):
    """Write bytes of a file's name that are no text as the terminal shows them."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
