"""The door for losses of others: any module on (embeddings, labels) becomes a MetricLoss."""

from __future__ import annotations

import inspect

from torch import nn

from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.tensors._selections import EVERYTHING

#: Class attributes of `MetricLoss` that a module of one's own may have, too.
DECLARED = (
    "accepts",
    "kind",
    "any_length",
    "continuous_labels",
    "needs_classes",
    "needs_indices",
    "needs_features",
    "needs_maps",
    "needs_activations",
    "refreshes",
)


class ModuleLoss(MetricLoss):
    """A `MetricLoss` made of any module that is called with embeddings and labels.

    Made by `as_metric_loss`. What the module declares by attributes of the names that `MetricLoss`
    documents holds for the loss; its ``build`` and ``refresh``, if it has them, are called.

    Parameters
    ----------
    module : Module
    """

    def __init__(self, module):
        super().__init__()
        self.module = module
        self._takes = set(inspect.signature(module.forward).parameters)
        for name in DECLARED:
            if hasattr(module, name):
                setattr(self, name, getattr(module, name))
        if "indices_tuple" in self._takes and not self.accepts:
            self.accepts = ("pairs", "triplets")
        self.takes_reference = "reference" in self._takes
        self.needs_indices = self.needs_indices or "indices" in self._takes
        self.needs_features = self.needs_features or "features" in self._takes
        self.refreshes = self.refreshes or hasattr(module, "refresh")

    def build(self, n_classes, embedding_dim, n_samples=None, feature_dim=None, labels=None):
        """Let the module build what it learns, and return self."""
        make = getattr(self.module, "build", None)
        if make is not None:
            sizes = {
                "n_classes": n_classes,
                "embedding_dim": embedding_dim,
                "n_samples": n_samples,
                "feature_dim": feature_dim,
                "labels": labels,
            }
            takes = inspect.signature(make).parameters
            make(**{name: size for name, size in sizes.items() if name in takes})
        return self

    def refresh(self, embeddings, labels, features=None):
        """Show the module the training set, if it wants to see it."""
        if hasattr(self.module, "refresh"):
            given = {"features": features} if self.needs_features else {}
            self.module.refresh(embeddings, labels, **given)

    def compute(self, embeddings, labels, selection=EVERYTHING, **given):
        """Call the module on ``embeddings`` (b, d) with ``labels`` (b,)."""
        given = {k: v for k, v in given.items() if v is not None and k in self._takes}
        if selection is not EVERYTHING:
            if "indices_tuple" in self._takes:
                given["indices_tuple"] = as_index_tuple(selection, embeddings, labels)
            else:
                given["selection"] = selection
        value = self.module(embeddings, labels, **given)
        if value.ndim:
            raise ValueError(
                f"loss={type(self.module).__name__} must give one number, got shape "
                f"{tuple(value.shape)}"
            )
        return value


def as_index_tuple(selection, embeddings, labels):
    """Return a selection as pytorch-metric-learning's losses take it: 3 or 4 index tensors."""
    triplets = selection.triplets()
    if triplets is not None:
        return tuple(triplets)
    like = embeddings.detach() @ embeddings.detach().T
    positive, negative = selection.pair_masks(like, labels)
    return (*positive.nonzero(as_tuple=True), *negative.nonzero(as_tuple=True))


def as_metric_loss(loss: nn.Module) -> MetricLoss:
    """Take a loss of any origin: ours as they are, other modules through an adapter.

    Parameters
    ----------
    loss : Module
        Called with embeddings (b, d) and labels (b,), it has to return one number. Losses of
        pytorch-metric-learning are such modules, miners included.

    Returns
    -------
    MetricLoss
        The loss itself where it is one.

    Raises
    ------
    TypeError
        If this is no module.

    See Also
    --------
    MetricLoss : The attributes that a module may declare.

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import as_metric_loss
    >>> loss = as_metric_loss(torch.nn.CrossEntropyLoss())
    >>> loss(torch.eye(2), torch.tensor([0, 1])).item()
    0.313...
    """
    if isinstance(loss, MetricLoss):
        return loss
    if not isinstance(loss, nn.Module):
        raise TypeError(
            f"loss must be a torch.nn.Module called with embeddings and labels, got "
            f"{type(loss).__name__}"
        )
    return ModuleLoss(loss)
