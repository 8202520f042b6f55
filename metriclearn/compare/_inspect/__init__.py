"""What is remarkable about the data, found before anything is fitted.

``inspect(X, y)`` returns an ``Inspection``: findings, and what they imply for the columns and the
splits. It looks at the whole of the data, and nothing that it learns reaches a learner but which
columns are left out and which rows stay together.
"""

from metriclearn.compare._inspect._finding import KINDS, Finding
from metriclearn.compare._inspect._inspect import Inspection, inspect

__all__ = ["KINDS", "Finding", "Inspection", "inspect"]
