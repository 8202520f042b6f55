"""Constraints a metric is learned from, as index arrays into one ``X``.

============  ===========================================  =================================
kind          one constraint                                read as
============  ===========================================  =================================
Pairs         ``(i, j)``, similar or not                   these two are (not) the same
Triplets      ``(anchor, positive, negative)``             d(a, p) < d(a, n)
Quadruplets   ``(i, j, k, l)``                             d(i, j) < d(k, l)
Chunks        a chunk number for each row, -1 for none     rows of a chunk are the same
============  ===========================================  =================================
"""

from metriclearn.constraints._draw import (
    chunks_from_labels,
    pairs_from_labels,
    quadruplets_from_labels,
    triplets_from_labels,
)
from metriclearn.constraints._kinds import Chunks, Pairs, Quadruplets, Triplets, check_constraints
from metriclearn.constraints._tuples import constraints_from_tuples

__all__ = [
    "Chunks",
    "Pairs",
    "Quadruplets",
    "Triplets",
    "check_constraints",
    "chunks_from_labels",
    "constraints_from_tuples",
    "pairs_from_labels",
    "quadruplets_from_labels",
    "triplets_from_labels",
]
