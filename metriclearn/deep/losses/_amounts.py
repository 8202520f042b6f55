"""Losses on labels that are amounts: positions, angles, ages, scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch

from metriclearn._label_parts import columns_of_parts, value_of_each_part
from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.tensors._pairwise import compare, list_positives, sq_distances
from metriclearn.deep.tensors._ranges import check_ranges
from metriclearn.deep.tensors._triplet_sums import triplet_sum

#: Shares of the label distances below which labels are near, and above which they are far.
NEAR_SHARE, FAR_SHARE = 0.05, 0.2
#: Labels that these shares are measured on, at most.
MEASURED_LABELS = 1000


def label_sq_distances(labels):
    """Return the squared Euclidean distances of labels (b,) or (b, q), of shape (b, b)."""
    labels = labels.reshape(len(labels), -1)
    if not labels.is_floating_point():
        labels = labels.double()
    return (labels[:, None] - labels[None]).square().sum(2)


def near_and_far(labels):
    """Return the distances up to which labels are near, and beyond which they are far.

    Parameters
    ----------
    labels : tensor of shape (n,) or (n, q)

    Returns
    -------
    tensor of shape (2,), float64
        The 5% and the 20% quantile of the distances of two labels.
    """
    n = len(labels)
    spread = torch.linspace(0, n - 1, min(n, MEASURED_LABELS), device=labels.device).long()
    rows, columns = torch.triu_indices(len(spread), len(spread), 1, device=labels.device)
    apart = label_sq_distances(labels[spread].double())[rows, columns].sqrt()
    if not len(apart):
        return apart.new_zeros(2)
    return torch.quantile(apart, apart.new_tensor([NEAR_SHARE, FAR_SHARE]))


class LabelDistanceTripletLoss(MetricLoss):
    """Triplet loss on continuous labels: near labels are positives, far ones negatives.

    With ``r`` the Euclidean distance of two labels (positions, angles, scores) and ``d`` the
    (squared) distance of two rows::

        mean over active (a, p, n) with r(a, p) <= near, r(a, n) > far of  max(0, d_ap - d_an + m)

    The rule of image-based localization [1]_, with 10 m and 25 m there, and margin 0.1 on squared
    distances. Rows between the thresholds are neither.

    Parameters
    ----------
    near, far : float or sequence of float, default=None
        Distances of labels, at least 0 and ``near <= far``, in the units of the labels. None: for
        labels of a floating type, the 5% and 20% quantiles of the distances of two labels, of the
        training set where the loss was built for one, else of the batch; for integers, 0.5, which
        makes them classes.
    margin : float, default=0.1
        m, at least 0.
    squared : bool, default=True
        Squared distances of rows.
    parts : sequence of sequences of int, default=None
        Columns of the parts of labels that have several, each with a unit of its own: ``((0, 1),
        (2, 3))`` for a position and the cosine and sine of an angle. ``near`` and ``far`` may then
        have a value for each part. Labels are near where they are near in every part, and far where
        they are far in any.

    Attributes
    ----------
    thresholds : buffer of shape (2,) or (2, n_parts), or None
        Quantiles of the label distances of the training set.

    See Also
    --------
    LogRatioLoss : Distances in proportion to label distances.
    metriclearn.deep.samplers.NearLabelSampler : Puts rows of near labels together.

    Notes
    -----
    *Needs* labels that are amounts, (b,) or (b, q); rows of near labels in a batch, as
    `NearLabelSampler` puts there.

    *Relations*: like `TripletLoss` with near rows in place of the class. `LogRatioLoss` needs no
    thresholds and orders all distances; this one often retrieves better where only near rows count.

    Time O(b² (d + q + k)), memory O(b² q) for b rows with k positives each.

    References
    ----------
    .. [1] Arandjelović, Gronat, Torii, Pajdla and Sivic, "NetVLAD: CNN Architecture for Weakly
       Supervised Place Recognition", CVPR 2016. :doi:`10.1109/CVPR.2016.572`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import LabelDistanceTripletLoss
    >>> loss = LabelDistanceTripletLoss(near=0.5, far=0.5)
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0.0, 0.1, 1.0, 1.2], [0.0, 1.0, 0.1, 1.2]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    0.0
    1.567
    """

    continuous_labels = True

    _parameter_constraints: dict = {
        "near": [NOT_NEGATIVE, tuple, list, None],
        "far": [NOT_NEGATIVE, tuple, list, None],
        "margin": [NOT_NEGATIVE],
        "squared": ["boolean"],
        "parts": [tuple, list, None],
    }

    def __init__(
        self,
        near: float | Sequence[float | None] | None = None,
        far: float | Sequence[float | None] | None = None,
        margin: float = 0.1,
        squared: bool = True,
        parts: Sequence[Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        self.near = near
        self.far = far
        self.margin = margin
        self.squared = squared
        self.parts = parts
        check_ranges(self)
        if parts is not None:
            columns_of_parts(parts)
        for low, high in self._given():
            if None not in (low, high) and low > high:
                raise ValueError(f"near must be at most far={far}, got {near}")
        self.register_buffer("thresholds", None)

    def build(
        self,
        n_classes: int | None,
        embedding_dim: int,
        labels: torch.Tensor | None = None,
        **known: Any,
    ) -> Self:
        """Measure the thresholds on the labels of the training set, and return self."""
        if labels is not None and labels.is_floating_point():
            self.thresholds = self._measured(labels).float()
        return self

    def _load_from_state_dict(self, state_dict, prefix, *args):
        saved = state_dict.get(f"{prefix}thresholds")
        if self.thresholds is None and saved is not None:
            self.thresholds = torch.zeros_like(saved)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _given(self):
        """``near`` and ``far`` of each part, as they were given."""
        near = value_of_each_part(self.near, self.parts, "near", NOT_NEGATIVE)
        far = value_of_each_part(self.far, self.parts, "far", NOT_NEGATIVE)
        return list(zip(near, far, strict=True))

    def _parts_of(self, labels):
        if self.parts is None:
            return [labels]
        labels = labels.reshape(len(labels), -1)
        return [labels[:, part] for part in columns_of_parts(self.parts, labels.shape[1])]

    def _measured(self, labels):
        """Quantiles of the label distances, (2,) or for each part (2, n_parts)."""
        if self.parts is None:
            return near_and_far(labels)
        return torch.stack([near_and_far(part) for part in self._parts_of(labels)], dim=1)

    def _near_and_far(self, labels):
        """Return the two thresholds of each part."""
        given = self._given()
        if all(None not in pair for pair in given):
            return given
        if not labels.is_floating_point():
            measured = labels.new_tensor([0.5, 0.5], dtype=torch.float64)
        else:
            measured = self._measured(labels) if self.thresholds is None else self.thresholds
        measured = measured.reshape(2, -1).expand(2, len(given))
        return [_filled(*pair, *measured[:, part]) for part, pair in enumerate(given)]

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over triplets of ``embeddings`` (b, d) with ``labels`` (b,) or (b, q)."""
        kind = "sq_distance" if self.squared else "distance"
        rows = torch.arange(len(embeddings), device=embeddings.device)
        d, _, _ = compare(embeddings, rows, kind)
        positive, negative = torch.ones_like(d, dtype=bool), torch.zeros_like(d, dtype=bool)
        for part, (near, far) in zip(
            self._parts_of(labels), self._near_and_far(labels), strict=True
        ):
            apart = label_sq_distances(part).sqrt()
            positive &= apart <= near
            negative |= apart > far
        positive, negative = positive.to(d.dtype).fill_diagonal_(0), negative.to(d.dtype)
        total, active, _ = triplet_sum(d, list_positives(positive), negative, self.margin)
        return self._mean(total, active)


