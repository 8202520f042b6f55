"""Image files as data: read like an array, or turned into vectors by a pretrained network.

Needs Pillow, which ``pip install 'metriclearn[images]'`` brings; names are loaded when they
are asked for.
"""

from metriclearn._lazy import lazy

_EXPORTS = {
    "Features": "metriclearn.images._features",
    "ImagePaths": "metriclearn.images._paths",
    "ImageReader": "metriclearn.images._reader",
}

__all__ = [*_EXPORTS]
__getattr__, __dir__ = lazy(__name__, _EXPORTS)
