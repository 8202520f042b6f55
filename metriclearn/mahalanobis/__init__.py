"""Linear metrics ``d(u, v) = ‖L(u - v)‖``, from labels or from constraints."""

from metriclearn._lazy import lazy

#: The learners, which `metriclearn` exports as well.
LEARNERS = {
    "LMNN": "metriclearn.mahalanobis._lmnn._lmnn",
    "MMC": "metriclearn.mahalanobis._mmc",
    "NCA": "metriclearn.mahalanobis._soft_neighbors._nca",
    "RCA": "metriclearn.mahalanobis._rca",
    "LFDA": "metriclearn.mahalanobis._lfda",
    "GMML": "metriclearn.mahalanobis._gmml",
    "ITML": "metriclearn.mahalanobis._itml",
    "LSML": "metriclearn.mahalanobis._lsml",
    "MCML": "metriclearn.mahalanobis._mcml",
    "MLKR": "metriclearn.mahalanobis._soft_neighbors._mlkr",
    "SDML": "metriclearn.mahalanobis._sdml",
    "SCML": "metriclearn.mahalanobis._scml._scml",
    "POLA": "metriclearn.mahalanobis._pola",
    "KernelMetric": "metriclearn.mahalanobis._kernel",
    "MahalanobisLearner": "metriclearn.mahalanobis._general._learner",
    "Covariance": "metriclearn.mahalanobis._covariance",
}
_EXPORTS = {
    **LEARNERS,
    # Of another metric, and so none that compare has by name.
    "LinearStudent": "metriclearn.mahalanobis._student",
    # The base, for a learner of one's own.
    "MahalanobisTransformer": "metriclearn.mahalanobis._base",
}

__all__ = [*_EXPORTS]
__getattr__, __dir__ = lazy(__name__, _EXPORTS)
