"""Names for type checkers; a test holds them to be those of ``_EXPORTS``."""

from metriclearn.recommend._collaborative import CollaborativeMetric as CollaborativeMetric
from metriclearn.recommend._measures import hit_rate as hit_rate
from metriclearn.recommend._measures import ndcg as ndcg
