"""Synthetic problems with known answers, and the field's benchmarks with their standard splits."""

from metriclearn._extras import lazy

__all__, __getattr__, __dir__ = lazy(__name__)
