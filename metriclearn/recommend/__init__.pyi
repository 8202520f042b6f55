"""The public names: type checkers read them here, and the package loads them from here."""

from metriclearn.recommend._collaborative import CollaborativeMetric as CollaborativeMetric
from metriclearn.recommend._measures import hit_rate as hit_rate
from metriclearn.recommend._measures import ndcg as ndcg
