"""Which distance: many learners, one protocol, one table, one report.

The work is a pipe, each stage a file: ``_sources`` (rows or files), ``_plan`` (all that was
asked, checked once), ``_roster`` (every learner by name), ``_run`` and ``_protocol`` (tasks,
one a learner and fold), ``_records`` (what they measure), ``_conclusions``,
``_result`` and ``_ranking`` (what follows), ``_terminal`` and ``_report`` (how it is shown).
"""

from metriclearn._extras import lazy

__all__, __getattr__, __dir__ = lazy(__name__)
