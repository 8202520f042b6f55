"""Linear metrics ``d(u, v) = ‖L(u - v)‖``, from labels or from constraints."""

from metriclearn._extras import lazy

#: The learners, which `metriclearn` exports as well, in the order of tables.
LEARNERS = (
    "LMNN",
    "MMC",
    "NCA",
    "RCA",
    "LFDA",
    "GMML",
    "ITML",
    "LSML",
    "MCML",
    "MLKR",
    "SDML",
    "SCML",
    "POLA",
    "KernelMetric",
    "MahalanobisLearner",
    "Covariance",
)

__all__, __getattr__, __dir__ = lazy(__name__)