def _filled(near, far, low, high):
    """Return the two thresholds, with the measured ``low`` and ``high`` where None is given."""
    if near is None:
        near = low if far is None else low.clamp(max=far)
    return near, high.clamp(min=near) if far is None else far


class LogRatioLoss(MetricLoss):
    """Log-ratio loss: ratios of distances follow the ratios of label distances.

    With ``d²`` the squared Euclidean distance of two rows and ``r²`` that of their labels, mean
    over all (a, i, j) of different rows, i ≠ j, of::

        ( log(d²_ai / d²_aj) - log(r²_ai / r²_aj) )²

    Kim, Seo, Laptev, Cho and Kwak, "Deep Metric Learning Beyond Binary Supervision", 2019 [1]_.
    They take one anchor with its nearest and some other rows; here every row is an anchor to all
    others.

    Labels of a floating type are amounts. Labels of an integer type are names of classes, at
    distance 0 or 1: give ages in whole years as floats.

    Parameters
    ----------
    epsilon : float, default=1e-3
        > 0. Added to d², and times the mean of r² to r²: rows may coincide and labels be equal.
        The authors' code adds 1e-6, which lets equal labels outweigh all others.

    See Also
    --------
    LabelDistanceTripletLoss : Thresholds on label distances.
    metriclearn.deep.samplers.NearLabelSampler : Puts rows of near labels together.

    Notes
    -----
    *Needs* labels that are amounts, (b,) or (b, q).

    *Relations*: orders all distances, where `LabelDistanceTripletLoss` only tells near from far.

    Labels may have shape (b,) or (b, q). With ``u = log d² - log r²`` the sum over (i, j) of
    ``(u_i - u_j)²`` is twice ``k Σ u² - (Σ u)²`` for the k other rows: time O(b² (d + q)).
    `DeepEmbedder` does not normalize embeddings for it: on the sphere, where no distance exceeds 2,
    there is no room for large ratios.

    References
    ----------
    .. [1] Kim, Seo, Laptev, Cho and Kwak, "Deep Metric Learning Beyond Binary Supervision", CVPR
       2019. :doi:`10.48550/arXiv.1904.09626`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import LogRatioLoss
    >>> loss = LogRatioLoss()
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> for labels in ([0, 0, 1, 1], [0, 1, 0, 1]):
    ...     print(round(loss(x, torch.tensor(labels)).item(), 3))
    22.91
    46.423
    """

    continuous_labels = True
    any_length = True

    _parameter_constraints: dict = {"epsilon": [POSITIVE]}

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon
        check_ranges(self)

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over triplets of ``embeddings`` (b, d) with ``labels`` (b,) or (b, q)."""
        d = sq_distances(embeddings)
        n = len(d)
        off = 1 - torch.eye(n, dtype=d.dtype, device=d.device)
        truth = label_sq_distances(labels).to(d.dtype)
        if not labels.is_floating_point():
            truth = truth.clamp(max=1)
        floor = self.epsilon * truth.sum() / max(n * (n - 1), 1)
        # Where all labels are equal there are no ratios to follow: all distances equal, then.
        truth = truth + floor.clamp(min=torch.finfo(d.dtype).tiny)
        u = ((d + self.epsilon).log() - truth.log()) * off
        # Centered first, so that the difference of squares keeps its digits.
        u = (u - u.sum(1, keepdim=True) / max(n - 1, 1)) * off
        total = 2 * (n - 1) * u.square().sum()
        return self._mean(total, n * (n - 1) * (n - 2))
