"""Which distance: many learners, one protocol, one table, one report.

The work is a pipe, each stage a file: ``_sources`` (rows or files), ``_plan`` (all that was
asked, checked once), ``_roster`` (every learner by name), ``_run`` and ``_protocol`` (tasks,
one a learner and fold), ``_records`` (what they measure), ``_conclusions``,
``_result`` and ``_ranking`` (what follows), ``_terminal`` and ``_report`` (how it is shown).
"""

from metriclearn._lazy import lazy

_EXPORTS = {
    "LEARNER_NAMES": "metriclearn.compare._names",
    "SOURCE_NAMES": "metriclearn.compare._names",
    "ComparisonResult": "metriclearn.compare._result",
    "NewRows": "metriclearn.compare._sources._unlabeled",
    "RankedComparison": "metriclearn.compare._ranking",
    "compare": "metriclearn.compare._compare",
    "read_rows": "metriclearn.compare._sources._unlabeled",
    "result_schema": "metriclearn.compare._schema",
}

__all__ = [*_EXPORTS]
__getattr__, __dir__ = lazy(__name__, _EXPORTS)
