"""Wide embeddings that exist in training only, and teach the one that is kept."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import nn
from torch.nn.functional import kl_div, log_softmax

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, at_least
from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._wrappers import Composite, as_meant
from metriclearn.deep.tensors._pairwise import cosines, widen
from metriclearn.deep.tensors._ranges import check_ranges


class SelfDistillationLoss(Composite):
    """Simultaneous similarity-based self-distillation (S2SD).

    From the features before the head, branches g_i of higher dimensions are trained beside the
    embedding, and the embedding learns their similarities. With S the cosines of the embeddings of
    a batch, S_i those of branch i, S_f those of the features::

        ½ [loss(x) + mean_i loss_i(g_i)]
        + w  mean_i KL(softmax(S_i / T) ‖ softmax(S / T)) T²
        + w_f       KL(softmax(S_f / T) ‖ softmax(S / T)) T²

    KL is the mean over rows, a row itself included; no gradient flows to S_i and S_f; the last term
    begins after ``delay`` steps. See [1]_.

    Parameters
    ----------
    loss : Module
        Copied for each branch, what it learns included.
    dims : sequence of int, default=(512, 1024, 1536, 2048)
        Dimensions of the branches, each two layers with a ReLU between.
    weight : float, default=5
        w, at least 0; 5 to 50 in the paper, from pretrained networks. Larger weights may ruin
        training from scratch.
    feature_weight : float, default=0
        w_f, at least 0; as ``weight`` in the paper.
    temperature : float, default=1
        T, > 0.
    delay : int, default=1000
        Steps before the features teach, at least 0.
    feature_dim, embedding_dim : int, default=None
        Width of the features and the embeddings, if known; else by ``build``.

    Attributes
    ----------
    branches : ModuleList
        The g_i; no saved embedder holds them.

    See Also
    --------
    Matryoshka : Short embeddings inside a long one, all of which are kept.

    Notes
    -----
    *Needs* what the loss needs, and the features before the head, which `DeepEmbedder` gives it.

    *Relations*: costs nothing once trained; helps most where embeddings are short.

    Time O(n (t² + f t) + n² t) and memory O(t² + f t + n²) for n rows, features of f and branches
    of t dimensions, and what the copies of the loss need.

    References
    ----------
    .. [1] Roth, Milbich, Ommer, Cohen and Ghassemi, "Simultaneous Similarity-based
       Self-Distillation for Deep Metric Learning", ICML 2021. :doi:`10.48550/arXiv.2009.08348`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import SelfDistillationLoss, SupConLoss
    >>> loss = SelfDistillationLoss(SupConLoss(), dims=(8,), feature_dim=3, embedding_dim=2)
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> features = torch.randn(4, 3)
    >>> bool(torch.isfinite(loss(x, torch.tensor([0, 0, 1, 1]), features=features)))
    True
    """

    _parameter_constraints: dict = {
        "dims": ["array-like"],
        "weight": [NOT_NEGATIVE],
        "feature_weight": [NOT_NEGATIVE],
        "temperature": [POSITIVE],
        "delay": [at_least(0)],
    }

    needs_features = True
    #: Branches of a reference's rows are not known.
    takes_reference = False
    training_only = ("branches", "branch_losses")

    def __init__(
        self,
        loss: nn.Module,
        dims: Sequence[int] = (512, 1024, 1536, 2048),
        weight: float = 5.0,
        feature_weight: float = 0.0,
        temperature: float = 1.0,
        delay: int = 1000,
        feature_dim: int | None = None,
        embedding_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.loss = as_metric_loss(loss)
        self.dims = dims
        self.weight = weight
        self.feature_weight = feature_weight
        self.temperature = temperature
        self.delay = delay
        self.feature_dim = feature_dim
        check_ranges(self)
        if not len(dims) or min(dims) < 1:
            raise ValueError(f"dims must hold at least one number, each at least 1, got {dims}")
        self.branches = nn.ModuleList()
        self.branch_losses = nn.ModuleList(copy.deepcopy(self.loss) for _ in dims)
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.int64))
        if feature_dim is not None and embedding_dim is not None:
            self._make_branches(feature_dim)
            self.embedding_dim = embedding_dim

    def _make_branches(self, feature_dim):
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(feature_dim, width), nn.ReLU(), nn.Linear(width, width))
            for width in self.dims
        )

    def parts(self) -> list[Any]:
        """Return the loss of the embeddings, and those of the branches."""
        return [self.loss, *self.branch_losses]

    def build(
        self,
        n_classes: int | None,
        embedding_dim: int,
        feature_dim: int | None = None,
        **known: Any,
    ) -> Self:
        """Create the branches and what the losses learn, and return self."""
        if feature_dim is None:
            raise ValueError("feature_dim is needed by SelfDistillationLoss")
        self.n_classes, self.embedding_dim = n_classes, embedding_dim
        self.feature_dim = feature_dim
        self._make_branches(feature_dim)
        widths = [embedding_dim, *self.dims]
        self._build_parts(n_classes, widths, feature_dim=feature_dim, **known)
        return self

    def refresh(
        self, embeddings: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> None:
        """Show each loss its embeddings of the training set."""
        with torch.no_grad():
            wide = [self._branch(i, features) for i in range(len(self.branches))]
        self._refresh_parts([embeddings, *wide], labels, features)

    def _branch(self, i, features):
        branch = self.branches[i]
        return as_meant(self.loss, branch(features.to(next(branch.parameters()).dtype)))

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d), ``labels`` (b,) and ``features`` (b, width)."""
        if features is None:
            raise ValueError("features are needed by SelfDistillationLoss: (b, width)")
        if not self.branches:
            raise RuntimeError(
                "SelfDistillationLoss has no branches yet: give feature_dim and embedding_dim, or "
                "call build(n_classes, embedding_dim, feature_dim=...)"
            )
        wide = [self._branch(i, features) for i in range(len(self.branches))]
        own = self.loss(embeddings, labels, None, None, indices, features)
        others = [
            loss(g, labels, None, None, indices, features)
            for loss, g in zip(self.branch_losses, wide, strict=True)
        ]
        value = (own + sum(others) / len(others)) / 2
        student = self._similarities(embeddings)
        if self.weight:
            teachers = [self._divergence(g, student) for g in wide]
            value = value + self.weight * sum(teachers) / len(teachers)
        if self.feature_weight and self.n_steps >= self.delay:
            value = value + self.feature_weight * self._divergence(features, student)
        if self.training:
            self.n_steps += 1
        return value

    def _similarities(self, x):
        return log_softmax(cosines(widen(x)) / self.temperature, dim=1)

    def _divergence(self, teacher, student):
        with torch.no_grad():
            target = self._similarities(teacher)
        divergence = kl_div(student, target.to(student.dtype), log_target=True, reduction="sum")
        return self.temperature**2 * divergence / len(student)
