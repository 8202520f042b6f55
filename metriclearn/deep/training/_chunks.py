"""The gradient of a large batch with the memory of a part of it."""

from contextlib import contextmanager

import torch
from torch import nn

from metriclearn.deep.training._seeding import generator_states, set_generator_states


class Chunks:
    """A batch embedded a chunk at a time, without a graph, and the way back through the network.

    A loss of all rows is derived by ``outputs``; then each chunk is embedded once more, with the
    same random numbers, and what the loss's derivative says of its rows goes back through it
    [1]_. The gradient is that of the whole batch, at any time there is the graph of one chunk.
    Layers that look at several rows (batch normalization) look at those of a chunk.

    Parameters
    ----------
    network : callable
        Of a tensor of rows to a tensor, or a tuple of tensors, of as many rows.
    X : tensor
    size : int
        Most rows of a chunk; chunks differ by one row at most.

    Attributes
    ----------
    outputs : tuple of tensors
        Leaves that require a gradient.

    References
    ----------
    .. [1] L. Gao, Y. Zhang, J. Han and J. Callan, "Scaling deep contrastive learning batch size
       under memory limited setup", RepL4NLP, 2021. :doi:`10.18653/v1/2021.repl4nlp-1.31`
    """

    def __init__(self, network, X, size):
        self.network = network
        self.rows = X.tensor_split(-(-len(X) // size))
        self.states = []
        parts = []
        with torch.no_grad():
            for rows in self.rows:
                self.states.append(generator_states(X.device))
                parts.append(_as_tuple(network(rows)))
        joined = map(torch.cat, zip(*parts, strict=True))
        self.outputs = tuple(output.requires_grad_() for output in joined)

    def backward(self):
        """Add the gradient of what was derived by ``outputs`` to that of the parameters."""
        device = self.rows[0].device
        after = generator_states(device)
        begin = 0
        for rows, state in zip(self.rows, self.states, strict=True):
            set_generator_states(device, state)
            own = slice(begin, begin + len(rows))
            derived = [
                (output, whole.grad[own])
                for output, whole in zip(_as_tuple(self.network(rows)), self.outputs, strict=True)
                if whole.grad is not None and output.requires_grad
            ]
            torch.autograd.backward(*zip(*derived, strict=True))
            begin = own.stop
        set_generator_states(device, after)


class Whole:
    """A batch embedded at once, whose loss is derived part by part before its network.

    Parameters
    ----------
    network : callable
        Of a tensor of rows to a tensor.
    X : tensor

    Attributes
    ----------
    outputs : tuple of one tensor
        A leaf that requires a gradient.
    """

    def __init__(self, network, X):
        self.embedded = network(X)
        self.outputs = (self.embedded.detach().requires_grad_(),)

    def backward(self):
        """Add the gradient of what was derived by ``outputs`` to that of the parameters."""
        self.embedded.backward(self.outputs[0].grad)


def measuring_layers(module):
    """Return the layers of a module that now normalize a batch by what they measure of it."""
    layers = module.modules()
    return [p for p in layers if isinstance(p, nn.modules.batchnorm._BatchNorm) and p.training]


def check_chunks(module, n, size):
    """Check that no chunk of n rows is of one row where a layer measures the rows of a batch.

    Parameters
    ----------
    module : nn.Module
    n, size : int
        Rows, and most of a chunk.
    """
    if n > size and n // -(-n // size) == 1 and measuring_layers(module):
        raise ValueError(
            f"chunk_size={size} leaves batch normalization one row to measure; give 4 or more, "
            f"or a module without it"
        )


@contextmanager
def buffers_kept(module):
    """Put buffers back: statistics of rows that are embedded twice move once."""
    before = [buffer.clone() for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(module.buffers(), before, strict=True):
                buffer.copy_(value)


def _as_tuple(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)
