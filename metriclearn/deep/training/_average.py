"""A moving average of the weights, kept beside those that are trained."""

import torch


class WeightAverage:
    """Exponential moving average of the parameters and buffers of a network.

    After step t = 1, 2, ...

    ::

        mean ← decay_t · mean + (1 - decay_t) · weights,    decay_t = min(decay, (1 + t) / (10 + t))

    so that the first weights, which are random, are soon forgotten [1]_. Buffers that are not
    floating-point numbers are copied.

    Parameters
    ----------
    module : nn.Module
    decay : float
        In (0, 1).

    References
    ----------
    .. [1] B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by
       averaging", SIAM Journal on Control and Optimization 30, 1992. :doi:`10.1137/0330046`
    """

    def __init__(self, module, decay):
        self.decay = decay
        self.n_steps = 0
        self.tensors = [tensor.detach().clone() for tensor in tensors_of(module)]

    @torch.no_grad()
    def update(self, module):
        """Take in the weights after a step."""
        self.n_steps += 1
        decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
        for mean, value in zip(self.tensors, tensors_of(module), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    @torch.no_grad()
    def swap(self, module):
        """Exchange what is kept here and what the module holds."""
        for kept, value in zip(self.tensors, tensors_of(module), strict=True):
            before = value.clone()
            value.copy_(kept)
            kept.copy_(before)

    def to(self, device):
        """Move to a device."""
        self.tensors = [tensor.to(device) for tensor in self.tensors]

    def state_dict(self):
        """Return what a checkpoint keeps."""
        return {"n_steps": self.n_steps, "tensors": self.tensors}

    def load_state_dict(self, state):
        """Put a :meth:`state_dict` back."""
        self.n_steps = state["n_steps"]
        for kept, value in zip(self.tensors, state["tensors"], strict=True):
            kept.copy_(value)


def tensors_of(module):
    """Return the parameters and buffers of a module, each once."""
    return [*module.parameters(), *module.buffers()]
