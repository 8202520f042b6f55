"""Nearest neighbors: exact at any precision, approximate at any size."""

from metriclearn._lazy import lazy

_EXPORTS = {
    "ExactSearch": "metriclearn.neighbors._exact",
    "RetrievalIndex": "metriclearn.neighbors._retrieval_index",
    "FaissKNeighborsClassifier": "metriclearn.neighbors._supervised",
    "FaissKNeighborsRegressor": "metriclearn.neighbors._supervised",
    "FaissKNeighborsTransformer": "metriclearn.neighbors._unsupervised",
    "FaissNearestNeighbors": "metriclearn.neighbors._unsupervised",
    "OpenSetClassifier": "metriclearn.neighbors._open_set",
    "Finding": "metriclearn.neighbors._doctor",
    "diagnose": "metriclearn.neighbors._doctor",
}

__all__ = [*_EXPORTS]
__getattr__, __dir__ = lazy(__name__, _EXPORTS)
