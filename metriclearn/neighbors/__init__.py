"""Nearest neighbours: exact at any precision, approximate at any size."""

from importlib import import_module

_ROOMS = {
    "ExactSearch": "metriclearn.neighbors._exact",
}

__all__ = [*_ROOMS]


def __getattr__(name):
    if name in _ROOMS:
        return getattr(import_module(_ROOMS[name]), name)
    raise AttributeError(f"module 'metriclearn.neighbors' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_ROOMS])
