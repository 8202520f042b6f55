"""Losses on single pairs: contrastive, signal-to-noise contrastive, margin."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, one_of
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.tensors._batches import check_codes
from metriclearn.deep.tensors._pairwise import compare, widen, with_gradient
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.deep.tensors._selections import Reference

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Selection

_CONTRASTIVE_MARGIN = {"hadsell": 1.0, "squared_hinge": 1.0, "cosine": 0.5, "absolute": 1.0}


class ContrastiveLoss(MetricLoss):
    """Contrastive loss, in its three published forms and in that of many libraries.

    With ``d`` the Euclidean distance of a pair, ``s`` its cosine, ``m`` the margin::

        "hadsell"        similar: ½ d²     dissimilar: ½ max(0, m - d)²
        "squared_hinge"  similar: d²       dissimilar: max(0, m² - d²)
        "cosine"         similar: 1 - s    dissimilar: max(0, s - m)

        "absolute"       similar: d        dissimilar: max(0, m - d)

    and the mean over all pairs of the batch (or the pairs a miner selects); for "absolute" the mean
    over similar pairs plus the mean over dissimilar ones, in both only those whose term is not
    zero.

    Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", 2006
    [1]_, is the default. "absolute" is what libraries often call contrastive: it weighs the few
    similar pairs of a batch as much as the many dissimilar ones.

    Parameters
    ----------
    margin : float, default=None
        Distance from which dissimilar pairs are left alone, > 0; for "cosine" the similarity
        up to which they are, in [-1, 1). None: 1 (distances) or 0.5 (cosine).
    form : {"hadsell", "squared_hinge", "cosine", "absolute"}, default="hadsell"

    See Also
    --------
    MarginLoss : A learned boundary.
    MultiSimilarityLoss : Pairs weighed by their neighborhood.

    Notes
    -----
    *Needs* labels or pairs.

    *Relations*: the oldest of all, one threshold for every pair; `MarginLoss` learns the
    threshold, `MultiSimilarityLoss` weighs pairs against each other and is often better where
    classes overlap.

    Time O(b² d), memory O(b²) for b rows of d dimensions. All forms but "cosine" use the
    embeddings as they come; with rows of length one distances lie in [0, 2]. "hadsell" was
    published for embeddings of any length, and `DeepEmbedder` does not normalize them for it.

    References
    ----------
    .. [1] Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping",
       CVPR 2006. :doi:`10.1109/CVPR.2006.100`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ContrastiveLoss
    >>> embeddings = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.6, 0.0]])
    >>> ContrastiveLoss(margin=1.0)(embeddings, torch.tensor([0, 0, 1])).item()  # (½ + ½·0.16)/3
    0.1933...
    """

    accepts = ("pairs", "triplets")
    takes_reference = True

    _parameter_constraints: dict = {
        "margin": [Real, None],
        "form": [one_of(*_CONTRASTIVE_MARGIN)],
    }

    def __init__(self, margin: float | None = None, form: str = "hadsell") -> None:
        super().__init__()
        self.margin = margin
        self.form = form
        check_ranges(self)
        low, high = (-1, 1) if form == "cosine" else (0, torch.inf)
        if margin is not None and not low <= margin < high:
            raise ValueError(f"margin must be in [{low}, {high}) for form={form!r}, got {margin}")

    @property
    def any_length(self) -> bool:
        """Whether the form was published for embeddings of any length."""
        return self.form == "hadsell"

    @property
    def kind(self) -> str | None:
        """What pairs are compared by."""
        kinds = {"squared_hinge": "sq_distance", "cosine": "cosine"}
        return kinds.get(self.form, "distance")

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
    ) -> torch.Tensor:
        """Mean over pairs of ``embeddings`` (b, d) with ``labels`` (b,)."""
        margin = _CONTRASTIVE_MARGIN[self.form] if self.margin is None else self.margin
        values, positive, negative = compare(embeddings, labels, self.kind, reference, selection)
        if self.form == "absolute":
            pull, push = positive * values, negative * (margin - values).relu()
            return self._mean_of_active(pull, push)
        count = positive.sum() + negative.sum()
        if self.form == "hadsell":
            with torch.no_grad():  # the derivative: d of a similar pair, -(m - d)₊ of others
                slope = (values - margin).clamp_(max=0).mul_(negative)
                slope.addcmul_(positive, values)
                total = torch.linalg.vector_norm(slope).square() / 2
            total = with_gradient(values, total, slope)
            return self._mean(total, count, slope.count_nonzero())
        if self.form == "squared_hinge":
            terms = positive * values + negative * (margin**2 - values).relu()
        else:
            terms = positive * (1 - values) + negative * (values - margin).relu()
        return self._mean(terms.sum(), count, terms.detach().count_nonzero())


class SNRContrastiveLoss(MetricLoss):
    """Contrastive loss on signal-to-noise distances.

    The anchor is the signal, its difference to another row the noise::

        d(i, j) = var(x_i - x_j) / var(x_i)        (variance over the components)

        mean over active similar pairs of     max(0, d - m₊)
        + mean over active dissimilar pairs of max(0, m₋ - d)
        + λ mean_i |Σ_t x_it|

    Yuan, Deng, Tang, Tang and Chen, "Signal-to-Noise Ratio", 2019 [1]_. The distance is not
    symmetric: each ordered pair counts. A pair is active where its term is not zero (the paper
    sums; libraries average so).

    Parameters
    ----------
    margin : float, default=0.2
        m₋, > 0: distance from which dissimilar pairs are left alone.
    positive_margin : float, default=0.01
        m₊, at least 0.
    zero_mean_weight : float, default=0.005
        λ, at least 0: keeps the components of a row balanced around zero.

    See Also
    --------
    ContrastiveLoss : Euclidean distances.

    Notes
    -----
    *Needs* labels or pairs; columns of comparable scale.

    *Relations*: like `ContrastiveLoss` on a distance relative to the spread of the anchor.

    Time O(b² d), memory O(b²) for b rows of d dimensions. A row of equal components has no signal
    and takes no part as an anchor.

    References
    ----------
    .. [1] Yuan, Deng, Tang, Tang and Chen, "Signal-to-Noise Ratio: A Robust Distance Metric for
       Deep Metric Learning", CVPR 2019. :doi:`10.48550/arXiv.1904.02616`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import SNRContrastiveLoss
    >>> loss = SNRContrastiveLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    4.215
    18.4
    """

    accepts = ("pairs", "triplets")
    takes_reference = True

    _parameter_constraints: dict = {
        "margin": [POSITIVE],
        "positive_margin": [NOT_NEGATIVE],
        "zero_mean_weight": [NOT_NEGATIVE],
    }

    def __init__(
        self, margin: float = 0.2, positive_margin: float = 0.01, zero_mean_weight: float = 0.005
    ) -> None:
        super().__init__()
        self.margin = margin
        self.positive_margin = positive_margin
        self.zero_mean_weight = zero_mean_weight
        check_ranges(self)

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d) with ``labels`` (b,)."""
        x = widen(embeddings)
        centered = x - x.mean(-1, keepdim=True)
        if reference is not None:
            rows = reference.embeddings.to(x.dtype)
            reference = Reference(rows - rows.mean(1, keepdim=True), reference.labels)
        d, positive, negative = compare(centered, labels, "sq_distance", reference, selection)
        signal = centered.square().sum(1, keepdim=True)
        heard = signal > 0
        d = d / torch.where(heard, signal, 1.0) * heard
        pull = (d - self.positive_margin).relu() * positive
        push = (self.margin - d).relu() * negative * heard
        value = self._mean_of_active(pull, push)
        return value + self.zero_mean_weight * x.sum(1).abs().mean()


