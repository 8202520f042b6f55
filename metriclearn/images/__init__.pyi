"""Names for type checkers; a test holds them to be those of ``_EXPORTS``."""

from metriclearn.images._features import Features as Features
from metriclearn.images._paths import ImagePaths as ImagePaths
from metriclearn.images._reader import ImageReader as ImageReader
