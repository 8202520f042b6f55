"""The base of the losses: what a loss may say of itself, and the one way it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import torch
from torch import nn

from metriclearn.deep.tensors._batches import (
    as_codes,
    check_batch,
    check_embeddings,
    check_indices,
    check_reference,
    labeled_rows,
)
from metriclearn.deep.tensors._masked_sums import mean_over
from metriclearn.deep.tensors._pairwise import attached_zero
from metriclearn.deep.tensors._selections import Reference, as_selection

if TYPE_CHECKING:
    from metriclearn.deep.tensors._selections import Selection


class MetricLoss(nn.Module):
    """Base class of the losses: a number for embeddings and their labels.

    A subclass must override `compute`, may override `build` and `refresh`, and sets those class
    attributes, documented one by one below, that are not right as they stand. Called, a loss
    checks its arguments, drops the unlabeled rows, and gives `compute` what it asked for.

    Rows of the integer label -1 are unlabeled: they take no part, neither as anchors nor as
    positives nor as negatives. A batch without (labeled) rows has the loss 0, with gradient 0.

    Parameters
    ----------
    *args, **kwargs : object
        Passed on to :class:`torch.nn.Module`.

    See Also
    --------
    as_metric_loss : The same of any module on (embeddings, labels).
    MinedLoss : A loss on what a miner selects.

    Notes
    -----
    First derivatives only: where a loss hands its derivative over in closed form, a second one
    raises RuntimeError.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import MetricLoss
    >>> class Spread(MetricLoss):
    ...     '''Mean squared distance of the rows of a class to their mean.'''
    ...
    ...     def compute(self, embeddings, labels):
    ...         classes = labels.unique()
    ...         rows = [embeddings[labels == c] for c in classes]
    ...         return sum((x - x.mean(0)).square().sum() for x in rows) / len(labels)
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    >>> Spread()(x, torch.tensor([0, 0, -1])).item()
    0.5
    """

    #: Selections of a miner, or of constraints, that it works on: any of "pairs", "triplets",
    #: "quadruplets".
    accepts: tuple = ()
    #: What it compares rows by: "distance", "sq_distance", "cosine", "dot", or None.
    kind: str | None = None
    #: Whether it sums over a `TripletWindow` on its ``kind`` without having it listed.
    takes_windows: bool = False
    #: Whether it can compare the batch with a `Reference` as well, such as a memory.
    takes_reference: bool = False
    #: Whether embeddings are meant to be left at their length rather than brought to length one.
    any_length: bool = False
    #: Whether labels may be amounts, of a floating type, (b,) or (b, q), rather than classes.
    continuous_labels: bool = False
    #: Whether it looks at labels at all; else they may be None, and unlabeled rows take part.
    needs_labels: bool = True
    #: Whether labels have to be the codes 0 to n_classes - 1 of classes known to `build`.
    needs_classes: bool = False
    #: Whether it is to be given the place in the training set of each row, as ``indices``.
    needs_indices: bool = False
    #: Whether it is to be given what the head maps to embeddings, (b, width), as ``features``.
    needs_features: bool = False
    #: Whether these are to be as the backbone gives them, (b, channels, height, width).
    needs_maps: bool = False
    #: Whether they are to be what the head's linear layer makes of them, (b, d), its rows at length
    #: one and without its bias; to the features themselves no gradient flows.
    needs_activations: bool = False
    #: Whether it is to be given two views of each row, both changed at random: the first views of
    #: all rows of a batch, behind them the second; labels and indices are those of the rows, twice.
    needs_views: bool = False
    #: Whether rows without a label are to be in the batches, and take part.
    keeps_unlabeled: bool = False
    #: Sizes of the groups of dimensions that it compares each by itself, and the lengths the head
    #: is to give them; known once it is built.
    group_sizes: tuple | None = None
    group_lengths: tuple | None = None
    #: Names of its modules and tensors that serve training alone: no saved embedder holds them.
    training_only: tuple = ()
    #: Whether it divides the training set into clusters, of which each batch is to hold one.
    divides: bool = False
    #: Cluster of each row of the training set, -1 where all are trained together, (n,).
    clusters: torch.Tensor | None = None
    #: Whether `refresh` is to be called before each epoch; it costs embedding the training set.
    refreshes: bool = False
    #: Number of classes and of dimensions it was built for; None before, or if it does not matter.
    n_classes: int | None = None
    embedding_dim: int | None = None

    _parameter_constraints: dict = {}
    _active = None

    def build(
        self,
        n_classes: int | None,
        embedding_dim: int,
        n_samples: int | None = None,
        feature_dim: int | None = None,
        labels: torch.Tensor | None = None,
    ) -> Self:
        """Create what the loss learns; nothing by default.

        Parameters
        ----------
        n_classes : int or None
            None where there are no classes.
        embedding_dim : int
        n_samples : int, default=None
            Rows of the training set.
        feature_dim : int, default=None
            Width of the features before the head.
        labels : tensor of shape (n,) or (n, q), default=None
            Labels of the training set.

        Returns
        -------
        self
        """
        return self

    def refresh(
        self, embeddings: torch.Tensor, labels: torch.Tensor, features: torch.Tensor | None = None
    ) -> None:
        """Look at the whole training set before an epoch; nothing by default.

        Parameters
        ----------
        embeddings : tensor of shape (n, d)
        labels : tensor of shape (n,)
        features : tensor of shape (n, width), default=None
            Given where ``needs_features``.
        """

    def compute(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch that was checked: a scalar tensor.

        Parameters
        ----------
        embeddings : tensor of shape (b, d)
            At least one row.
        labels : tensor of shape (b,)
            No row is unlabeled, unless ``needs_labels`` is False.
        selection : Selection
            Given where the loss ``accepts`` some.
        reference : Reference or None
            Given where it ``takes_reference``.
        indices : int64 tensor of shape (b,) or None
            Given where it ``needs_indices``.
        features : tensor of shape (b, width) or None
            Given where it ``needs_features``.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define compute")

    @property
    def active_(self) -> torch.Tensor | int | None:
        """Tuples that had a part in the last value: pairs, triplets, anchors, or rows.

        A scalar tensor or int; None before the first call. Where it is 0 nothing was learned.
        """
        return self._active

    def forward(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        selection: Selection | None = None,
        reference: Reference | None = None,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        embeddings : tensor of shape (b, d)
        labels : integer tensor of shape (b,)
            -1 marks unlabeled rows. Amounts, (b,) or (b, q), where ``continuous_labels``; None
            where a selection says all.
        selection : Selection, default=None
            Pairs or triplets to look at, as a miner lists them; all by default.
        reference : Reference, default=None
            Further rows to compare with, through which no gradient flows.
        indices : int64 tensor of shape (b,), default=None
            Place of each row in the training set; used by losses that ``needs_indices``.
        features : tensor of shape (b, width), or (b, channels, height, width), default=None
            Used by losses that ``needs_features``; as maps where they ``needs_maps``.

        Returns
        -------
        scalar tensor

        Raises
        ------
        TypeError, ValueError
            If an argument is not what is described here, or the loss does not take it.
        """
        selection = self._checked(embeddings, labels, selection, reference)
        if self.needs_labels:
            labels = as_codes(labels)
        of_rows = {"labels": labels, "indices": indices, "features": features}
        drops = self.needs_labels and not self.keeps_unlabeled
        if not selection.lists and labels is not None and drops:
            kept = labeled_rows(labels)
            if kept is not None:
                embeddings = embeddings[kept]
                of_rows = {k: v if v is None else v[kept] for k, v in of_rows.items()}
            reference = _labeled(reference)
        elif reference is not None:
            reference = Reference(reference[0], as_codes(reference[1]))
        self._active = 0
        if not len(embeddings):
            return attached_zero(embeddings)
        self._active = len(embeddings)
        asked = {
            "selection": (self.accepts, selection),
            "reference": (self.takes_reference, reference),
            "indices": (self.needs_indices, of_rows["indices"]),
            "features": (self.needs_features, of_rows["features"]),
        }
        given = {name: value for name, (wanted, value) in asked.items() if wanted}
        return self.compute(embeddings, of_rows["labels"], **given)

    def _checked(self, embeddings, labels, selection, reference):
        """Check what the loss was called with; return the selection."""
        name = type(self).__name__
        check_embeddings(embeddings)
        selection = as_selection(selection)
        if labels is not None and self.needs_labels:
            check_batch(embeddings, labels, amounts=self.continuous_labels)
        elif self.needs_labels and not selection.lists:
            raise ValueError(f"labels are needed by {name} where no selection is given")
        if reference is not None:
            if not self.takes_reference:
                raise ValueError(f"{name} takes no reference; compare with the batch alone")
            check_reference(embeddings, reference)
        if selection.yields is not None:
            if selection.yields not in self.accepts:
                raise ValueError(
                    f"{name} accepts {' or '.join(self.accepts) or 'nothing'} as selection, "
                    f"got {selection.yields}"
                )
            n = len(embeddings)
            check_indices(selection, n, n + (0 if reference is None else len(reference[0])))
        return selection

    def _mean(self, total, count, active=None):
        """Return ``total / count``, and record the tuples that were active: ``count`` or others."""
        active = count if active is None else active
        self._active = active.detach() if isinstance(active, torch.Tensor) else active
        return mean_over(total, count)

    def _mean_of_active(self, *terms):
        """Return the sum of the means of several groups of terms, each over those not zero."""
        counts = [(group > 0).count_nonzero() for group in terms]
        self._active = sum(counts)
        return sum(mean_over(g.sum(), n) for g, n in zip(terms, counts, strict=True))


def _labeled(reference):
    """Return the labeled rows of a reference."""
    if reference is None:
        return None
    embeddings, labels = reference[0], as_codes(reference[1])
    kept = labeled_rows(labels)
    return (
        Reference(embeddings, labels) if kept is None else Reference(embeddings[kept], labels[kept])
    )
