"""Saved indexes, and what a stranger does to them."""

import hashlib
import json

from metriclearn._format import checksum
from metriclearn.neighbors import RetrievalIndex

GONE = object()


def filled(X, **arguments):
    index = RetrievalIndex(**arguments)
    index.add(X)
    return index


def file_of(folder, key):
    """The file of a saved index that holds ids, coarse, vectors ..."""
    return folder / json.loads((folder / "index.json").read_text())["files"][key]["name"]


def edit(folder, **changes):
    """Change a manifest as someone would who knows of its checksum."""
    manifest = json.loads((folder / "index.json").read_text())
    manifest |= changes
    manifest = {name: value for name, value in manifest.items() if value is not GONE}
    manifest["sha256"] = checksum({k: v for k, v in manifest.items() if k != "sha256"})
    (folder / "index.json").write_text(json.dumps(manifest))


def replace(folder, key, write):
    """Replace a file of an index by another, checksum and all."""
    path = file_of(folder, key)
    write(path)
    files = json.loads((folder / "index.json").read_text())["files"]
    files[key]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(folder, files=files)