class MarginLoss(MetricLoss):
    """Margin loss: pairs against a learned boundary between similar and dissimilar.

    With ``d`` the Euclidean distance, ``β_i`` the boundary of the anchor i, A the number of pairs
    whose term is not zero::

        1/A ( Σ_{similar} max(0, d - β_i + m) + Σ_{dissimilar} max(0, β_i - d + m) + ν Σ_i β_i )

    Wu, Manmatha, Smola and Krähenbühl, "Sampling Matters in Deep Embedding Learning", 2017 [1]_,
    with ``β_i = β⁰ + β^class + β^sample``: ``scope`` says how many of the three there are. Each
    pair counts once; libraries that go through all triplets count a pair once for each triplet it
    is in. Meant for rows of length one and `DistanceWeightedMiner`.

    Parameters
    ----------
    margin : float, default=0.2
        At least 0.
    beta : float, default=None
        Initial boundary, > 0: a distance, in (0, 2) for rows of length one, 1.2 by default; or a
        cosine in (0, 1), 0.5 by default.
    nu : float, default=0
        ν, at least 0: weight of the penalty on large boundaries.
    scope : {"global", "class", "sample"}, default="global"
        "class" adds a term of each class, "sample" one of each training row too; then it is to
        be called with ``indices``.
    learn_beta : bool, default=True
        Whether the boundaries are parameters, or stay as they begin.
    comparison : {"distance", "cosine"}, default="distance"
        "cosine" puts β - s in place of d - β, with s the cosine: similar pairs are to be above the
        boundary.
    n_classes, embedding_dim, n_samples : int, default=None
        Sizes for scopes "class" and "sample", else by ``build``; embedding_dim is not used.

    Attributes
    ----------
    beta_global : Parameter or buffer of shape ()
    beta_class : Parameter or buffer of shape (n_classes,)
    beta_sample : Parameter or buffer of shape (n_samples,)

    See Also
    --------
    ContrastiveLoss : A fixed threshold.
    metriclearn.deep.miners.DistanceWeightedMiner : The miner of the same paper.

    Notes
    -----
    *Needs* labels or pairs; for ``scope="class"`` classes known at the start, for "sample" the
    place of each row.

    *Relations*: like `ContrastiveLoss` with a learned threshold; often better with
    `DistanceWeightedMiner`.

    Time O(b² d), memory O(b²) for b rows of d dimensions.

    References
    ----------
    .. [1] Wu, Manmatha, Smola and Krähenbühl, "Sampling Matters in Deep Embedding Learning", ICCV
       2017. :doi:`10.48550/arXiv.1706.07567`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import MarginLoss
    >>> loss = MarginLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.506
    0.574
    """

    accepts = ("pairs", "triplets")
    takes_reference = True

    _parameter_constraints: dict = {
        "margin": [NOT_NEGATIVE],
        "beta": [POSITIVE, None],
        "nu": [NOT_NEGATIVE],
        "scope": [one_of("global", "class", "sample")],
        "learn_beta": ["boolean"],
        "comparison": [one_of("distance", "cosine")],
    }

    def __init__(
        self,
        margin: float = 0.2,
        beta: float | None = None,
        nu: float = 0.0,
        scope: str = "global",
        learn_beta: bool = True,
        comparison: str = "distance",
        n_classes: int | None = None,
        embedding_dim: int | None = None,
        n_samples: int | None = None,
    ) -> None:
        super().__init__()
        self.margin = margin
        self.beta = beta
        self.nu = nu
        self.scope = scope
        self.learn_beta = learn_beta
        self.comparison = comparison
        self.n_classes = n_classes
        self.embedding_dim = embedding_dim
        self.n_samples = n_samples
        check_ranges(self)
        if beta is None:
            beta = 1.2 if comparison == "distance" else 0.5
        self._set("beta_global", torch.tensor(float(beta)))
        self._set("beta_class", None)
        self._set("beta_sample", None)
        sized = n_classes is not None and (scope != "sample" or n_samples is not None)
        if scope != "global" and sized:
            self.build(n_classes, embedding_dim, n_samples)

    @property
    def kind(self) -> str | None:
        """What pairs are compared by."""
        return self.comparison

    @property
    def needs_classes(self) -> bool:
        """Whether there is a boundary for each class."""
        return self.scope != "global"

    @property
    def needs_indices(self) -> bool:
        """Whether there is a boundary for each training row."""
        return self.scope == "sample"

    def _set(self, name, tensor):
        if self.learn_beta:
            self.register_parameter(name, None if tensor is None else nn.Parameter(tensor))
        else:
            self.register_buffer(name, tensor)

    def build(
        self,
        n_classes: int | None,
        embedding_dim: int | None = None,
        n_samples: int | None = None,
        **known: Any,
    ) -> Self:
        """Create the boundaries of classes and samples, zero at first, and return self."""
        self.n_classes, self.embedding_dim, self.n_samples = n_classes, embedding_dim, n_samples
        if self.scope != "global":
            self._set("beta_class", torch.zeros(n_classes))
        if self.scope == "sample":
            if n_samples is None:
                raise ValueError("n_samples is needed to build MarginLoss(scope='sample')")
            self._set("beta_sample", torch.zeros(n_samples))
        return self

    def _boundaries(self, n, labels, indices):
        beta = self.beta_global.expand(n)
        if self.scope == "global":
            return beta
        if self.beta_class is None:
            raise RuntimeError(
                f"MarginLoss(scope={self.scope!r}) has no boundaries yet: give n_classes"
                f"{' and n_samples' if self.scope == 'sample' else ''}, or call build"
            )
        if labels is None:
            raise ValueError(f"labels are needed by MarginLoss(scope={self.scope!r})")
        check_codes("MarginLoss", labels, self.n_classes)
        beta = beta + self.beta_class[labels]
        if self.scope == "sample":
            if indices is None:
                raise ValueError("indices of the training rows are needed by scope='sample'")
            beta = beta + self.beta_sample[indices]
        return beta

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
        indices: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (b, d), ``labels`` (b,), ``indices`` (b,) of training rows."""
        d, positive, negative = compare(embeddings, labels, self.kind, reference, selection)
        beta = self._boundaries(len(d), labels, indices).to(d.dtype)
        sign = positive - negative if self.comparison == "distance" else negative - positive
        terms = ((d - beta[:, None]) * sign + self.margin).relu() * sign.abs()
        active = (terms.detach() > 0).count_nonzero()
        return self._mean(terms.sum() + self.nu * beta.sum(), active)
