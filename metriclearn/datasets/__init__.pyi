"""The public names: type checkers read them here, and the package loads them from here."""

from metriclearn.datasets._fine_grained import fetch_cars196 as fetch_cars196
from metriclearn.datasets._fine_grained import fetch_cub200 as fetch_cub200
from metriclearn.datasets._lfw import fetch_lfw_pairs as fetch_lfw_pairs
from metriclearn.datasets._mnist import fetch_fashion_mnist as fetch_fashion_mnist
from metriclearn.datasets._mnist import fetch_mnist as fetch_mnist
from metriclearn.datasets._omniglot import fetch_omniglot as fetch_omniglot
from metriclearn.datasets._products import fetch_inshop as fetch_inshop
from metriclearn.datasets._products import fetch_sop as fetch_sop
from metriclearn.datasets._synthetic import make_metric_pairs as make_metric_pairs
from metriclearn.datasets._synthetic import make_metric_triplets as make_metric_triplets
from metriclearn.datasets._synthetic import make_planted_metric as make_planted_metric
from metriclearn.images._paths import ImagePaths as ImagePaths
