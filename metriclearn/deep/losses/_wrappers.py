"""Losses made of other losses: mined, summed, with a memory, of high order, regularised."""

import copy
import inspect

import torch
from torch import nn

from metriclearn.deep._masked_sums import masked_max
from metriclearn.deep._pairwise import dot_products, products, unit_rows, widen
from metriclearn.deep._ranges import NOT_NEGATIVE, at_least, check_ranges, one_of
from metriclearn.deep._tuples import PairRule, Reference, check_composition


class _Composite(nn.Module):
    """What the wrappers share: their sizes and needs are those of their parts.

    A subclass has ``_parts()``, the losses it is made of.
    """

    accepts = ()

    @property
    def needs_indices(self):
        """Whether a part needs to know which training row each embedding is of."""
        return any(getattr(part, "needs_indices", False) for part in self._parts())

    @property
    def continuous_labels(self):
        """Whether a part works on continuous labels."""
        return any(getattr(part, "continuous_labels", False) for part in self._parts())

    @property
    def any_length(self):
        """Whether all parts are meant for embeddings of any length."""
        return all(getattr(part, "any_length", False) for part in self._parts())

    def build(self, n_classes, embedding_dim, n_samples=None):
        """Create what the parts learn, and return self."""
        for part in self._parts():
            if getattr(part, "needs_indices", False):
                part.build(n_classes, embedding_dim, n_samples)
            elif hasattr(part, "build"):
                part.build(n_classes, embedding_dim)
        return self

    def refresh(self, embeddings, labels):
        """Show the parts the whole training set, embedded as (n, d), with labels (n,)."""
        for part in self._parts():
            if hasattr(part, "refresh"):
                part.refresh(embeddings, labels)


def _evaluate(loss, embeddings, labels, selection=None, reference=None, indices=None):
    """Call a loss with what it takes of all this."""
    given = {"selection": selection, "reference": reference}
    given = {name: value for name, value in given.items() if value is not None}
    if getattr(loss, "needs_indices", False):
        given["indices"] = indices
    return loss(embeddings, labels, **given)


def _takes_reference(loss):
    if isinstance(loss, _Composite):
        return all(_takes_reference(part) for part in loss._parts())
    return "reference" in inspect.signature(loss.forward).parameters


class MinedLoss(_Composite):
    """A loss on what a miner selects: ``loss(x, y, selection=miner(x, y))``.

    Parameters
    ----------
    loss : Module
        Its ``accepts`` has to name what the miner yields.
    miner : callable
        ``miner(embeddings, labels)`` to `Pairs` or `Triplets`.

    Raises
    ------
    ValueError
        Where the two do not fit.

    Notes
    -----
    Where a miner can say what it selects without listing it (a window on the loss's own distance,
    masks of pairs) nothing is listed; where it looks at the comparisons that the loss makes, they
    are made once. Time O(b² d), memory O(b²) for b rows of d dimensions; where a miner lists
    triplets, memory O(b² + t) for t of them.

    Examples
    --------
    >>> from metriclearn.deep.losses import MinedLoss, TripletLoss
    >>> from metriclearn.deep.miners import MultiSimilarityMiner, SemiHardMiner
    >>> loss = MinedLoss(TripletLoss(margin=0.1), SemiHardMiner())
    >>> loss = MinedLoss(TripletLoss(), MultiSimilarityMiner())
    Traceback (most recent call last):
    ...
    ValueError: TripletLoss does not work with MultiSimilarityMiner, which yields pairs: ...
    """

    def __init__(self, loss, miner):
        super().__init__()
        check_composition(loss, miner)
        self.loss = loss
        self.miner = miner

    def _parts(self):
        return [self.loss]

    def forward(self, embeddings, labels, reference=None, indices=None):
        """Value of the loss on the miner's selection of ``embeddings`` (b, d), ``labels`` (b,)."""
        selection = self._select(embeddings, labels, reference)
        return _evaluate(self.loss, embeddings, labels, selection, reference, indices)

    def _select(self, embeddings, labels, reference):
        if hasattr(self.miner, "window"):
            window = self.miner.window(self.loss)
            if hasattr(self.loss, "takes_window") and self.loss.takes_window(window):
                return window
            return self.miner.listed(window, embeddings, labels, reference)
        if hasattr(self.miner, "choose"):
            if getattr(self.loss, "kind", None) in self.miner.kinds:
                return PairRule(self.miner.choose)
            return self.miner.masks(embeddings, labels, reference)
        # A miner of one's own need not know of references.
        given = () if reference is None else (reference,)
        return self.miner(embeddings, labels, *given)


