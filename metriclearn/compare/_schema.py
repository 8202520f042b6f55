"""The JSON schema of a result."""

from __future__ import annotations

from dataclasses import fields, make_dataclass
from typing import Any, get_type_hints

from metriclearn.compare._documents import FORMAT
from metriclearn.compare._plain import json_schema
from metriclearn.compare._result import ComparisonResult
from metriclearn.compare._verdict._conclusions import Summary


def result_schema() -> dict[str, Any]:
    """Return the JSON schema of what :meth:`ComparisonResult.to_json` writes.

    Returns
    -------
    dict
        A JSON Schema.

    See Also
    --------
    ComparisonResult.to_json : Writes what it describes.

    Examples
    --------
    >>> from metriclearn.compare import result_schema
    >>> sorted(result_schema()["$defs"]["Trial"]["properties"])
    ['epochs', 'k', 'n_rows', 'params', 'reached', 'rising', 'score']
    """
    kept = {field.name for field in fields(ComparisonResult) if field.metadata.get("kept", True)}
    hints = {k: v for k, v in get_type_hints(ComparisonResult).items() if k in kept}
    entries = [
        ("format", str),
        ("version", int),
        *hints.items(),
        ("summary", Summary),
        ("sha256", str),
    ]
    document = make_dataclass("Comparison", entries, namespace={"__doc__": "A comparison."})
    schema = json_schema(document)
    properties = schema["$defs"]["Comparison"]["properties"]
    properties["format"] = {"const": FORMAT.name}
    properties["version"] = {"const": FORMAT.version}
    return {**schema, "title": f"{FORMAT.name} {FORMAT.version}"}
