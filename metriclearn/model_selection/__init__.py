"""Splitters for the open set: classes of the test part are never seen in training."""

from metriclearn.model_selection._disjoint import ClassDisjointKFold, ClassDisjointShuffleSplit
from metriclearn.model_selection._open_set import OpenSetSplit
from metriclearn.model_selection._shift import ClassShiftSplit, frechet_distance

__all__ = [
    "ClassDisjointKFold",
    "ClassDisjointShuffleSplit",
    "ClassShiftSplit",
    "OpenSetSplit",
    "frechet_distance",
]
