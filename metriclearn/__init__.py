"""metriclearn: linear and deep metric learning behind one scikit-learn contract.

The front door maps each public name to the room it lives in. Nothing is
imported until it is asked for, so ``from metriclearn import LMNN`` loads
neither torch nor cvxpy nor faiss nor matplotlib.
"""

from importlib import import_module

__version__ = "0.1.0"

_ROOMS = {
    "LMNN": "metriclearn.mahalanobis._lmnn",
    "MMC": "metriclearn.mahalanobis._mmc",
    "NCA": "metriclearn.mahalanobis._nca",
    "RCA": "metriclearn.mahalanobis._rca",
    "LFDA": "metriclearn.mahalanobis._lfda",
    "GMML": "metriclearn.mahalanobis._gmml",
    "ITML": "metriclearn.mahalanobis._itml",
    "LSML": "metriclearn.mahalanobis._lsml",
    "MCML": "metriclearn.mahalanobis._mcml",
    "MLKR": "metriclearn.mahalanobis._mlkr",
    "SDML": "metriclearn.mahalanobis._sdml",
    "SCML": "metriclearn.mahalanobis._scml",
    "POLA": "metriclearn.mahalanobis._pola",
    "KernelMetric": "metriclearn.mahalanobis._kernel",
    "MahalanobisLearner": "metriclearn.mahalanobis._learner",
    "Covariance": "metriclearn.mahalanobis._covariance",
    "PairClassifier": "metriclearn.verification._pairs",
    "TripletClassifier": "metriclearn.verification._orders",
    "QuadrupletClassifier": "metriclearn.verification._orders",
}
_SUBMODULES = (
    "compare",
    "constraints",
    "datasets",
    "deep",
    "mahalanobis",
    "metrics",
    "model_selection",
    "neighbors",
    "plots",
    "verification",
)

__all__ = [*_ROOMS]


def __getattr__(name):
    if name in _ROOMS:
        return getattr(import_module(_ROOMS[name]), name)
    if name in _SUBMODULES:
        return import_module(f"metriclearn.{name}")
    raise AttributeError(f"module 'metriclearn' has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, *_SUBMODULES])