class WeightedSum(_Composite):
    """Weighted sum of losses on the same batch, ``Σ_k w_k loss_k(x, y)``.

    Parameters
    ----------
    losses : sequence of Modules
    weights : sequence of float, default=None
        One for each loss; all 1 by default.

    Notes
    -----
    Time O(sum of the losses' own); each makes its own comparisons.

    Examples
    --------
    >>> from metriclearn.deep.losses import AngularLoss, NPairLoss, WeightedSum
    >>> loss = WeightedSum([NPairLoss(), AngularLoss()], [1, 2])
    """

    def __init__(self, losses, weights=None):
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.weights = weights
        if weights is not None and len(weights) != len(self.losses):
            raise ValueError(
                f"weights must be one for each of the {len(self.losses)} losses, got {len(weights)}"
            )

    def _parts(self):
        return list(self.losses)

    def forward(self, embeddings, labels, reference=None, indices=None):
        """Sum on ``embeddings`` (b, d) with ``labels`` (b,)."""
        weights = [1.0] * len(self.losses) if self.weights is None else self.weights
        return sum(
            weight * _evaluate(loss, embeddings, labels, None, reference, indices)
            for loss, weight in zip(self.losses, weights, strict=True)
        )


class CrossBatchMemory(_Composite):
    """Cross-batch memory (XBM): compare each batch with itself and with the rows before it.

    ::

        loss(batch against [batch; memory]),   then   memory ← last rows of [memory; batch]

    The loss is taken between the rows of the batch and ``[batch; memory]``; no gradient flows to
    the memory, a queue of the last rows seen in training. Behind the value, the batch enters the
    queue.

    Wang, Zhang, Huang and Scott, "Cross-Batch Memory for Embedding Learning", 2020; they add the
    loss on the batch and the loss against the memory, which are one here, so that a softmax runs
    over both. The queue, its position and its fill are in the ``state_dict``.

    Parameters
    ----------
    loss : Module
        A pair or triplet loss, also mined: one whose ``forward`` takes a ``reference``.
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

    Notes
    -----
    Time O(b (b + M) d), memory O(b (b + M) + M d) for b rows and M rows of memory in d
    dimensions.

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

    def __init__(self, loss, size=1024, warmup=0, embedding_dim=None):
        super().__init__()
        if not _takes_reference(loss):
            raise ValueError(
                f"loss must be a pair or triplet loss whose forward takes a reference, "
                f"got {type(loss).__name__}"
            )
        self.loss = loss
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

    def _parts(self):
        return [self.loss]

    def build(self, n_classes, embedding_dim, n_samples=None):
        """Create the memory and what the loss learns, and return self."""
        self._allocate(embedding_dim)
        return super().build(n_classes, embedding_dim, n_samples)

    def _allocate(self, embedding_dim):
        self.embedding_dim = embedding_dim
        self.memory = torch.zeros(self.size, embedding_dim, device=self.memory_labels.device)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        saved = state_dict.get(f"{prefix}memory")
        if self.memory is None and saved is not None:
            self._allocate(saved.shape[1])
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, embeddings, labels, indices=None):
        """Value on ``embeddings`` (b, d) with ``labels`` (b,), which then enter the memory."""
        reference = None
        if self.filled and self.step >= self.warmup:
            n = int(self.filled)
            reference = Reference(self.memory[:n].clone(), self.memory_labels[:n].clone())
        value = _evaluate(self.loss, embeddings, labels, None, reference, indices)
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


class HighOrderLoss(_Composite):
    """High-order regulariser in the style of HORDE: the same loss on high-order moments too.

    ::

        loss(x) + Σ_{k=2..K} loss_k(φ_k(x) / ‖φ_k(x)‖),      φ_k(x) = (W_1 x) ∘ … ∘ (W_k x)

    where inner products of ``φ_k`` estimate the k-th power of those of ``x`` (random Maclaurin
    features, W of random signs), so that the moments of the classes' distributions get separated.

    Jacob, Picard, Histace and Klein, "Metric Learning with HORDE: High-Order Regularizer for Deep
    Embeddings", 2019. They take the moments of the local features of an image; here they are those
    of the embeddings.

    Parameters
    ----------
    loss : Module
        Copied for each order.
    n_orders : int, default=5
        K, at least 2.
    dim : int, default=512
        Rows of each W, at least 1.
    trainable : bool, default=False
        Whether the W are learned; the paper has both.
    embedding_dim : int, default=None
        If known; else by ``build``.

    Attributes
    ----------
    projections : buffer or Parameter of shape (n_orders, dim, embedding_dim)

    Notes
    -----
    Time O(K (b d D + c)), memory O(K (D d + b D) + c) for b rows of d dimensions, D rows of each
    W, and c the cost of the loss on b rows of D dimensions.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import HighOrderLoss, SupConLoss
    >>> loss = HighOrderLoss(SupConLoss(), embedding_dim=2)
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> bool(torch.isfinite(loss(x, torch.tensor([0, 0, 1, 1]))))
    True
    """

    _parameter_constraints: dict = {
        "n_orders": [at_least(2)],
        "dim": [at_least(1)],
        "trainable": ["boolean"],
    }

    def __init__(self, loss, n_orders=5, dim=512, trainable=False, embedding_dim=None):
        super().__init__()
        self.loss = loss
        self.n_orders = n_orders
        self.dim = dim
        self.trainable = trainable
        self.embedding_dim = embedding_dim
        check_ranges(self)
        self.high_order = nn.ModuleList(copy.deepcopy(loss) for _ in range(n_orders - 1))
        self._set(None)
        if embedding_dim is not None:
            self._project(embedding_dim)

    def _parts(self):
        return [self.loss, *self.high_order]

    def _set(self, projections):
        if self.trainable:
            parameter = None if projections is None else nn.Parameter(projections)
            self.register_parameter("projections", parameter)
        else:
            self.register_buffer("projections", projections)

    def _project(self, embedding_dim):
        self.embedding_dim = embedding_dim
        signs = torch.randint(0, 2, (self.n_orders, self.dim, embedding_dim))
        self._set(signs.float().mul_(2).sub_(1))

    def build(self, n_classes, embedding_dim, n_samples=None):
        """Draw the projections, create what the losses learn, and return self."""
        self._project(embedding_dim)
        widths = [embedding_dim] + [self.dim] * (self.n_orders - 1)
        for part, width in zip(self._parts(), widths, strict=True):
            if getattr(part, "needs_indices", False):
                part.build(n_classes, width, n_samples)
            elif hasattr(part, "build"):
                part.build(n_classes, width)
        return self

    def forward(self, embeddings, labels, indices=None):
        """Sum over the orders on ``embeddings`` (b, d) with ``labels`` (b,)."""
        if self.projections is None:
            raise RuntimeError(
                "HighOrderLoss has no projections yet: give embedding_dim, or call "
                "build(n_classes, embedding_dim)"
            )
        x = widen(embeddings)
        value = _evaluate(self.loss, x, labels, indices=indices)
        moment = products(x, self.projections[0])
        for loss, projection in zip(self.high_order, self.projections[1:], strict=True):
            moment = moment * products(x, projection)
            value = value + _evaluate(loss, unit_rows(moment), labels, indices=indices)
        return value


class ProxyRegularizer(_Composite):
    """A loss with proxies, plus a penalty on them.

    ::

        loss + weight · penalty

        "separation"  mean over proxies of the largest cosine to a proxy of another class
        "norm"        mean squared length of the proxies
        "zero_mean"   squared length of the mean of the proxies, of length one

    "separation" is the exclusive regulariser of Zhao, Xu and Cheng, "RegularFace", 2019. The term
    that merges the centres of a class is part of `SoftTripleLoss`.

    Parameters
    ----------
    loss : Module
        One that has ``proxies``.
    weight : float, default=1
        At least 0.
    kind : {"separation", "norm", "zero_mean"}, default="separation"

    Notes
    -----
    Time O(P² d), memory O(P²) for P proxies ("separation"), else O(P d).

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ArcFaceLoss, ProxyRegularizer
    >>> loss = ProxyRegularizer(ArcFaceLoss(n_classes=2, embedding_dim=2), weight=0.5)
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> bool(torch.isfinite(loss(x, torch.tensor([0, 0, 1, 1]))))
    True
    """

    _parameter_constraints: dict = {
        "weight": [NOT_NEGATIVE],
        "kind": [one_of("separation", "norm", "zero_mean")],
    }

    def __init__(self, loss, weight=1.0, kind="separation"):
        super().__init__()
        if not hasattr(loss, "proxies"):
            raise ValueError(f"loss must be one with proxies, got {type(loss).__name__}")
        self.loss = loss
        self.weight = weight
        self.kind = kind
        check_ranges(self)

    def _parts(self):
        return [self.loss]

    def forward(self, embeddings, labels):
        """Value on ``embeddings`` (b, d), ``labels`` (b,) from 0 to n_classes - 1."""
        return self.loss(embeddings, labels) + self.weight * self._penalty()

    def _penalty(self):
        proxies = self.loss.proxies
        if self.kind == "norm":
            return proxies.square().sum(1).mean()
        unit = unit_rows(proxies)
        if self.kind == "zero_mean":
            return unit.mean(0).square().sum()
        if self.loss.n_classes < 2:
            return proxies.sum() * 0
        classes = torch.arange(len(proxies), device=proxies.device) % self.loss.n_classes
        other = (classes[:, None] != classes[None, :]).to(unit.dtype)
        return masked_max(dot_products(unit), other).values.mean()
