"""Deep metrics: a network trained so that distance between its outputs is the metric.

Needs torch and skorch; without them importing this package is a one-line error
with the install command. With them, names are still loaded when asked for.
"""

from importlib import import_module
from importlib.util import find_spec

from metriclearn._extras import require

for _module in ("torch", "skorch"):
    if find_spec(_module) is None:
        require(_module, "deep")

_ROOMS = {
    "DeepEmbedder": "metriclearn.deep._embedder",
}
_SUBMODULES = ("augment", "callbacks", "losses", "miners", "modules", "samplers")

__all__ = [*_ROOMS]


def __getattr__(name):
    if name in _ROOMS:
        return getattr(import_module(_ROOMS[name]), name)
    if name in _SUBMODULES:
        return import_module(f"metriclearn.deep.{name}")
    raise AttributeError(f"module 'metriclearn.deep' has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, *_SUBMODULES])
