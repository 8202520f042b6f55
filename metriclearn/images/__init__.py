"""Image files as data: read like an array, or turned into vectors by a pretrained network.

Needs Pillow, which ``pip install 'metriclearn[images]'`` brings; names are loaded when they
are asked for.
"""

from metriclearn._extras import lazy

__all__, __getattr__, __dir__ = lazy(__name__)
