"""An embedding of the classes, freed of what they share by a second one that learns it.

An adversary that tries to tell one embedding from the other keeps them apart.
"""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import nn

from metriclearn._sklearn import NOT_NEGATIVE, SHARE, at_least
from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._wrappers import Composite, as_meant
from metriclearn.deep.tensors._batches import labeled_rows
from metriclearn.deep.tensors._pairwise import unit_rows, widen
from metriclearn.deep.tensors._ranges import check_ranges


class SharedCharacteristicsLoss(Composite):
    """Mining interclass characteristics (MIC): a second embedding takes what classes share.

    Light, pose or background are no part of a class, but vary within each. The features f of the
    training set are freed of their class, and put into clusters by k-means, whose numbers c are
    labels of such characteristics; a second embedding u, a linear map of the features, learns
    these, and is kept apart from the embedding z by a predictor g and gradient reversal::

        loss(z, y) + weight loss(u, c) - separation d² mean((z ∘ g(u))²)
        c = cluster of f - mean of its class,   or of (f - mean) / deviation if ``standardize``

    to be minimized by g, maximized in the last term by z and u. See [1]_.

    Parameters
    ----------
    loss : Module
        Copied for the second embedding, what it learns included.
    n_clusters : int, default=30
        Characteristics, at least 2.
    every : int, default=3
        Epochs between clusterings, at least 1.
    weight : float, default=1
        Of the second embedding's loss, at least 0.
    separation : float, default=0.1
        At least 0. With d dimensions it is of the scale of a loss; the 2500 of the paper's code,
        without d², are 0.15 in its 128 dimensions.
    noise : float, default=0.2
        Share of cluster numbers in a batch that are drawn at random, in [0, 1], against overfitting
        to them.
    standardize : bool, default=False
        Divide by the class's deviation, too.
    feature_dim, embedding_dim, n_samples : int, default=None
        Sizes, if known; else by ``build``.

    Attributes
    ----------
    shared_loss : Module
        The loss of the second embedding.
    head : Linear
        From features to the second embedding.
    assignment : int64 tensor of shape (n_samples,)
        Cluster of each training row; -1 before the first clustering.

    See Also
    --------
    DiverseAggregationLoss : Keeps what is shared, and more, in the embedding.
    SelfDistillationLoss : Further embeddings that teach.

    Notes
    -----
    *Needs* classes and what the loss needs; the features before the head and the place of each row
    in the training set. The second embedding serves training alone: no saved embedder holds it.

    *Relations*: without ``weight`` and ``separation`` it is the loss itself. The predictor's output
    has length one here, which keeps the reversal within bounds.

    Time O(twice that of the loss), and O(n K w) for each pass of k-means over n rows of w features.

    References
    ----------
    .. [1] Roth, Brattoli and Ommer, "MIC: Mining Interclass Characteristics for Improved Metric
       Learning", ICCV 2019. :doi:`10.48550/arXiv.1909.11574`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import SharedCharacteristicsLoss, SupConLoss
    >>> loss = SharedCharacteristicsLoss(
    ...     SupConLoss(), 2, noise=0.0, feature_dim=1, embedding_dim=2, n_samples=4
    ... )
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> labels, features = torch.tensor([0, 0, 1, 1]), torch.tensor([[1.0], [2.0], [8.0], [9.0]])
    >>> loss.refresh(x, labels, features)
    >>> c = loss.assignment.tolist()  # low and high of its class
    >>> c[0] == c[2], c[1] == c[3], c[0] == c[1]
    (True, True, False)
    """

    needs_features = True
    needs_indices = True
    refreshes = True
    #: Features of a reference's rows are not known.
    takes_reference = False
    #: Amounts have no rows of one class, whose mean could be taken from them.
    continuous_labels = False
    training_only = ("head", "shared_loss", "separator", "assignment")

    _parameter_constraints: dict = {
        "n_clusters": [at_least(2)],
        "every": [at_least(1)],
        "weight": [NOT_NEGATIVE],
        "separation": [NOT_NEGATIVE],
        "noise": [SHARE],
        "standardize": ["boolean"],
    }

    def __init__(
        self,
        loss: nn.Module,
        n_clusters: int = 30,
        every: int = 3,
        weight: float = 1.0,
        separation: float = 0.1,
        noise: float = 0.2,
        standardize: bool = False,
        feature_dim: int | None = None,
        embedding_dim: int | None = None,
        n_samples: int | None = None,
    ) -> None:
        super().__init__()
        self.loss = as_metric_loss(loss)
        self.shared_loss = copy.deepcopy(self.loss)
        self.n_clusters = n_clusters
        self.every = every
        self.weight = weight
        self.separation = separation
        self.noise = noise
        self.standardize = standardize
        self.feature_dim = feature_dim
        self.embedding_dim = embedding_dim
        self.n_samples = n_samples
        check_ranges(self)
        self.head = self.separator = None
        self.register_buffer("assignment", None)
        self.register_buffer("n_epochs", torch.zeros((), dtype=torch.int64))
        if None not in (feature_dim, embedding_dim, n_samples):
            self._create()

    def _create(self):
        self.head = nn.Linear(self.feature_dim, self.embedding_dim)
        self.separator = AdversarialSeparation(self.embedding_dim, self.embedding_dim)
        self.assignment = torch.full((self.n_samples,), -1)

    def parts(self) -> list[Any]:
        """Return the loss of the embedding, and that of the second one."""
        return [self.loss, self.shared_loss]

    def build(
        self,
        n_classes: int | None,
        embedding_dim: int,
        n_samples: int | None = None,
        feature_dim: int | None = None,
        **known: Any,
    ) -> Self:
        """Create the second embedding and what the losses learn, and return self."""
        if n_samples is None or feature_dim is None:
            raise ValueError("n_samples and feature_dim are needed by SharedCharacteristicsLoss")
        self.n_classes, self.embedding_dim = n_classes, embedding_dim
        self.n_samples, self.feature_dim = n_samples, feature_dim
        self._create()
        known = {"n_samples": n_samples, "feature_dim": feature_dim, **known}
        self.loss.build(n_classes, embedding_dim, **known)
        self.shared_loss.build(self.n_clusters, embedding_dim, **known)
        return self

    def refresh(
        self, embeddings: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> None:
        """Put the features of the training set into clusters, every so many epochs."""
        self._check_built(features)
        if self.n_epochs % self.every == 0:
            kept = labeled_rows(labels)
            kept = torch.arange(len(labels), device=labels.device) if kept is None else kept
            free = without_classes(features[kept].double(), labels[kept], self.standardize)
            self.assignment[kept] = torch.from_numpy(self._clusters(free.cpu().numpy())).to(kept)
        self.n_epochs += 1
        if self.loss.refreshes:
            self.loss.refresh(embeddings, labels, features)
            with torch.no_grad():
                self.shared_loss.refresh(self._shared(features), self.assignment, features)

    def _clusters(self, rows: np.ndarray) -> np.ndarray:
        return clustered(rows, self.n_clusters, n_init=1)

    def _shared(self, features):
        return as_meant(self.shared_loss, self.head(features.to(self.head.weight.dtype)))

    def _check_built(self, features):
        if self.head is None:
            raise RuntimeError(
                "SharedCharacteristicsLoss has no second embedding yet: give feature_dim, "
                "embedding_dim and n_samples, or call build"
            )
        if features is None:
            raise ValueError("features are needed by SharedCharacteristicsLoss: (b, width)")

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d), ``labels`` (b,) and ``features`` (b, width)."""
        self._check_built(features)
        if indices is None:
            raise ValueError("indices of the training rows are needed by SharedCharacteristicsLoss")
        x = widen(embeddings)
        value = self.loss(x, labels, None, None, indices, features)
        clusters = self.assignment[indices]
        if self.noise and self.training:
            drawn = torch.randint_like(clusters, self.n_clusters)
            clusters = torch.where(torch.rand(len(drawn)).to(x) < self.noise, drawn, clusters)
        shared = self._shared(features)
        if self.weight:
            own = self.shared_loss(shared, clusters, None, None, indices, features)
            value = value + self.weight * own
        if self.separation:
            value = value + self.separation * self._alike(x, shared)
        return value

    def _alike(self, x, shared):
        return self.separator.scaled(unit_rows(x), unit_rows(shared))


def clustered(rows: np.ndarray, n: int, n_init: int) -> np.ndarray:
    """Return the number of the cluster of each row, of up to n clusters by k-means.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
    n : int
        Fewer where there are fewer different rows.
    n_init : int
        Beginnings, of which the best is taken.

    Returns
    -------
    ndarray of int64, shape (n_rows,)
    """
    n = min(n, len(np.unique(rows, axis=0)))
    if n < 2:
        return np.zeros(len(rows), dtype=np.int64)
    return KMeans(n, n_init=n_init, random_state=0).fit_predict(rows).astype(np.int64)


def without_classes(
    features: torch.Tensor, labels: torch.Tensor, standardize: bool = False
) -> torch.Tensor:
    """Return features less the mean of their class, over its deviation if asked for.

    Parameters
    ----------
    features : tensor of shape (n, width)
    labels : tensor of shape (n,)
    standardize : bool, default=False
        Features that do not vary in a class are left at zero.

    Returns
    -------
    tensor of shape (n, width)
    """
    _, codes, counts = labels.unique(return_inverse=True, return_counts=True)

    def means(values):
        sums = values.new_zeros(len(counts), values.shape[1]).index_add_(0, codes, values)
        return (sums / counts[:, None])[codes]

    free = features - means(features)
    if not standardize:
        return free
    deviation = means(free.square()).sqrt()
    return torch.where(deviation > 0, free / deviation, 0.0)


class _Reversed(torch.autograd.Function):
    """Identity; backwards the gradient changes its sign."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


class AdversarialSeparation(nn.Module):
    """Keep two embeddings of the same rows apart, by gradient reversal.

    A small network g predicts the first embedding from the second. The value is
    ``-mean((u ∘ g(v))²)``: minimized by g, which so finds what the two share, while the gradient
    that reaches u and v has the other sign, so that they lose it. The output of g has length one,
    without which the two would drive each other to infinity.

    Parameters
    ----------
    first_dim, second_dim : int
    hidden : int, default=512
    """

    def __init__(self, first_dim, second_dim, hidden=512):
        super().__init__()
        self.predictor = nn.Sequential(
            nn.Linear(second_dim, hidden), nn.ReLU(), nn.Linear(hidden, first_dim)
        )

    def forward(self, first, second):
        """Value on two embeddings, (b, first_dim) and (b, second_dim), of length one."""
        predicted = unit_rows(self.predictor(_Reversed.apply(second)))
        return -(_Reversed.apply(first) * predicted).square().mean()

    def scaled(self, first, second):
        """Value times d², for d = first_dim: that of rows at random is near -1 for every d."""
        return first.shape[1] ** 2 * self(first, second)
