"""The public names: type checkers read them here, and the package loads them from here."""

from metriclearn.persistence._model import load as load
from metriclearn.persistence._model import read_card as read_card
from metriclearn.persistence._model import save as save
from metriclearn.persistence._onnx import to_onnx as to_onnx
