"""Recommenders: users and items in one space, each user near the items that it chose."""

from metriclearn._extras import lazy

__all__, __getattr__, __dir__ = lazy(__name__)
