"""The main job: many learners, one protocol, one table, one report.

From the bottom up: ``_measure`` and ``_words`` (numbers and what is said of them), ``_report``
(charts and pages, which read a result and import none), ``_result`` and ``_many`` (what was
found), ``_run`` (``compare`` itself). A new learner is a row of ``_lineup``, a new search a row
of ``_tuning._strategies``, a new kind of data a reader in ``_sources``, a new chart a file in
``_report``, a new curve an axis in ``_curves``.
"""

from metriclearn.compare._many import RankedComparison
from metriclearn.compare._result import ComparisonResult
from metriclearn.compare._run import compare

__all__ = ["ComparisonResult", "RankedComparison", "compare"]
