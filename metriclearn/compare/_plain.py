"""Frozen dataclasses as plain values for JSON, back from it, and the schema of both."""

from dataclasses import MISSING, fields, is_dataclass
from numbers import Real
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
from sklearn.base import clone

_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def to_plain(value):
    """Return a value as JSON keeps it: dataclasses as objects, anything unknown by its repr.

    Estimators are kept without their seeds, which a fold draws and which are no setting.

    Examples
    --------
    >>> to_plain({"mu": np.float64(0.5), "sides": (3, 4)})
    {'mu': 0.5, 'sides': [3, 4]}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | Real | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in _kept(value)}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(key): to_plain(part) for key, part in value.items()}
    if hasattr(value, "get_params") and not isinstance(value, type):
        names = [name for name in value.get_params() if name.rpartition("__")[2] == "random_state"]
        value = clone(value).set_params(**dict.fromkeys(names))
    return repr(value)


def from_plain(kind, value, where="the document"):
    """Build what ``to_plain`` took apart.

    Parameters
    ----------
    kind : type
        A dataclass or an annotation made of ``str``, ``int``, ``float``, ``bool``, ``None``,
        ``tuple[kind, ...]``, ``dict[str, kind]``, unions and ``Any``.
    value : object
        Of JSON. Fields that this version does not know are ignored; fields with a default
        may be missing.
    where : str, default="the document"
        What an error calls the place.
    """
    if kind is Any:
        return value
    parts = get_args(kind)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in parts:
            return None
        (kind,) = (part for part in parts if part is not NoneType)
        return from_plain(kind, value, where)
    if is_dataclass(kind):
        return _dataclass_from(kind, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(from_plain(parts[0], part, f"{where}[{i}]") for i, part in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: from_plain(parts[1], part, f"{where}.{key}") for key, part in value.items()}
    accepted = (int, float) if kind is float else kind
    is_flag = isinstance(value, bool)
    if origin is None and isinstance(value, accepted) and is_flag is (kind is bool):
        return value
    raise ValueError(f"{where} must be {_words(kind)}, got {value!r:.60}")


def _kept(kind):
    """Return the fields of a dataclass that are written: all but those marked ``kept=False``."""
    return [field for field in fields(kind) if field.metadata.get("kept", True)]


def _dataclass_from(kind, value, where):
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be an object with fields, got {value!r:.60}")
    hints = get_type_hints(kind)
    given = {}
    for field in _kept(kind):
        if field.name in value:
            given[field.name] = from_plain(
                hints[field.name], value[field.name], f"{where}.{field.name}"
            )
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{where} has no field {field.name!r}")
    return kind(**given)


def _words(kind):
    origin = get_origin(kind)
    if origin is tuple:
        return "a list"
    if origin is dict:
        return "an object"
    return f"a {_JSON_TYPES[kind]}"


def json_schema(kind):
    """Return the JSON schema (draft 2020-12) of what ``to_plain`` makes of a dataclass.

    Parameters
    ----------
    kind : type
        A dataclass.

    Returns
    -------
    dict
    """
    definitions = {}
    reference = _schema_of(kind, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **reference,
        "$defs": dict(sorted(definitions.items())),
    }


def _schema_of(kind, definitions):
    parts, origin = get_args(kind), get_origin(kind)
    if kind is Any:
        return {}
    if origin in (Union, UnionType):
        return {"anyOf": [_schema_of(part, definitions) for part in parts]}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(parts[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(parts[1], definitions)}
    if not is_dataclass(kind):
        return {"type": _JSON_TYPES[kind]}
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}  # so that a dataclass may hold its own kind
        hints = get_type_hints(kind)
        definitions[kind.__name__] = {
            "type": "object",
            "description": (kind.__doc__ or "").partition("\n")[0],
            "properties": {
                field.name: _schema_of(hints[field.name], definitions) for field in _kept(kind)
            },
            "required": [
                field.name
                for field in _kept(kind)
                if field.default is MISSING and field.default_factory is MISSING
            ],
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}
