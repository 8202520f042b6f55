"""Names for type checkers; a test holds them to be those of ``_EXPORTS``."""

from metriclearn.persistence._model import load as load
from metriclearn.persistence._model import read_card as read_card
from metriclearn.persistence._model import save as save
from metriclearn.persistence._onnx import to_onnx as to_onnx
