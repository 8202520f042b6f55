"""Cross-batch memory: a loss that sees the rows of earlier batches too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch

from metriclearn._sklearn import at_least
from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._wrappers import Composite
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.deep.tensors._selections import Reference

if TYPE_CHECKING:
    from torch import nn


class CrossBatchMemory(Composite):
    """Cross-batch memory (XBM): compare each batch with itself and with the rows before it.

    ::

        loss(batch against [batch; memory]),   then   memory ← last rows of [memory; batch]

    The loss is taken between the rows of the batch and ``[batch; memory]``; no gradient flows to
    the memory, a queue of the last rows seen in training. Behind the value, the batch enters the
    queue.

    Wang, Zhang, Huang and Scott, "Cross-Batch Memory for Embedding Learning", 2020 [1]_; they add
    the loss on the batch and the loss against the memory, which are one here, so that a softmax
    runs over both. The queue, its position and its fill are in the ``state_dict``.

    Parameters
    ----------
    loss : Module
        A pair or triplet loss, also mined: one that ``takes_reference``.
    size : int, default=1024
        Rows kept, at least 1.
    warmup : int, default=0
        Training batches before the memory is compared with (it fills meanwhile), at least 0; the
        paper waits until embeddings drift slowly, 1,000 batches.
    embedding_dim : int, default=None
        Width of the memory, if known; else by ``build`` or from the first batch.

    Attributes
    ----------
    memory : buffer of shape (size, embedding_dim)
    memory_labels : buffer of shape (size,)
    position, filled, step : buffers of shape ()
        Next row to overwrite, rows in use, training batches seen.

    Raises
    ------
    ValueError
        For a loss that cannot compare with a memory.

    See Also
    --------
    NTXentLoss : A usual loss to put in.
    metriclearn.deep.samplers.HardNegativeSampler : Looks at the whole training set.

    Notes
    -----
    *Needs* what the loss needs.

    *Relations*: makes a small batch compare as a large one; of use where embeddings drift slowly,
    after a warm-up.

    Time O(b (b + M) d), memory O(b (b + M) + M d) for b rows and M rows of memory in d
    dimensions.

    References
    ----------
    .. [1] Wang, Zhang, Huang and Scott, "Cross-Batch Memory for Embedding Learning", CVPR 2020.
       :doi:`10.48550/arXiv.1912.06798`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import CrossBatchMemory, NTXentLoss
    >>> loss = CrossBatchMemory(NTXentLoss(), size=1024)
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> bool(torch.isfinite(loss(x, torch.tensor([0, 0, 1, 1]))))
    True
    """

    _parameter_constraints: dict = {
        "size": [at_least(1)],
        "warmup": [at_least(0)],
    }

    def __init__(
        self, loss: nn.Module, size: int = 1024, warmup: int = 0, embedding_dim: int | None = None
    ) -> None:
        super().__init__()
        self.loss = as_metric_loss(loss)
        if not self.loss.takes_reference:
            raise ValueError(
                f"loss must be a pair or triplet loss that takes a reference, "
                f"got {type(loss).__name__}"
            )
        self.size = size
        self.warmup = warmup
        self.embedding_dim = embedding_dim
        check_ranges(self)
        self.register_buffer("memory", None)
        self.register_buffer("memory_labels", torch.full((size,), -1))
        for name in ("position", "filled", "step"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))
        if embedding_dim is not None:
            self._allocate(embedding_dim)

    #: The memory is the reference, there is no other.
    takes_reference = False
    #: Rows of the training set are in no saved embedder.
    training_only = ("memory", "memory_labels", "position", "filled", "step")

    def parts(self) -> list[Any]:
        """Return the loss."""
        return [self.loss]

    def build(self, n_classes: int | None, embedding_dim: int, **known: Any) -> Self:
        """Create the memory and what the loss learns, and return self."""
        self._allocate(embedding_dim)
        return super().build(n_classes, embedding_dim, **known)

    def _allocate(self, embedding_dim):
        self.embedding_dim = embedding_dim
        self.memory = torch.zeros(self.size, embedding_dim, device=self.memory_labels.device)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        saved = state_dict.get(f"{prefix}memory")
        if self.memory is None and saved is not None:
            self._allocate(saved.shape[1])
        super()._load_from_state_dict(state_dict, prefix, *args)

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d) with ``labels`` (b,), which then enter the memory."""
        if self.memory is not None and embeddings.shape[1] != self.memory.shape[1]:
            raise ValueError(
                f"embeddings must have the {self.memory.shape[1]} dimensions of the memory, got "
                f"{embeddings.shape[1]}"
            )
        reference = None
        if self.filled and self.step >= self.warmup:
            n = int(self.filled)
            reference = Reference(self.memory[:n].clone(), self.memory_labels[:n].clone())
        value = self.loss(embeddings, labels, None, reference, indices, features)
        if self.training:
            self._enqueue(embeddings.detach(), labels)
        return value

    @torch.no_grad()
    def _enqueue(self, embeddings, labels):
        if self.memory is None:
            self._allocate(embeddings.shape[1])
        embeddings, labels = embeddings[-self.size :], labels[-self.size :]
        at = (self.position + torch.arange(len(labels), device=self.memory.device)) % self.size
        self.memory[at] = embeddings.to(self.memory)
        self.memory_labels[at] = labels
        self.position.copy_((self.position + len(labels)) % self.size)
        self.filled.copy_((self.filled + len(labels)).clamp(max=self.size))
        self.step += 1
