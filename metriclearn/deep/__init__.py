"""Deep metrics: a network trained so that distance between its outputs is the metric.

Needs torch and skorch; without them importing this package is a one-line error
with the install command. With them, names are still loaded when asked for.
"""

from importlib.util import find_spec

from metriclearn._extras import lazy, require

for _module in ("torch", "skorch"):
    if find_spec(_module) is None:
        require(_module, "deep")

__all__, __getattr__, __dir__ = lazy(__name__)
