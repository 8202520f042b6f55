"""Measures of embeddings: retrieval, verification, identification, clusters, shape."""

from metriclearn._extras import lazy

__all__, __getattr__, __dir__ = lazy(__name__)
