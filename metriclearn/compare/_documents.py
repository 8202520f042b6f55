"""The JSON files of results: one name, one version, older ones are read."""

import json
from pathlib import Path

from metriclearn._files import check_writable, write_text
from metriclearn._format import Format, parse_json

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
    text = json.dumps({**FORMAT.head, **document}, indent=1, ensure_ascii=False)
    write_text(path, text + "\n")


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
        If the file is something else, or of a later version.
    """
    document = parse_json(Path(path).read_bytes(), path)
    if isinstance(document, dict) and document.get("format") in OLDER:
        return document
    return FORMAT.reader(document, path)(document)
