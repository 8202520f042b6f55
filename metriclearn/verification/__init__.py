"""Constraints as a scikit-learn problem: pairs, triplets and quadruplets to be decided."""

from metriclearn.verification._network import PairNetwork
from metriclearn.verification._orders import QuadrupletClassifier, TripletClassifier
from metriclearn.verification._pairs import PairClassifier

__all__ = ["PairClassifier", "PairNetwork", "QuadrupletClassifier", "TripletClassifier"]
