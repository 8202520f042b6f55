"""The main job: many learners, one protocol, one table, one report."""

from metriclearn.compare._result import ComparisonResult
from metriclearn.compare._run import compare

__all__ = ["ComparisonResult", "compare"]
