"""Rows of an array as float tensors, a batch at a time, with what the loss is told of them."""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.utils.validation import assert_all_finite

from metriclearn import constraints
from metriclearn.deep.tensors._selections import MinedPairs, MinedTriplets
from metriclearn.deep.training import _distributed

# Of an accelerator's free memory, the share that data may take to stay there.
RESIDENT_SHARE = 0.25
# What is mapped from a file is moved to an accelerator in blocks of about so many bytes.
BLOCK_BYTES = 2**26


class Rows:
    """The rows of ``X``, converted batch by batch and never as a whole.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Any numeric dtype; may be memory-mapped or read-only.
    image_shape : tuple of int or None
        (height, width, channels) of each row; a batch is then of shape
        (b, channels, height, width).
    scale : float
        Factor on the values: 1/255 for bytes.
    device : torch.device
    channels_last : bool, default=False
        Leave images in the memory order they come in, channels last, which
        convolutions are faster on; a network must not ``view`` it as rows.
    """

    def __init__(self, X, image_shape, scale, device, channels_last=False):
        self.X = X
        self.image_shape = image_shape
        self.scale = scale
        self.device = torch.device(device)
        self.channels_last = channels_last
        self.resident = None
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if X.nbytes < RESIDENT_SHARE * free:
                self.resident = _moved(X, self.device)

    def __len__(self):
        return len(self.X)

    def take(self, rows):
        """Batch of the rows given by number or by slice, as a float32 tensor on the device."""
        if self.resident is None:
            batch = torch.from_numpy(_owned(self.X[rows])).to(self.device)
        else:
            if isinstance(rows, np.ndarray):
                rows = torch.from_numpy(rows).to(self.device)
            batch = self.resident[rows]
        if self.image_shape is not None:
            batch = batch.view(-1, *self.image_shape).permute(0, 3, 1, 2)
            if not self.channels_last:
                batch = batch.contiguous()
        batch = batch.float()
        return batch if self.scale == 1 else batch * self.scale


def _moved(X, device):
    """``X`` on a device; what is mapped or read-only passes through memory block by block."""
    if X.flags.writeable and X.flags.c_contiguous and not isinstance(X, np.memmap):
        return torch.from_numpy(X).to(device)
    step = max(1, BLOCK_BYTES // max(1, X[:1].nbytes))
    first = torch.from_numpy(np.array(X[:step], order="C"))
    moved = torch.empty(X.shape, dtype=first.dtype, device=device)
    moved[:step] = first
    for start in range(step, len(X), step):
        block = np.array(X[start : start + step], order="C")
        moved[start : start + step] = torch.from_numpy(block)
    return moved


def check_finite(X, estimator_name):
    """Refuse infinite values and NaN, in a fraction of scikit-learn's time where there are none.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    estimator_name : str

    Raises
    ------
    ValueError
    """
    if X.dtype.kind == "f" and X.flags.c_contiguous:
        values = X.reshape(-1)
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(np.dot(values, values)):
                return
    assert_all_finite(X, estimator_name=estimator_name, input_name="X")


def _owned(X):
    """``X``, or a copy where torch could not share its memory."""
    return X if X.flags.writeable and X.flags.c_contiguous else np.array(X, order="C")


class Batch(NamedTuple):
    """One step of training.

    Attributes
    ----------
    X : tensor of shape (b, ...)
        Rows to embed: of several processes, this one's share.
    targets : tensor of shape (b,)
        What the loss is told of each row.
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
    train : ndarray of int
        Row numbers to train on.
    targets : ndarray of shape (len(train),) or (len(train), q)
        What the loss is told of each: its class, or a continuous label.
    codes : ndarray of int, shape (len(rows),)
        Class of every row, for the sampler and the validation.
    validation : Validation or None
    with_indices : bool, default=False
        Tell the loss the place in ``train`` of each row.
    """

    def __init__(self, rows, train, targets, codes, validation, with_indices=False):
        self.rows = rows
        self.train = train
        self.targets = torch.from_numpy(targets).to(rows.device)
        self.codes = codes
        self.train_codes = np.unique(codes[train], return_inverse=True)[1].reshape(-1)
        self.validation = validation
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
        return Batch(self.rows.take(_own(self.train[chosen])), self.targets[at], extra)

    def facts(self):
        """Arrays that, with the rows, say what is trained on."""
        return self.train, self.targets.cpu().numpy(), self.codes


class ConstraintData:
    """Rows with constraints on pairs or triplets of them.

    Parameters
    ----------
    rows : Rows
    constraints : metriclearn.constraints.Pairs or Triplets
        Weighted ones are drawn with replacement, as often as they weigh.
    batch_size : int
        Constraints in a batch.
    """

    validation = None

    def __init__(self, rows, constraints, batch_size):
        self.rows = rows
        self.constraints = constraints
        self.batch_size = batch_size

    def __len__(self):
        return len(self.constraints)

    def draw(self, sampler, rng):
        """Draw the batches of an epoch; the sampler, which knows classes only, is not asked."""
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
        if isinstance(self.constraints, constraints.Pairs):
            similar = torch.from_numpy(self.constraints.similar[chosen]).to(self.rows.device)
            selection = MinedPairs(places[similar], places[~similar])
        else:
            selection = MinedTriplets(*places.T)
        targets = torch.arange(len(rows), device=self.rows.device)
        return Batch(self.rows.take(_own(rows)), targets, {"selection": selection})

    def facts(self):
        """Arrays that, with the rows, say what is trained on."""
        constraints = self.constraints
        facts = (constraints.indices, getattr(constraints, "similar", None), constraints.weights)
        return [fact for fact in facts if fact is not None]


def _own(rows):
    """Rows of a batch that this process embeds: all, where it is the only one."""
    return rows[_distributed.own_slice(len(rows))] if _distributed.is_active() else rows
