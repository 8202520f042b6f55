"""One training on several processes, as ``torchrun`` starts them.

Every process draws the same global batches and embeds its own slice. The
embeddings are gathered, each process takes the loss of the whole batch, and the
gradient that reaches its slice is that of the whole loss. Summed over the
processes it is the gradient of the network, as if one process had done it all.
"""

import atexit
import os
from contextlib import contextmanager

import torch
from torch import distributed

from metriclearn.deep.training._average import WeightAverage, tensors_of

# Embedding slices draw noise and dropout from streams of their own, the loss
# from one that all share.
RANK_SEED = 1_000_003


def is_active():
    """Whether there is more than one process."""
    return distributed.is_available() and distributed.is_initialized() and world_size() > 1


def is_first():
    """Whether this process is the one that writes and reports."""
    return not is_active() or distributed.get_rank() == 0


def world_size():
    """Return the number of processes."""
    return distributed.get_world_size()


def start(device):
    """Join the group of a ``torchrun`` launch, if there is one, and name this process's device.

    Parameters
    ----------
    device : str
        As checked.

    Returns
    -------
    str
        On CUDA, the device of this process's local rank.
    """
    if not distributed.is_available() or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return device
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    if not distributed.is_initialized() and distributed.is_torchelastic_launched():
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        atexit.register(_leave)
    return device


def _leave():
    if distributed.is_initialized():
        distributed.destroy_process_group()


class _Gather(torch.autograd.Function):
    """All slices of a batch, in the order of the ranks; backwards, the own slice's gradient.

    Every process takes the same loss of the same rows, so the gradient of its
    slice is whole as it is and needs no sum over processes.
    """

    @staticmethod
    def forward(ctx, local, sizes):
        ctx.begin = sum(sizes[: distributed.get_rank()])
        ctx.n = len(local)
        # Slices differ by a row at most: pad, and cut the padding off again.
        padded = local.new_zeros(max(sizes), *local.shape[1:])
        padded[: len(local)] = local
        parts = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx, gradient):
        return gradient[ctx.begin : ctx.begin + ctx.n], None


def slice_sizes(n):
    """Rows of a batch of ``n`` for each process."""
    share, extra = divmod(n, world_size())
    return [share + (rank < extra) for rank in range(world_size())]


def own_slice(n):
    """Rows of a batch of ``n`` that this process embeds."""
    sizes = slice_sizes(n)
    begin = sum(sizes[: distributed.get_rank()])
    return slice(begin, begin + sizes[distributed.get_rank()])


def gather(local, n):
    """Embeddings of a whole batch of ``n`` rows, with gradient to this process's own."""
    return _Gather.apply(local, slice_sizes(n))


@contextmanager
def own_randomness(step):
    """Draw from a stream of this process's own; the shared one goes on as if nothing was drawn.

    A process that is alone draws from the shared one.
    """
    if not is_active():
        yield
        return
    cuda = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(RANK_SEED * (step + 1) + distributed.get_rank())
        yield


def sum_gradients(parameters):
    """Add up the gradients of all processes."""
    _reduce([p.grad for p in parameters if p.grad is not None], 1)


def average_gradients(parameters):
    """Make gradients that are the same up to rounding the same."""
    _reduce([p.grad for p in parameters if p.grad is not None], world_size())


def _reduce(gradients, divisor):
    if not gradients:
        return
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= divisor
    for gradient, part in zip(
        gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True
    ):
        gradient.copy_(part.view_as(gradient))


def agree(module):
    """Give every process the first one's parameters and buffers, or average of these."""
    tensors = module.tensors if isinstance(module, WeightAverage) else tensors_of(module)
    for tensor in tensors:
        distributed.broadcast(tensor.data, 0)
