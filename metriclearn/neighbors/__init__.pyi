"""The public names: type checkers read them here, and the package loads them from here."""

from metriclearn.neighbors._doctor import Finding as Finding
from metriclearn.neighbors._doctor import diagnose as diagnose
from metriclearn.neighbors._exact import ExactSearch as ExactSearch
from metriclearn.neighbors._index._retrieval_index import RetrievalIndex as RetrievalIndex
from metriclearn.neighbors._open_set import OpenSetClassifier as OpenSetClassifier
from metriclearn.neighbors._supervised import FaissKNeighborsClassifier as FaissKNeighborsClassifier
from metriclearn.neighbors._supervised import FaissKNeighborsRegressor as FaissKNeighborsRegressor
from metriclearn.neighbors._unsupervised import (
    FaissKNeighborsTransformer as FaissKNeighborsTransformer,
)
from metriclearn.neighbors._unsupervised import FaissNearestNeighbors as FaissNearestNeighbors
