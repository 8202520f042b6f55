"""Synthetic problems with known answers, and the field's benchmarks with their standard splits."""

from metriclearn._lazy import lazy

_EXPORTS = {
    "ImagePaths": "metriclearn.images._paths",
    "fetch_cars196": "metriclearn.datasets._fine_grained",
    "fetch_cub200": "metriclearn.datasets._fine_grained",
    "fetch_fashion_mnist": "metriclearn.datasets._mnist",
    "fetch_inshop": "metriclearn.datasets._products",
    "fetch_lfw_pairs": "metriclearn.datasets._lfw",
    "fetch_mnist": "metriclearn.datasets._mnist",
    "fetch_omniglot": "metriclearn.datasets._omniglot",
    "fetch_sop": "metriclearn.datasets._products",
    "make_metric_pairs": "metriclearn.datasets._synthetic",
    "make_metric_triplets": "metriclearn.datasets._synthetic",
    "make_planted_metric": "metriclearn.datasets._synthetic",
}

__all__ = [*_EXPORTS]
__getattr__, __dir__ = lazy(__name__, _EXPORTS)
