"""The public names: type checkers read them here, and the package loads them from here."""

from metriclearn.mahalanobis._base import MahalanobisTransformer as MahalanobisTransformer
from metriclearn.mahalanobis._covariance import Covariance as Covariance
from metriclearn.mahalanobis._general._learner import MahalanobisLearner as MahalanobisLearner
from metriclearn.mahalanobis._gmml import GMML as GMML
from metriclearn.mahalanobis._itml import ITML as ITML
from metriclearn.mahalanobis._kernel import KernelMetric as KernelMetric
from metriclearn.mahalanobis._lfda import LFDA as LFDA
from metriclearn.mahalanobis._lmnn._lmnn import LMNN as LMNN
from metriclearn.mahalanobis._lsml import LSML as LSML
from metriclearn.mahalanobis._mcml import MCML as MCML
from metriclearn.mahalanobis._mmc import MMC as MMC
from metriclearn.mahalanobis._pola import POLA as POLA
from metriclearn.mahalanobis._rca import RCA as RCA
from metriclearn.mahalanobis._scml._scml import SCML as SCML
from metriclearn.mahalanobis._sdml import SDML as SDML
from metriclearn.mahalanobis._soft_neighbors._mlkr import MLKR as MLKR
from metriclearn.mahalanobis._soft_neighbors._nca import NCA as NCA
from metriclearn.mahalanobis._student import LinearStudent as LinearStudent

LEARNERS: tuple[str, ...]
