"""metriclearn: linear and deep metric learning behind one scikit-learn contract.

Nothing is imported before it is used: ``from metriclearn import LMNN`` loads
neither torch nor cvxpy nor faiss nor matplotlib.
"""

from metriclearn._lazy import lazy
from metriclearn.mahalanobis import LEARNERS

__version__ = "0.1.0"

_EXPORTS = {
    **LEARNERS,
    "PairClassifier": "metriclearn.verification._pairs",
    "PairNetwork": "metriclearn.verification._network",
    "TripletClassifier": "metriclearn.verification._orders",
    "QuadrupletClassifier": "metriclearn.verification._orders",
    "load": "metriclearn.persistence._model",
    "save": "metriclearn.persistence._model",
}
_SUBMODULES = (
    "compare",
    "constraints",
    "datasets",
    "deep",
    "images",
    "mahalanobis",
    "metrics",
    "model_selection",
    "neighbors",
    "persistence",
    "plots",
    "recommend",
    "verification",
)

__all__ = [*_EXPORTS]
__getattr__, __dir__ = lazy(__name__, _EXPORTS, _SUBMODULES)
