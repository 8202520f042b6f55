"""Nearest neighbours: exact at any precision, approximate at any size."""

from importlib import import_module

_ROOMS = {
    "ExactSearch": "metriclearn.neighbors._exact",
    "RetrievalIndex": "metriclearn.neighbors._retrieval_index",
    "FaissKNeighborsClassifier": "metriclearn.neighbors._supervised",
    "FaissKNeighborsRegressor": "metriclearn.neighbors._supervised",
    "FaissKNeighborsTransformer": "metriclearn.neighbors._unsupervised",
    "FaissNearestNeighbors": "metriclearn.neighbors._unsupervised",
    "Finding": "metriclearn.neighbors._doctor",
    "diagnose": "metriclearn.neighbors._doctor",
}

__all__ = [*_ROOMS]


def __getattr__(name):
    if name in _ROOMS:
        return getattr(import_module(_ROOMS[name]), name)
    raise AttributeError(f"module 'metriclearn.neighbors' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
