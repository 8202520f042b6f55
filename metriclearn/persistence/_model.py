"""A saved model: a folder with a manifest, one file of parts for all but networks, and theirs.

The card beside them says in Markdown what the model is.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import warnings
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from metriclearn._extras import installed_version, require
from metriclearn._files import (
    Lock,
    as_folder,
    as_path,
    check_folder,
    make_folder,
    open_regular,
    remove_empty,
    write_bytes,
    write_text,
)
from metriclearn._format import Format, checksum, parse_json
from metriclearn.persistence._card import render_card
from metriclearn.persistence._parts import NETWORKS, put_back, take_out, unknown_entries, untrusted

_MANIFEST, _CARD, _LOCK = "model.json", "README.md", ".lock"
_FORMAT = Format("metriclearn model", {1: dict})
_FIELDS = {
    "estimator": str,
    "parts": str,
    "networks": list,
    "files": dict,
    "versions": dict,
    "card": dict,
}
_NAME = re.compile(r"[a-z0-9-]{1,60}\.(skops|safetensors)")
# As often as this a reader looks again where a writer replaced what it was about to read.
_LOOKS = 100
# What the parts of a pipeline may unpack to, in all and as a multiple of the file.
_MOST_BYTES, _MOST_RATIO = 2**34, 1100


def save(estimator: BaseEstimator, path: str | Path, *, card: dict[str, Any] | None = None) -> None:
    """Keep a fitted estimator, or a pipeline of estimators, in a folder.

    Everything but networks goes into one file of skops, networks into one file of safetensors
    each; a manifest names both with their checksums, and ``README.md`` is a model card. No file
    is a pickle. Where the folder holds a model already, it is the old one or the new one at any
    moment, whatever happens.

    Parameters
    ----------
    estimator : estimator
        Of this package, or a pipeline of them with steps of scikit-learn and skrub.
    path : str or Path
        A folder; made where there is none.
    card : dict, default=None
        What else the model card says: ``{title: text or list of texts}``. Kept in the manifest,
        too.

    Raises
    ------
    ValueError
        If something in the estimator has no name that it could be found by when it is read, for
        instance a function, a class or a network of one's own; or the folder holds something
        else.
    OSError
        If it cannot be written; a model that was there is whole.

    See Also
    --------
    load : Reads it.
    metriclearn.deep.DeepEmbedder.save : Keeps one network, in one file.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import metriclearn
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), metriclearn.LMNN()).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     metriclearn.save(model, folder)
    ...     again = metriclearn.load(folder)
    >>> bool((again.transform(X) == model.transform(X)).all())
    True
    """
    require("skops.io", "skops")
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(f"estimator must be an estimator, got {type(estimator).__name__}")
    folder = as_folder(path)
    _check_content(folder, "path")
    try:
        parts, networks = _pack(estimator)
    except ValueError as error:
        raise ValueError(
            f"estimator: {_at_fault(estimator)}cannot be saved without pickle: {error}. "
            f"Estimators of metriclearn, scikit-learn and skrub can be saved, but for trees, "
            f"splines, distributions and functions of one's own"
        ) from None
    new = make_folder(folder)
    try:
        _write_alone(folder, parts, networks, estimator, card)
    except BaseException:
        remove_empty(new)
        raise


def check_place(path, argument):
    """Find out before the work whether a model can be kept in a folder after it.

    Parameters
    ----------
    path : str or Path
    argument : str
        What the error calls it, e.g. ``"--save"``.
    """
    _check_content(check_folder(path, argument), argument)


def load(path: str | Path) -> BaseEstimator:
    """Read an estimator that `save` kept.

    Every file is checked before anything is made of it, and every name in it against a list;
    no code of the file is run, and files that the manifest does not name are not looked at.

    Parameters
    ----------
    path : str or Path
        The folder.

    Returns
    -------
    estimator
        Fitted, as it was saved.

    Raises
    ------
    FileNotFoundError
        If there is no model.
    ValueError
        If a file is damaged or missing, was written by a newer version, or names something
        that a model may not hold.

    See Also
    --------
    save : Writes it.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> import metriclearn
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     metriclearn.save(metriclearn.Covariance().fit(X), folder)
    ...     metriclearn.load(folder)
    Covariance()
    """
    require("skops.io", "skops")
    folder = as_path(path)
    for _ in range(_LOOKS):
        manifest = _read_manifest(folder)
        try:
            return _load(folder, manifest)
        except (ValueError, OSError):
            if _read_manifest(folder) == manifest:
                raise
            # It was replaced meanwhile, and its files with it: look again.
    raise OSError(f"{folder}: it was replaced {_LOOKS} times while it was read")


def _load(folder, manifest):
    skops = require("skops.io", "skops")
    contents = {name: _checked(folder, name, entry) for name, entry in manifest["files"].items()}
    parts = contents[manifest["parts"]]
    where = folder / manifest["parts"]
    try:
        _check_archive(parts, where)
        names = skops.get_untrusted_types(data=parts)
        if strangers := untrusted(names):
            raise ValueError(f"it names {', '.join(strangers)[:200]}, which a model may not hold")
        estimator = skops.loads(parts, trusted=names)
        networks = [_read_network(folder / name) for name in manifest["networks"]]
        return put_back(estimator, networks)
    except (ImportError, OSError):
        raise
    except Exception as error:  # whatever a damaged or hostile file leads skops to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{where}: cannot be read ({reason})") from None


def read_card(path: str | Path) -> dict[str, Any]:
    """Read what a saved model says of itself, without loading it.

    Parameters
    ----------
    path : str or Path
        The folder.

    Returns
    -------
    dict
        ``estimator`` (its class), ``versions`` of the libraries that wrote it, and ``card``.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load`.

    See Also
    --------
    save : Writes the card.
    load : Reads the model.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> import metriclearn
    >>> from metriclearn.persistence import read_card
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     metriclearn.save(metriclearn.Covariance().fit(X), folder)
    ...     card = read_card(folder)
    >>> card["estimator"].split(".")[-1]
    'Covariance'
    """
    manifest = _read_manifest(as_path(path))
    return {key: manifest[key] for key in ("estimator", "versions", "card")}


def _pack(estimator):
    """Return the file of parts and the networks, or say what cannot be in a file."""
    skops = require("skops.io", "skops")
    try:
        rest, networks = take_out(estimator)
        with warnings.catch_warnings():
            # Older numpy, on dtypes of pandas with metadata that is empty.
            warnings.filterwarnings("ignore", "metadata on a dtype", UserWarning)
            parts = skops.dumps(rest, compression=zipfile.ZIP_DEFLATED)
        strangers = untrusted(skops.get_untrusted_types(data=parts))
    except RecursionError:
        raise ValueError("it refers to itself, or is nested too deep") from None
    except Exception as error:  # of pickle's C code and skops, which share no base
        if isinstance(error, (ImportError, OSError, MemoryError)):
            raise
        reason = re.sub(r" at 0x[0-9a-f]+", "", " ".join(str(error).split()))
        raise ValueError(reason or type(error).__name__) from None
    if strangers:
        raise ValueError(f"it holds {', '.join(strangers)}, which a saved model may not")
    return parts, networks


def _at_fault(estimator):
    """Name the innermost step, or else setting, that cannot be saved."""
    found = estimator.get_params(deep=True)
    inner_first = sorted(found, key=lambda name: name.count("__"), reverse=True)
    for name in sorted(inner_first, key=lambda name: not isinstance(found[name], BaseEstimator)):
        try:
            _pack(found[name])
        except ValueError:
            if isinstance(found[name], BaseEstimator):
                return f"step {name!r} ({type(found[name]).__name__}) "
            return f"setting {name!r} "
    return ""


def _write_alone(folder, *model):
    """Write while no other process does."""
    lock = Lock(folder / _LOCK)
    holder = lock.take()
    if holder:
        raise OSError(f"{folder}: {holder} is writing to it")
    try:
        _write(folder, *model)
    finally:
        lock.release()


def _write(folder, parts, networks, estimator, card):
    before = _names_of(folder)
    parts_name = f"parts-{hashlib.sha256(parts).hexdigest()[:12]}.skops"
    names = [f"network-{k}-{os.urandom(6).hex()}.safetensors" for k in range(len(networks))]
    try:
        write_bytes(folder / parts_name, parts)
        for name, network in zip(names, networks, strict=True):
            _save_network(network, folder / name, estimator)
        manifest = {
            **_FORMAT.head,
            "estimator": f"{type(estimator).__module__}.{type(estimator).__qualname__}",
            "parts": parts_name,
            "networks": names,
            "files": {name: _entry(folder / name) for name in (parts_name, *names)},
            "versions": _versions(),
            "card": card or {},
        }
        manifest["checksum"] = checksum(manifest)
        write_text(folder / _CARD, render_card(estimator, manifest))
        write_text(folder / _MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    except BaseException:
        _remove(folder, {parts_name, *names} - before)
        raise
    _remove(folder, before - {parts_name, *names})


def _save_network(network, path, estimator):
    try:
        network.save(path)
    except ValueError as error:
        steps = [name for name, step in estimator.get_params().items() if step is network]
        raise ValueError(f"step {steps[0]!r}: {error}" if steps else error) from None


def _remove(folder, names):
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _read_manifest(folder):
    path = folder / _MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: there is no saved model (no {_MANIFEST} in it)")
    with open_regular(path) as stream:
        manifest = parse_json(stream.read(), path)
    manifest = _FORMAT.reader(manifest, path)(manifest)
    given = manifest.pop("checksum", None)
    if given != checksum(manifest):
        raise ValueError(f"{path}: damaged: its checksum does not match its content")
    _check_fields(manifest, path)
    files = manifest["files"]
    if not all(_NAME.fullmatch(name) for name in files) or set(files) != {
        manifest["parts"],
        *manifest["networks"],
    }:
        raise ValueError(f"{path}: names files that a model does not have")
    return manifest


def _check_fields(manifest, path):
    """Check that what a manifest holds is of the kinds that are read from it."""
    entries = manifest.get("files")
    whole = (
        all(type(manifest.get(name)) is kind for name, kind in _FIELDS.items())
        and all(type(name) is str for name in manifest["networks"])
        and all(type(entry) is dict for entry in entries.values())
        and all(type(entry.get("sha256")) is str for entry in entries.values())
        and all(type(entry.get("bytes")) is int for entry in entries.values())
    )
    if not whole:
        raise ValueError(f"{path}: damaged: it lacks something, or holds another kind of value")


def _checked(folder, name, entry):
    """Read a file that the manifest names; a network's only to compare its checksum."""
    path = folder / name
    if not path.is_file():
        raise ValueError(f"{path}: missing; the model is not whole")
    with open_regular(path) as stream:
        whole = os.fstat(stream.fileno()).st_size == entry["bytes"]
        content = stream.read(entry["bytes"]) if whole else b""
    if not whole or hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ValueError(f"{path}: damaged: its checksum is not that of {_MANIFEST}")
    return content


def _check_archive(parts, where):
    """Bound what an archive unpacks to before it is, and look through what its entries are."""
    unpacked = _unpacked(parts, len(parts))
    if unpacked > _most(len(parts)):
        raise ValueError(f"it would unpack to {unpacked:,} bytes")
    with zipfile.ZipFile(io.BytesIO(parts)) as archive:
        schema = parse_json(archive.read("schema.json"), where)
    if strangers := unknown_entries(schema):
        raise ValueError(f"it has entries of kind {', '.join(strangers)[:200]}")


def _unpacked(content, packed):
    """Return how many bytes an archive unpacks to, archives in it included."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        for member in members:
            if unpacked > _most(packed):
                break
            with archive.open(member) as stream:
                is_archive = stream.read(2) == b"PK"
            if is_archive:  # of sparse matrices
                unpacked += _unpacked(archive.read(member), packed)
    return unpacked


def _most(packed):
    return min(_MOST_BYTES, _MOST_RATIO * packed)


def _read_network(path):
    from metriclearn.deep._saved._file import format_of

    module, kind = NETWORKS[format_of(path)]
    return getattr(import_module(module), kind).load(path)


def _check_content(folder, argument):
    """Check that a folder, if there is one, holds nothing but a model."""
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.is_symlink() or not _is_ours(file):  # what a link leads to is not written over
            raise ValueError(
                f"{argument}={str(folder)!r} holds other files than a model's; give an empty or "
                f"new folder"
            )


def _is_ours(file):
    name = file.name
    return name in (_MANIFEST, _CARD) or name.startswith(".") or _NAME.fullmatch(name) is not None


def _names_of(folder):
    """Return the files of the model that is there, also of those that were left half written."""
    return {file.name for file in folder.iterdir() if _is_ours(file)} - {_MANIFEST, _CARD, _LOCK}


def _entry(path):
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _versions():
    packages = ("metriclearn", "numpy", "scikit-learn", "skops", "skrub", "torch")
    found = {package: installed_version(package) for package in packages}
    return {package: version for package, version in found.items() if version is not None}
