"""Fitted estimators on disk, without pickle: reading one runs no code of the file.

`metriclearn.save` and `metriclearn.load` are the same functions.
"""

from metriclearn._lazy import lazy

_EXPORTS = {
    "load": "metriclearn.persistence._model",
    "read_card": "metriclearn.persistence._model",
    "save": "metriclearn.persistence._model",
    "to_onnx": "metriclearn.persistence._onnx",
}

__all__ = [*_EXPORTS]
__getattr__, __dir__ = lazy(__name__, _EXPORTS)
