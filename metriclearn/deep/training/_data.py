"""Rows with labels or constraints: what an epoch draws from, and its batches."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skorch.dataset import Dataset
from torch.utils.data import Subset

from metriclearn import constraints
from metriclearn.deep.tensors._selections import MinedPairs, MinedQuadruplets, MinedTriplets
from metriclearn.deep.training import _distributed


class Batch(NamedTuple):
    """One step of training.

    Attributes
    ----------
    X : tensor of shape (b, ...)
        Rows to embed: of several processes, this one's share.
    targets : tensor of shape (b,)
        What the loss compares for each row.
    extra : dict
        Further arguments of the loss.
    """

    X: torch.Tensor
    targets: torch.Tensor
    extra: dict


class LabeledData:
    """Rows with labels.

    Parameters
    ----------
    rows : Rows
    labels : Labels
        Of all rows.
    train : ndarray of int
        Row numbers to train on.
    validation : Validation or None
    with_indices : bool, default=False
        Give the loss the place in ``train`` of each row.
    """

    def __init__(self, rows, labels, train, validation, with_indices=False):
        self.rows = rows
        self.labels = labels
        self.train = train
        self.targets = torch.from_numpy(labels.targets[train]).to(rows.device)
        self.train_codes = _in_a_row(labels.codes[train])
        self.validation = validation
        self.y = labels.values()
        self.with_indices = with_indices

    def __len__(self):
        return len(self.train)

    def draw(self, sampler, rng):
        """Draw the batches of an epoch, as arrays of places in ``train``."""
        amounts = sampler.continuous_labels
        return sampler.epoch(self.targets.cpu().numpy() if amounts else self.train_codes, rng)

    def batch(self, chosen):
        """Make a batch of the rows at these places."""
        at = torch.from_numpy(chosen).to(self.rows.device)
        extra = {"indices": at} if self.with_indices else {}
        return Batch(self.rows.take(self.own_rows(chosen)), self.targets[at], extra)

    def own_rows(self, chosen):
        """Return the rows at these places that this process embeds."""
        return _own(self.train[chosen])

    def facts(self):
        """Return the arrays that, with the rows, define what is trained on."""
        return self.train, self.targets.cpu().numpy(), self.labels.codes

    def datasets(self):
        """Return the rows that train and those that validate, as skorch's data sets."""
        whole = Dataset(self.rows.X, self.y)
        train = whole if len(self.train) == len(self.rows) else Subset(whole, self.train)
        return train, self.validation and Subset(whole, self.validation.queries)


class ConstraintData:
    """Rows with constraints on pairs, triplets or quadruplets of them.

    Parameters
    ----------
    rows : Rows
    constraints : metriclearn.constraints.Pairs, Triplets or Quadruplets
        Weighted ones are drawn with replacement, in proportion to their weights. Where all pairs
        are similar, the other rows of a batch are the negatives: all those that no chain of
        similar pairs links to the anchor.
    batch_size : int
        Constraints in a batch.
    """

    validation = y = None

    def __init__(self, rows, constraints, batch_size):
        self.rows = rows
        self.constraints = constraints
        self.batch_size = batch_size
        self.groups = linked_groups(constraints, len(rows)) if all_similar(constraints) else None

    def __len__(self):
        return len(self.constraints)

    def draw(self, sampler, rng):
        """Draw the batches of an epoch; the sampler, which draws by classes, is not used."""
        n, weights = len(self), self.constraints.weights
        if weights is None:
            order = rng.permutation(n)
        else:
            order = rng.choice(n, n, p=weights / weights.sum())
        return np.split(order, range(self.batch_size, n, self.batch_size))

    def batch(self, chosen):
        """Make a batch of the rows that these constraints name."""
        tuples = self.constraints.indices[chosen]
        rows, places = np.unique(tuples, return_inverse=True)
        places = torch.from_numpy(places.reshape(tuples.shape)).to(self.rows.device)
        if self.groups is not None:
            groups = torch.from_numpy(self.groups[rows]).to(self.rows.device)
            negatives = (groups[:, None] != groups).nonzero()
            selection = MinedPairs(torch.cat([places, places.flip(1)]), negatives)
        elif isinstance(self.constraints, constraints.Pairs):
            similar = torch.from_numpy(self.constraints.similar[chosen]).to(self.rows.device)
            selection = MinedPairs(places[similar], places[~similar])
        elif isinstance(self.constraints, constraints.Triplets):
            selection = MinedTriplets(*places.T)
        else:
            selection = MinedQuadruplets(*places.T)
        targets = torch.arange(len(rows), device=self.rows.device)
        return Batch(self.rows.take(_own(rows)), targets, {"selection": selection})

    def own_rows(self, chosen):
        """Return the rows that these constraints name and this process embeds."""
        return _own(np.unique(self.constraints.indices[chosen]))

    def facts(self):
        """Return the arrays that, with the rows, define what is trained on."""
        given = self.constraints
        similar = given.similar if isinstance(given, constraints.Pairs) else None
        return [fact for fact in (given.indices, similar, given.weights) if fact is not None]

    def datasets(self):
        """Return the rows as a data set of skorch's without labels, and none that validates."""
        return Dataset(self.rows.X, None), None


def _in_a_row(codes):
    """Return codes that number the classes present from 0 on; -1 stays."""
    labeled = codes >= 0
    numbered = np.full(len(codes), -1, dtype=np.intp)
    numbered[labeled] = np.unique(codes[labeled], return_inverse=True)[1].reshape(-1)
    return numbered


def all_similar(given):
    """Whether constraints are pairs none of which is dissimilar."""
    return isinstance(given, constraints.Pairs) and bool(given.similar.all())


def linked_groups(pairs, n_rows):
    """Assign numbers to the groups of rows that chains of pairs link.

    Returns
    -------
    ndarray of int, shape (n_rows,)
    """
    i, j = pairs.indices.T.astype(np.int32)  # older versions of scipy take no other integers
    graph = coo_array((np.ones(len(i), dtype=np.int8), (i, j)), shape=(n_rows, n_rows))
    return connected_components(graph, directed=False)[1]


def _own(rows):
    """Return the rows of a batch that this process embeds: all, where it is the only one."""
    return rows[_distributed.own_slice(len(rows))] if _distributed.is_active() else rows
