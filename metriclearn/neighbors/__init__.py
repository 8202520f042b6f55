"""Nearest neighbors: exact at any precision, approximate at any size."""

from metriclearn._extras import lazy

__all__, __getattr__, __dir__ = lazy(__name__)
