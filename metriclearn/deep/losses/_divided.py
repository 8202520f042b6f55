"""Divide and conquer: each group of dimensions learns a part of the training set."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from metriclearn._arrays import count_classes
from metriclearn._sklearn import at_least
from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._characteristics import clustered
from metriclearn.deep.losses._proxy_base import ProxyLoss
from metriclearn.deep.losses._wrappers import Composite, as_meant
from metriclearn.deep.tensors._pairwise import attached_zero, unit_rows, widen
from metriclearn.deep.tensors._ranges import check_ranges, group_sizes, unit_weights

if TYPE_CHECKING:
    from torch import nn


class DivideAndConquerLoss(Composite):
    """Divide and conquer: each group of dimensions learns a cluster of the training set.

    The rows are put into K clusters by k-means on their embeddings. With z_k the k-th group of
    dimensions, of length one, and b_k the rows of a batch that are in cluster k::

        Σ_k (b_k / b) loss_k(z_k of the rows of cluster k)        at first
        loss(z)                                                   from ``conquer_from`` on

    z_k is so changed by rows of its own cluster alone. Every so many epochs the rows are put into
    clusters again; new clusters are numbered so that most rows stay with their learner (Hungarian
    method). See [1]_.

    Parameters
    ----------
    loss : Module
        Copied for each group and for the whole, what it learns included.
    n_learners : int, default=4
        K, at least 1, which divides the number of dimensions.
    every : int, default=2
        Epochs between divisions, at least 1.
    conquer_from : int or None, default=10
        Epochs after which the whole embedding is trained on all rows, at least 0; None never.
    hierarchical : bool, default=False
        Begin with one cluster, and at each division split each in two, up to K, a power of two;
        all share one loss [2]_.
    embedding_dim, n_samples : int, default=None
        Sizes, if known; else by ``build``.

    Attributes
    ----------
    losses : ModuleList
        One for each group; one in all, if ``hierarchical``.
    whole : Module
        The loss of the whole embedding.
    clusters : int64 tensor of shape (n_samples,)
        Cluster of each training row; -1 before the first division and from ``conquer_from`` on.
    n_learners_ : int
        Learners at present.

    See Also
    --------
    GroupedLoss : Each group learns all rows.
    metriclearn.deep.samplers.ClusterSampler : Batches of one cluster, as `DeepEmbedder` draws them
        by default for this loss.

    Notes
    -----
    *Needs* what the loss needs; the place of each row in the training set (``indices``), and the
    embedded training set before each epoch until it conquers.

    *Relations*: with K = 1 it is the loss itself. Made for pretrained networks and long training:
    on a short budget each learner sees too few rows, and the plain loss is better. Each group has
    the same length in the whole, which in the paper is scaled as one; so a batch of one cluster
    leaves the last layer's rows of the other learners exactly as they are.

    Time O(that of the loss), and O(n K d) for each pass of k-means over n rows.

    References
    ----------
    .. [1] Sanakoyeu, Tschernezki, Büchler and Ommer, "Divide and Conquer the Embedding Space for
       Metric Learning", CVPR 2019. :doi:`10.48550/arXiv.1906.05990`
    .. [2] Sanakoyeu, Ma, Tschernezki and Ommer, "Improving Deep Metric Learning by Divide and
       Conquer", TPAMI 2021. :doi:`10.48550/arXiv.2109.04003`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import DivideAndConquerLoss, SupConLoss
    >>> loss = DivideAndConquerLoss(SupConLoss(), 2, embedding_dim=4, n_samples=4)
    >>> x = torch.tensor([[1.0, 0, 1, 0], [0.8, 0.6, 1, 0], [0, 1, 0, 1], [-0.6, 0.8, 0, 1]])
    >>> loss.refresh(x, torch.tensor([0, 0, 1, 1]))
    >>> first, *others = loss.clusters.tolist()
    >>> [number == first for number in others]
    [True, False, False]
    """

    needs_indices = True
    divides = True
    #: A reference's rows would have to be cut as well.
    takes_reference = False
    group_sizes: tuple | None = None
    group_lengths: tuple | None = None
    training_only = ("losses", "assignment", "n_parts")

    _parameter_constraints: dict = {
        "n_learners": [at_least(1)],
        "every": [at_least(1)],
        "conquer_from": [at_least(0), None],
        "hierarchical": ["boolean"],
    }

    def __init__(
        self,
        loss: nn.Module,
        n_learners: int = 4,
        every: int = 2,
        conquer_from: int | None = 10,
        hierarchical: bool = False,
        embedding_dim: int | None = None,
        n_samples: int | None = None,
    ) -> None:
        super().__init__()
        self.n_learners = n_learners
        self.every = every
        self.conquer_from = conquer_from
        self.hierarchical = hierarchical
        self.embedding_dim = embedding_dim
        self.n_samples = n_samples
        check_ranges(self)
        self.whole = as_metric_loss(loss)
        if hierarchical and n_learners & (n_learners - 1):
            raise ValueError(f"n_learners must be a power of two to be split, got {n_learners}")
        if hierarchical and isinstance(self.whole, ProxyLoss):
            raise ValueError(
                f"hierarchical=True has one loss for embeddings of several widths, and "
                f"{type(self.whole).__name__} has proxies of one; give a loss on pairs or triplets"
            )
        copies = 1 if hierarchical else n_learners
        self.losses = torch.nn.ModuleList(copy.deepcopy(self.whole) for _ in range(copies))
        self.register_buffer("n_epochs", torch.zeros((), dtype=torch.int64))
        self.register_buffer("n_parts", torch.tensor(1 if hierarchical else n_learners))
        self.register_buffer("assignment", None)
        if None not in (embedding_dim, n_samples):
            self._allot(embedding_dim, n_samples)

    @property
    def loss(self) -> Any:
        """The loss of the whole, as it was given."""
        return self.whole

    @property
    def clusters(self) -> torch.Tensor | None:
        """Cluster of each training row, -1 where all are trained together; None before `build`."""
        return self.assignment

    @property
    def n_learners_(self) -> int:
        """Learners at present."""
        return int(self.n_parts)

    @property
    def refreshes(self) -> bool:
        """Whether it still divides, or a loss wants to see the training set."""
        return not self._conquers(int(self.n_epochs) - 1) or super().refreshes

    def parts(self) -> list[Any]:
        """Return the losses of the groups, and of the whole."""
        return [*self.losses, self.whole]

    def build(
        self,
        n_classes: int | None,
        embedding_dim: int,
        n_samples: int | None = None,
        **known: Any,
    ) -> Self:
        """Create what the losses learn, and return self."""
        if n_samples is None:
            raise ValueError("n_samples is needed by DivideAndConquerLoss")
        self.n_classes, self.embedding_dim = n_classes, embedding_dim
        self._allot(embedding_dim, n_samples)
        widths = [embedding_dim // self.n_learners] * len(self.losses)
        self._build_parts(n_classes, [*widths, embedding_dim], n_samples=n_samples, **known)
        return self

    def _allot(self, embedding_dim, n_samples):
        # Were the whole scaled to length one, rounding would leave a trace of a group in the
        # gradient of the others, which Adam makes steps of.
        self.group_sizes = tuple(group_sizes(self.n_learners, embedding_dim))
        self.group_lengths = tuple(unit_weights(None, self.n_learners))
        self.n_samples = n_samples
        self.assignment = torch.full((n_samples,), -1)

    def _conquers(self, epoch):
        return self.conquer_from is not None and epoch >= self.conquer_from

    def refresh(
        self, embeddings: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> None:
        """Divide the training set, or all of it together, as the epoch that begins has it."""
        self._check_built()
        epoch = int(self.n_epochs)
        self.n_epochs += 1
        if self._conquers(epoch):
            self.assignment.fill_(-1)
        elif epoch % self.every == 0:
            rows = torch.cat([unit_rows(z) for z in self._groups(embeddings, self.n_learners)], 1)
            self._divide(rows.double().cpu().numpy())
        shared = self._groups(embeddings, self.n_learners)[: len(self.losses)]
        shown = [as_meant(self.whole, z) for z in (*shared, embeddings)]
        self._refresh_parts(shown, labels, features)

    def _divide(self, rows):
        """Put rows, (n, d), into clusters."""
        before = self.assignment.cpu().numpy()
        if not self.hierarchical:
            found = clustered(rows, self.n_learners, n_init=3)
            after = found if before[0] < 0 else matched(found, before, self.n_learners)
        elif before[0] < 0:
            after = np.zeros(len(rows), dtype=np.int64)
        elif self.n_parts == self.n_learners:
            return
        else:
            after = 2 * before
            for number in range(int(self.n_parts)):
                within = before == number
                after[within] += clustered(rows[within], 2, n_init=3)
            self.n_parts *= 2
        self.assignment.copy_(torch.from_numpy(after))

    def _groups(self, embeddings, n):
        return widen(embeddings).chunk(n, dim=1)

    def _check_built(self):
        if self.assignment is None:
            raise RuntimeError(
                "DivideAndConquerLoss knows no training set yet: give embedding_dim and n_samples, "
                "or call build"
            )

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d) with ``labels`` (b,), by the clusters of its rows."""
        self._check_built()
        if indices is None:
            raise ValueError("indices of the training rows are needed by DivideAndConquerLoss")
        clusters = self.assignment[indices]
        if clusters[0] < 0:
            z = as_meant(self.whole, widen(embeddings))
            return self.whole(z, labels, None, None, indices, features)
        value = attached_zero(embeddings)
        groups = self._groups(embeddings, int(self.n_parts))
        for number in clusters.unique().tolist():
            rows = (clusters == number).nonzero(as_tuple=True)[0]
            loss = self.losses[0 if self.hierarchical else number]
            z = as_meant(loss, groups[number][rows])
            own = loss(
                z,
                None if labels is None else labels[rows],
                None,
                None,
                indices[rows],
                None if features is None else features[rows],
            )
            value = value + own * (len(rows) / len(clusters))
        return value


def matched(clusters: np.ndarray, before: np.ndarray, n: int) -> np.ndarray:
    """Return clusters numbered so that as many rows as possible keep the number that they had.

    Parameters
    ----------
    clusters, before : ndarray of int, shape (n_rows,)
        From 0 to n - 1.
    n : int

    Returns
    -------
    ndarray of int, shape (n_rows,)
    """
    overlap = count_classes(clusters, before, (n, n))
    return linear_sum_assignment(overlap, maximize=True)[1][clusters]
