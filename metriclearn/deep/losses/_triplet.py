"""Losses on triplets: an anchor, a positive, a negative."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import squareform
from torch.nn.functional import softplus

from metriclearn._sklearn import NOT_NEGATIVE, at_least, one_of
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.tensors._batches import check_codes
from metriclearn.deep.tensors._pairwise import compare, list_positives, listed_distances
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.deep.tensors._selections import EVERYTHING
from metriclearn.deep.tensors._triplet_sums import triplet_sum

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Reference, Selection


class TripletLoss(MetricLoss):
    """Triplet loss over all triplets of the batch, or those a miner selects.

    ::

        mean over (a, p, n) of  φ(d(a, p) - d(a, n) + m)

    with ``φ(z) = max(0, z)``, or ``log(1 + exp z)`` where ``soft``.

    Schroff, Kalenichenko and Philbin, "FaceNet", 2015 [1]_: squared distances of rows of length
    one, m = 0.2. Hermans, Beyer and Leibe, "In Defense of the Triplet Loss", 2017 [2]_: unsquared,
    soft (theirs is ``margin=0, soft=True``), and the mean over the triplets whose term is not zero,
    which is the default here and in most libraries. Swap: Balntas et al., 2016 [3]_.

    Parameters
    ----------
    margin : float, default=0.2
        At least 0; in units of the (squared) distance.
    squared : bool, default=True
        Squared Euclidean distances.
    soft : bool, default=False
        The soft margin; it has no zero terms, so its mean is over all triplets.
    swap : bool, default=False
        Take ``min(d(a, n), d(p, n))`` for the negative.
    reduction : {"mean_nonzero", "mean"}, default="mean_nonzero"
        Mean over the triplets with a positive term, or over all selected ones.

    See Also
    --------
    AdaptiveTripletLoss : Weights in place of a miner.
    metriclearn.deep.miners.SemiHardMiner : The usual miner.
    QuadrupletLoss : Also against pairs without the anchor.

    Notes
    -----
    *Needs* labels or triplets, two rows of a class in a batch.

    *Relations*: compares two distances where `ContrastiveLoss` compares one with a constant, so
    that classes may differ in spread; needs a miner (`SemiHardMiner`), without which most triplets
    say nothing after a while.

    Time O(b² (d + k)), memory O(b²) for b rows with k positives each: triplets are never listed,
    unless a miner lists them.

    References
    ----------
    .. [1] Schroff, Kalenichenko and Philbin, "FaceNet: A Unified Embedding for Face Recognition
       and Clustering", CVPR 2015. :doi:`10.48550/arXiv.1503.03832`
    .. [2] Hermans, Beyer and Leibe, "In Defense of the Triplet Loss for Person Re-Identification",
       2017. :doi:`10.48550/arXiv.1703.07737`
    .. [3] Balntas, Riba, Ponsa and Mikolajczyk, "Learning Local Feature Descriptors with Triplets
       and Shallow Convolutional Neural Networks", BMVC 2016. :doi:`10.5244/C.30.119`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import TripletLoss
    >>> embeddings = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> TripletLoss(margin=0.5)(embeddings, torch.tensor([0, 0, 1])).item()  # one active: 1 - 1 + ½
    0.5
    """

    accepts = ("triplets",)
    takes_reference = True
    takes_windows = True

    _parameter_constraints: dict = {
        "margin": [NOT_NEGATIVE],
        "squared": ["boolean"],
        "soft": ["boolean"],
        "swap": ["boolean"],
        "reduction": [one_of("mean_nonzero", "mean")],
    }

    def __init__(
        self,
        margin: float = 0.2,
        squared: bool = True,
        soft: bool = False,
        swap: bool = False,
        reduction: str = "mean_nonzero",
    ) -> None:
        super().__init__()
        self.margin = margin
        self.squared = squared
        self.soft = soft
        self.swap = swap
        self.reduction = reduction
        check_ranges(self)

    @property
    def kind(self) -> str | None:
        """What rows are compared by."""
        return "sq_distance" if self.squared else "distance"

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection = EVERYTHING,
        reference: Reference | None = None,
    ) -> torch.Tensor:
        """Mean over triplets of ``embeddings`` (b, d) with ``labels`` (b,)."""
        listed = selection.triplets()
        if listed is not None:
            total, active, selected = self._listed(embeddings, reference, listed)
        else:
            batch = compare(embeddings, labels, self.kind, reference)
            pairs = batch.positive_pairs()
            if self.swap and reference is not None:
                # Distances from a reference's rows are not known.
                pairs = list_positives(batch.positive[:, : len(embeddings)])
            total, active, selected = triplet_sum(
                batch.values, pairs, batch.negative, self.margin,
                low=selection.low, high=selection.high, soft=self.soft, swap=self.swap,
            )  # fmt: skip
        every = self.reduction == "mean" or self.soft
        return self._mean(total, selected if every else active, active)

    def _listed(self, embeddings, reference, triplets):
        a, p, n = triplets
        if self.swap and (p >= len(embeddings)).any():
            raise ValueError("swap=True needs positives from the batch, not from a reference")
        rows, columns = ([a, a, p], [p, n, n]) if self.swap else ([a, a], [p, n])
        others = None if reference is None else reference.embeddings
        d = listed_distances(embeddings, others, torch.cat(rows), torch.cat(columns), self.squared)
        pull, push, *swapped = d.view(len(rows), len(a))
        if swapped:
            push = torch.minimum(push, *swapped)
        violation = pull - push + self.margin
        terms = softplus(violation) if self.soft else violation.relu()
        return terms.sum(), (violation > 0).sum(), len(a)


class HierarchicalTripletLoss(MetricLoss):
    """Triplet loss whose margin grows with how far apart two classes are in a class tree.

    With ``d²`` the squared Euclidean distance of rows of length one, mean over active triplets of::

        ½ max(0, d²_ap - d²_an + m(y_a, y_n)),     m(y_a, y_n) = β + h(y_a, y_n) - s(y_a)

    where ``h`` is the height at which the two classes join in a tree of ``levels`` levels between
    the mean distance within classes and 4 (two classes join where their mean distance is below the
    height), and ``s`` the mean squared distance within a class.

    Ge, Huang, Dong and Scott, "Deep Metric Learning with Hierarchical Triplet Loss", 2018 [1]_. The
    tree is made from the whole training set: call `refresh` before each epoch. Before the first
    call the margin is β, a plain triplet loss.

    Parameters
    ----------
    margin : float, default=0.1
        β, at least 0.
    levels : int, default=16
        Number of levels of the tree, at least 1.
    n_classes, embedding_dim : int, default=None
        Number of classes, if known; else by ``build``. embedding_dim is not used.

    Attributes
    ----------
    class_margins : buffer of shape (n_classes, n_classes)
        ``m(y_a, y_n)``.

    See Also
    --------
    TripletLoss : One margin for all classes.
    metriclearn.deep.samplers.HierarchicalSampler : The sampler of the same paper.

    Notes
    -----
    *Needs* labels of classes that are known at the start, and an embedding of the training set
    before each epoch.

    *Relations*: `TripletLoss` whose margin says how far apart two classes should be; goes with
    `HierarchicalSampler`.

    Time O(b² (d + k)), memory O(b² + n_classes²) for b rows with k positives each.

    References
    ----------
    .. [1] Ge, Huang, Dong and Scott, "Deep Metric Learning with Hierarchical Triplet Loss", ECCV
       2018. :doi:`10.48550/arXiv.1810.06951`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import HierarchicalTripletLoss
    >>> loss = HierarchicalTripletLoss(n_classes=2, embedding_dim=2)
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    0.783
    """

    takes_reference = True
    needs_classes = True
    refreshes = True

    _parameter_constraints: dict = {
        "margin": [NOT_NEGATIVE],
        "levels": [at_least(1)],
    }

    def __init__(
        self,
        margin: float = 0.1,
        levels: int = 16,
        n_classes: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.margin = margin
        self.levels = levels
        self.n_classes = n_classes
        self.embedding_dim = embedding_dim
        check_ranges(self)
        self.register_buffer("class_margins", None)
        if n_classes is not None:
            self.build(n_classes, embedding_dim)

    def build(self, n_classes: int | None, embedding_dim: int | None = None, **known: Any) -> Self:
        """Start with the same margin for all pairs of classes, and return self."""
        self.n_classes, self.embedding_dim = n_classes, embedding_dim
        self.class_margins = torch.full((n_classes, n_classes), float(self.margin))
        return self

    @torch.no_grad()
    def refresh(
        self, embeddings: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> None:
        """Make the class tree from the embeddings (n, d) and labels (n,) of the training set."""
        self._check_built()
        # In float64 on the CPU: moments cancel, and not every accelerator has it.
        x, labels = embeddings.double().cpu(), labels.cpu()
        counts = torch.bincount(labels, minlength=self.n_classes).double()
        safe = counts.clamp(min=1)
        means = torch.zeros(self.n_classes, x.shape[1], dtype=x.dtype, device=x.device)
        means.index_add_(0, labels, x)
        means /= safe[:, None]
        squares = torch.zeros(self.n_classes, dtype=x.dtype, device=x.device)
        squares.index_add_(0, labels, x.square().sum(1))
        squares /= safe
        # The mean squared distance of all pairs, from first and second moments.
        between = squares[:, None] + squares[None, :] - 2 * means @ means.T
        several = counts > 1
        within = 2 * (squares - means.square().sum(1)) * counts / (safe - 1).clamp(min=1)
        within = torch.where(several, within, torch.zeros_like(within)).clamp(min=0)
        lowest = float(within[several].mean()) if several.any() else 0.0
        height = tree_heights(between.numpy(), lowest, self.levels)
        margins = self.margin + torch.from_numpy(height).to(within) - within[:, None]
        self.class_margins = margins.to(self.class_margins)

    def _check_built(self):
        if self.class_margins is None:
            raise RuntimeError(
                "HierarchicalTripletLoss does not know its classes yet: give n_classes, "
                "or call build(n_classes)"
            )

    def compute(
        self, embeddings: torch.Tensor, labels: torch.Tensor, reference: Reference | None = None
    ) -> torch.Tensor:
        """Mean over triplets of ``embeddings`` (b, d) with ``labels`` (b,)."""
        self._check_built()
        batch = compare(embeddings, labels, "sq_distance", reference)
        columns = labels if reference is None else torch.cat([labels, reference.labels])
        check_codes("HierarchicalTripletLoss", labels, self.n_classes)
        margins = self.class_margins.to(batch.values.dtype)[labels[:, None], columns[None, :]]
        pairs = batch.positive_pairs()
        total, active, _ = triplet_sum(batch.values, pairs, batch.negative, margins)
        return self._mean(total, active) / 2


def tree_heights(between, lowest, levels):
    """Heights at which classes join in a tree of ``levels`` equal steps from ``lowest`` to 4.

    Parameters
    ----------
    between : ndarray of shape (c, c)
        Mean squared distances between classes.
    lowest : float
        Height of the leaves.
    levels : int

    Returns
    -------
    ndarray of shape (c, c)
    """
    if len(between) < 2:
        return np.full(between.shape, lowest)
    between = np.maximum((between + between.T) / 2, 0)
    np.fill_diagonal(between, 0)
    # Joining all classes nearer than a height is single linkage, cut at that height.
    joined = squareform(cophenet(linkage(squareform(between, checks=False), "single")))
    step = (4 - lowest) / levels
    level = np.floor((joined - lowest) / step) + 1 if step > 0 else np.ones_like(joined)
    return lowest + np.clip(level, 1, levels) * step
