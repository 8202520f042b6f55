"""A network that says how alike two rows are, wired in one of four ways."""

from __future__ import annotations

import torch
from torch import nn


def _first(a, b):
    return a


def _second(a, b):
    return b


def _either(a, b):
    """Return rows of both kinds in turn; a tower is measured on them, and sees both."""
    second = torch.arange(len(a), device=a.device) % 2 == 1
    return torch.where(second.view(-1, *[1] * (a.ndim - 1)), b, a)


def _both(a, b):
    return torch.cat([a, b], dim=1)


def _center(a, b):
    height, width = a.shape[2:]
    top, left = (height - height // 2) // 2, (width - width // 2) // 2
    both = _both(a, b)
    return both[:, :, top : top + height // 2, left : left + width // 2]


def _surround(a, b):
    return nn.functional.avg_pool2d(_both(a, b), 2)


#: What each tower of a wiring sees of two rows.
WIRINGS = {
    "siamese": (_either,),
    "pseudo_siamese": (_first, _second),
    "two_channel": (_both,),
    "central_surround": (_center, _surround),
}


class PairScorer(nn.Module):
    """Score two rows, the higher the more alike.

    Parameters
    ----------
    towers : sequence of Modules
        One for each view of ``WIRINGS[wiring]``; each gives a vector of each row it sees.
    wiring : {"siamese", "pseudo_siamese", "two_channel", "central_surround"}
    hidden_units : int
        Width of the layer that decides.
    symmetric : bool
        Whether the score is the mean over both orders of a pair.
    augment : callable or None, default=None
        Changes both rows of a pair alike in training: applied to them stacked as channels.
    """

    def __init__(self, towers, wiring, hidden_units, symmetric, augment=None):
        super().__init__()
        self.towers = nn.ModuleList(towers)
        self.wiring = wiring
        self.symmetric = symmetric
        self.augment = augment
        width = sum(tower.head.embedding_dim for tower in towers) * (1 + (wiring == "siamese"))
        self.decision = nn.Sequential(
            nn.ReLU(), nn.Linear(width, hidden_units), nn.ReLU(), nn.Linear(hidden_units, 1)
        )

    def forward(self, pairs):
        """Score a batch of pairs, each stacked: (b, 2 c, height, width) or (b, 2 d)."""
        if self.training and self.augment is not None:
            pairs = self.augment(pairs)
        a, b = pairs.chunk(2, dim=1)
        if self.wiring == "siamese":
            features = self.towers[0](torch.cat([a, b])).chunk(2)
            orders = [features, features[::-1]] if self.symmetric else [features]
            joined = [torch.cat(order, dim=1) for order in orders]
        else:
            orders = [(a, b), (b, a)] if self.symmetric else [(a, b)]
            joined = [self._features(*order) for order in orders]
        return sum(self.decision(features)[:, 0] for features in joined) / len(joined)

    def _features(self, a, b):
        views = WIRINGS[self.wiring]
        return torch.cat(
            [tower(view(a, b)) for tower, view in zip(self.towers, views, strict=True)], dim=1
        )
