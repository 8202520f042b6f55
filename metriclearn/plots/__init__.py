"""Pictures in scikit-learn's style: from an estimator or predictions, attributes kept.

matplotlib is loaded when the first picture is drawn.
"""

from metriclearn.plots._critical_difference import CriticalDifferenceDisplay
from metriclearn.plots._distances import DistanceHistogramDisplay
from metriclearn.plots._ellipse import MetricEllipseDisplay
from metriclearn.plots._embedding import EmbeddingDisplay
from metriclearn.plots._gallery import NeighborsGalleryDisplay
from metriclearn.plots._growth import RecallGrowthDisplay
from metriclearn.plots._importance import FeatureImportanceDisplay
from metriclearn.plots._matrix import MatrixDisplay
from metriclearn.plots._pair_weights import PairWeightsDisplay
from metriclearn.plots._recall import RecallCurveDisplay
from metriclearn.plots._similarity import SimilarityMatrixDisplay
from metriclearn.plots._training import TrainingDisplay
from metriclearn.plots._verification import VerificationCurveDisplay

__all__ = [
    "CriticalDifferenceDisplay",
    "DistanceHistogramDisplay",
    "EmbeddingDisplay",
    "FeatureImportanceDisplay",
    "MatrixDisplay",
    "MetricEllipseDisplay",
    "NeighborsGalleryDisplay",
    "PairWeightsDisplay",
    "RecallCurveDisplay",
    "RecallGrowthDisplay",
    "SimilarityMatrixDisplay",
    "TrainingDisplay",
    "VerificationCurveDisplay",
]
