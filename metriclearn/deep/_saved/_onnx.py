"""An embedder as one ONNX graph, from raw input to embeddings."""

import copy
import logging
import warnings
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from metriclearn._extras import require
from metriclearn._files import write_bytes
from metriclearn.images._preprocessing import ONNX_KEY, Preprocessing

OPSET = 18
# Batches that the graph is run on before it is written; neither is the one it was traced with.
CHECKED_BATCHES = (1, 7)
# Of the largest value of an embedding: far above what rounding does, far below another network.
TOLERANCE = 1e-3


class _Scaled(nn.Module):
    """The network behind the factor that bytes are multiplied by."""

    def __init__(self, network, scale):
        super().__init__()
        self.network = network
        self.scale = scale

    def forward(self, X):
        return self.network(X if self.scale == 1 else X * self.scale)


def export(net, path):
    """Write a trained net as an ONNX graph.

    Parameters
    ----------
    net : EmbeddingNet
        Left as it is: a copy is exported, on the CPU and in single precision.
    path : str or Path
    """
    for module in ("onnx", "onnxscript", "onnxruntime"):
        require(module, "onnx")
    inputs = net.inputs_
    network = copy.deepcopy(net.module_).cpu().float().eval()
    network.to(memory_format=torch.contiguous_format)
    network = _Scaled(network, 1 if inputs.integers else inputs.scale)
    model = _traced(network, _batch(inputs, 2))
    _describe(model, inputs)
    content = _serialized(model)
    _check(content, network, inputs)
    write_bytes(path, content)


def _batch(inputs, n):
    """Return any batch of the size and type that the network takes."""
    shape = (inputs.n_features,)
    if inputs.image_shape is not None:
        height, width, channels = inputs.image_shape
        shape = (channels, height, width)
    if inputs.integers:  # zero is in every vocabulary
        return torch.zeros(n, *shape, dtype=torch.int64)
    values = np.random.default_rng(n).random((n, *shape), dtype=np.float32)
    return torch.from_numpy(values / np.float32(inputs.scale))


def _traced(network, batch):
    """Trace a network into an ONNX model whose first axis is free."""
    free = ({0: torch.export.Dim("n")},)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                (batch,),
                input_names=["X"],
                dynamic_shapes=free,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # whatever the code of a module raises when it is traced
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        name = type(network.network.backbone).__name__
        raise ValueError(
            f"module={name} cannot be exported for batches of any size ({reason}); leave out what "
            f"depends on values of the batch or on its length"
        ) from error
    # A weight or an operator may have called a value of its own by the name of the output.
    graph = program.model.graph
    inside = [value for node in graph for value in node.outputs if value.name == "embedding"]
    for value in inside:
        value.name = "embedding_inside"
    if "embedding" in graph.initializers:
        weight = graph.initializers.pop("embedding")
        weight.name = "embedding_weight_inside"
        graph.initializers[weight.name] = weight
    graph.outputs[0].name = "embedding"
    return program.model_proto


@contextmanager
def _quiet():
    """Keep the exporter's remarks on its own workings to itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _describe(model, inputs):
    """Note in the file what images it takes, so that `Features` prepares them alike."""
    model.producer_name = "metriclearn"
    if inputs.image_shape is None or inputs.scale != 1 / 255 or inputs.image_shape[2] != 3:
        return
    # The graph scales bytes itself, and `DeepEmbedder` reads files without a margin.
    colors = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}
    entry = model.metadata_props.add()
    entry.key = ONNX_KEY
    entry.value = Preprocessing(size=inputs.image_shape[:2], share=1.0, **colors).to_json()


def _serialized(model):
    try:
        return model.SerializeToString()
    except ValueError as error:  # of protobuf, beyond 2 GB
        raise ValueError(f"the network is too large for one ONNX file: {error}") from None


def _check(content, network, inputs):
    """Run the graph on batches of other sizes, and compare it with the network."""
    runtime = require("onnxruntime", "onnx")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for n in CHECKED_BATCHES:
        batch = _batch(inputs, n)
        with torch.inference_mode():
            expected = network(batch).numpy()
        found = session.run(["embedding"], {"X": batch.numpy()})[0]
        scale = np.abs(expected).max(initial=0)
        if found.shape != expected.shape or not np.allclose(
            found, expected, rtol=0, atol=TOLERANCE * scale, equal_nan=True
        ):
            name = type(network.network.backbone).__name__
            raise ValueError(
                f"module={name} gives other numbers as a graph, for {n} rows; it depends on the "
                f"size of the batch or on what is not a tensor"
            )
