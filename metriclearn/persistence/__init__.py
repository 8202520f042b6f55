"""Fitted estimators on disk, without pickle: reading one runs no code of the file.

`metriclearn.save` and `metriclearn.load` are the same functions.
"""

from metriclearn._extras import lazy

__all__, __getattr__, __dir__ = lazy(__name__)
