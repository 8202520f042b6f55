"""A bound on what torch may be made to allocate by the settings in a file."""

import torch
from torch.overrides import TorchFunctionMode

_MAKERS = {
    torch.arange,
    torch.empty,
    torch.empty_strided,
    torch.eye,
    torch.full,
    torch.linspace,
    torch.ones,
    torch.rand,
    torch.randint,
    torch.randn,
    torch.randperm,
    torch.zeros,
    torch.Tensor.new_empty,
    torch.Tensor.new_full,
    torch.Tensor.new_ones,
    torch.Tensor.new_zeros,
}


class BoundedTensors(TorchFunctionMode):
    """Context in which torch makes no more tensors, and none larger, than a file justifies.

    The shape of each is found out on torch's meta device, which allocates nothing, before the
    tensor itself is made.

    Parameters
    ----------
    tensors : dict of str to tensor
        Of the file. Twice as many values may be made, and a little more.
    """

    def __init__(self, tensors):
        super().__init__()
        self._values_left = 2 * sum(tensor.numel() for tensor in tensors.values()) + 2**20
        self._tensors_left = 100 * len(tensors) + 10_000

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Check the size of what is made, then make it."""
        kwargs = kwargs or {}
        if func in _MAKERS:
            without = {
                k: v for k, v in kwargs.items() if k not in ("out", "generator", "pin_memory")
            }
            self._values_left -= func(*args, **{**without, "device": "meta"}).numel()
            self._tensors_left -= 1
            if min(self._values_left, self._tensors_left) < 0:
                raise ValueError("the settings ask for more than the weights in the file")
        return func(*args, **kwargs)
