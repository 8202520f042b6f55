"""Pairs of rows as stacked tensors, and what a tower sees of them."""

import torch
from torch.utils.data import Dataset

from metriclearn.deep.pairs._scorer import WIRINGS


class PairRows:
    """Pairs of rows, both rows of a pair stacked along their first axis.

    Parameters
    ----------
    rows : Rows
    pairs : ndarray of int, shape (n, 2)
        Row numbers.
    """

    def __init__(self, rows, pairs):
        self.rows = rows
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def take(self, which):
        """Return the pairs given by number or by slice, (b, 2 c, height, width) or (b, 2 d)."""
        pairs = self.pairs[which]
        both = self.rows.take(pairs.T.reshape(-1))
        return torch.cat(both.split(len(pairs)), dim=1)


class TowerRows:
    """What a tower sees of some pairs, in the form that networks are sized and measured by.

    Parameters
    ----------
    pairs : PairRows
    view : callable
        Of `WIRINGS`.
    """

    # Whose memory order is as it is.
    channels_first, channels_last = True, False

    def __init__(self, pairs, view):
        self.pairs = pairs
        self.view = view
        self.integers = pairs.rows.integers
        shape = tuple(self.take(slice(0, 1)).shape[1:])
        self.image_shape = (*shape[1:], shape[0]) if len(shape) == 3 else None
        self.values_per_row = torch.Size(shape).numel()

    def __len__(self):
        return len(self.pairs)

    def take(self, which):
        """Return what the tower sees of these pairs."""
        self.pairs.rows.integers = self.integers
        return self.view(*self.pairs.take(which).chunk(2, dim=1))


def tower_rows(rows, pairs, wiring):
    """Return what each tower of a wiring sees."""
    return [TowerRows(PairRows(rows, pairs), view) for view in WIRINGS[wiring]]


class PairData(Dataset):
    """Pairs with what they are: skorch's data set, read a batch at a time.

    Parameters
    ----------
    pairs : PairRows
    targets : tensor of shape (n, 2), default=None
        1 for the same and -1 for others, and the weight.
    """

    def __init__(self, pairs, targets=None):
        self.pairs = pairs
        self.targets = torch.zeros(len(pairs), 2) if targets is None else targets

    def __len__(self):
        return len(self.pairs)

    @property
    def rows(self):
        """The rows that pairs are of."""
        return self.pairs.rows

    def facts(self):
        """Return the arrays that, with the rows, define what is trained on."""
        return self.pairs.pairs, self.targets.numpy()

    def __getitems__(self, which):
        """Return a batch."""
        at = torch.tensor(which)
        return self.pairs.take(at.numpy()), self.targets[at]
