"""Recommenders: users and items in one space, each user near the items that it chose."""

from metriclearn._lazy import lazy

_EXPORTS = {
    "CollaborativeMetric": "metriclearn.recommend._collaborative",
    "hit_rate": "metriclearn.recommend._measures",
    "ndcg": "metriclearn.recommend._measures",
}

__all__ = [*_EXPORTS]
__getattr__, __dir__ = lazy(__name__, _EXPORTS)
