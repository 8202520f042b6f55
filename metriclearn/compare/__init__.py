"""The main job: many learners, one protocol, one table, one report."""

from metriclearn.compare._many import RankedComparison
from metriclearn.compare._result import ComparisonResult
from metriclearn.compare._run import compare

__all__ = ["ComparisonResult", "RankedComparison", "compare"]
