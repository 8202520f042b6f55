"""The public names: type checkers read them here, and the package loads them from here."""

from metriclearn.deep import augment as augment
from metriclearn.deep import callbacks as callbacks
from metriclearn.deep import losses as losses
from metriclearn.deep import miners as miners
from metriclearn.deep import modules as modules
from metriclearn.deep import samplers as samplers
from metriclearn.deep._embedder import DeepEmbedder as DeepEmbedder
from metriclearn.deep.pairs._places import place_contributions as place_contributions
from metriclearn.deep.pairs._two_towers import TwoTowerEmbedder as TwoTowerEmbedder
