"""The public names: type checkers read them here, and the package loads them from here."""

from metriclearn import compare as compare
from metriclearn import constraints as constraints
from metriclearn import datasets as datasets
from metriclearn import deep as deep
from metriclearn import images as images
from metriclearn import mahalanobis as mahalanobis
from metriclearn import metrics as metrics
from metriclearn import model_selection as model_selection
from metriclearn import neighbors as neighbors
from metriclearn import persistence as persistence
from metriclearn import plots as plots
from metriclearn import recommend as recommend
from metriclearn import verification as verification
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
from metriclearn.persistence._model import load as load
from metriclearn.persistence._model import save as save
from metriclearn.verification._network import PairNetwork as PairNetwork
from metriclearn.verification._orders import QuadrupletClassifier as QuadrupletClassifier
from metriclearn.verification._orders import TripletClassifier as TripletClassifier
from metriclearn.verification._pairs import PairClassifier as PairClassifier

__version__: str
