"""The JSON files of results: one name, one version, older ones are read."""

import json
from pathlib import Path

from metriclearn._files import check_writable, write_text
from metriclearn._format import Format, checksum, parse_json

#: Fields that were added since a version have defaults, so that any of them is read as it is.
FORMAT = Format("metriclearn comparison", {3: dict})
# Before version 3 the version was part of the name.
OLDER = ("metriclearn comparison 2", "metriclearn ranking 1")


def write_document(path, document):
    """Write a document, whole or not at all.

    Parameters
    ----------
    path : str or path
    document : dict
    """
    check_writable(path, "to_json:")
    document = json.loads(json.dumps({**FORMAT.head, **document}))
    document = {**document, "sha256": checksum(document)}
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def read_document(path):
    """Read a document of this version or an older one.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If the file is something else, of a later version, or damaged.
    """
    document = parse_json(Path(path).read_bytes(), path)
    if isinstance(document, dict) and document.get("format") in OLDER:
        return document
    read = FORMAT.reader(document, path)
    written = document.pop("sha256", None)
    if written is not None and written != checksum(document):
        raise ValueError(f"{path} is damaged or was edited: its checksum is another")
    return read(document)
