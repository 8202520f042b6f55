"""Pictures in scikit-learn's style: ``from_estimator``, ``plot``, attributes kept.

matplotlib is loaded when the first picture is drawn.
"""

from metriclearn.plots._distances import DistanceHistogramDisplay
from metriclearn.plots._embedding import EmbeddingDisplay
from metriclearn.plots._matrix import MatrixDisplay
from metriclearn.plots._recall import RecallCurveDisplay
from metriclearn.plots._training import TrainingDisplay

__all__ = [
    "DistanceHistogramDisplay",
    "EmbeddingDisplay",
    "MatrixDisplay",
    "RecallCurveDisplay",
    "TrainingDisplay",
]
