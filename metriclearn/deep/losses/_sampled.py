"""A loss with proxies on some of the classes at a time."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.autograd import Function
from torch.func import functional_call

from metriclearn._sklearn import between
from metriclearn.deep.losses._proxy_base import ProxyLoss, check_has_proxies
from metriclearn.deep.losses._wrappers import Composite
from metriclearn.deep.tensors._ranges import check_ranges

# What a class may have besides proxies, an entry each.
_OF_CLASSES = {"bias"}


class _RowsOf(Function):
    """Distinct rows of a tensor, with a gradient that is sparse."""

    @staticmethod
    def forward(ctx, whole, rows):
        ctx.save_for_backward(rows)
        ctx.shape = whole.shape
        return whole[rows]

    @staticmethod
    def backward(ctx, gradient):
        (rows,) = ctx.saved_tensors
        known = {"is_coalesced": True, "check_invariants": False}  # rows are distinct, and sorted
        return torch.sparse_coo_tensor(rows[None], gradient, ctx.shape, **known), None


class SampledProxies(Composite):
    """A loss with proxies, of the classes of the batch and of a random share of the others.

    With P the classes in the batch and S a random set of ``max(|P|, ⌈share · C⌉)`` of the C classes
    that holds P, drawn again in each batch::

        loss of the proxies of S alone

    For so many classes that comparing a batch with the proxies of all is what costs: Partial FC
    [1]_. In evaluation all classes take part.

    Parameters
    ----------
    loss : ProxyLoss
        One with proxies, and nothing else of each class but a bias.
    share : float, default=0.1
        In (0, 1]; 1 is the loss itself.
    sparse : bool, default=False
        Make the gradient of what the loss learns of each class a sparse tensor of the sampled
        classes, as that of ``torch.nn.Embedding(sparse=True)`` is: `DeepEmbedder` then changes
        these rows alone, and of the optimizer's state (momentum, Adam's two means) these rows, as
        the paper does. Otherwise every row takes part in every step, moved on by its momentum.

    Attributes
    ----------
    sampled_ : int64 tensor or None
        The classes of the last batch, sorted.

    See Also
    --------
    CrossBatchMemory : Compares with rows of former batches in place of proxies.

    Notes
    -----
    *Needs* what the loss needs.

    *Relations*: sampled softmax where the loss is a softmax; the paper samples one in ten.

    Time O(b s d), memory O(b s + s d) for s sampled classes, and O(C) to draw them; without
    ``sparse`` a step of the optimizer takes O(C d), and the gradient is as large as all proxies.
    The optimizer's state is as large as these in any case.

    References
    ----------
    .. [1] An et al., "Partial FC: Training 10 Million Identities on a Single Machine", ICCVW 2021.
       :doi:`10.1109/ICCVW54120.2021.00166`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ArcFaceLoss, SampledProxies
    >>> loss = SampledProxies(ArcFaceLoss(n_classes=50, embedding_dim=2), share=0.1)
    >>> value = loss(torch.randn(3, 2), torch.tensor([4, 9, 4]))
    >>> len(loss.sampled_), {4, 9} <= set(loss.sampled_.tolist())
    (5, True)
    """

    #: The rows of a memory may be of classes that are not sampled.
    takes_reference = False

    _parameter_constraints: dict = {"share": [between(0, 1, "right")], "sparse": ["boolean"]}

    def __init__(self, loss: ProxyLoss, share: float = 0.1, sparse: bool = False) -> None:
        super().__init__()
        check_has_proxies(loss)
        self.loss = loss
        self.share = share
        self.sparse = sparse
        check_ranges(self)
        self.sampled_ = None

    def parts(self) -> list[Any]:
        """Return the loss."""
        return [self.loss]

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        loss, further = self.loss, (None, None, indices, features)
        loss._check(embeddings, labels)
        if self.share == 1 or not self.training:
            return loss(embeddings, labels, *further)
        n_classes = loss.n_classes
        state = dict(loss.named_parameters()) | dict(loss.named_buffers())
        unknown = state.keys() - _OF_CLASSES - {"proxies"}
        if unknown:
            raise ValueError(
                f"{type(loss).__name__} has {sorted(unknown)[0]} besides proxies, which cannot be "
                f"sampled; take another loss"
            )
        present = labels.unique()
        size = max(len(present), math.ceil(self.share * n_classes))
        # The classes of the batch come first, whatever is drawn for the others.
        drawn = torch.rand(n_classes, device=labels.device).index_fill(0, present, 2.0)
        self.sampled_ = drawn.topk(size).indices.sort().values
        centers = n_classes * torch.arange(loss.n_centers, device=labels.device)
        rows = (centers[:, None] + self.sampled_).reshape(-1)
        take = _RowsOf.apply if self.sparse else torch.Tensor.__getitem__
        state = {
            name: take(value, rows if name == "proxies" else self.sampled_)
            for name, value in state.items()
        }
        codes = torch.searchsorted(self.sampled_, labels)
        loss.n_classes = size
        try:
            return functional_call(loss, state, (embeddings, codes, *further))
        finally:
            loss.n_classes = n_classes
