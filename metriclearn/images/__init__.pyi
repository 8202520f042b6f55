"""The public names: type checkers read them here, and the package loads them from here."""

from metriclearn.images._features import Features as Features
from metriclearn.images._paths import ImagePaths as ImagePaths
from metriclearn.images._reader import ImageReader as ImageReader
