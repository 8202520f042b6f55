"""The table of slow truths: for every loss and miner a loop written from the paper's formula.

A row of ``LOSSES`` is a name, a loss (with proxies for three classes in four dimensions where it
has any) and its loop; the loop gets the loss for its parameters, the embeddings as a list of rows
and the labels as a list of ints, and returns a scalar that autograd can differentiate. A new loss
is one more row here; tests/deep/test_losses.py does the rest.
"""

from typing import NamedTuple

import torch
from torch import nn

from metriclearn.deep import losses
from metriclearn.deep.miners import (
    AllMiner,
    BatchHardMiner,
    HardMiner,
    RandomMiner,
    SemiHardMiner,
)

N_CLASSES, DIM = 4, 3


class Case(NamedTuple):
    name: str
    loss: nn.Module
    oracle: object


def sq(a, b):
    return ((a - b) ** 2).sum()


def dist(a, b):
    return sq(a, b).sqrt()


def cos(a, b):
    return (a @ b) / (a @ a).sqrt() / (b @ b).sqrt()


def log1p_sum_exp(terms):
    return torch.log(1 + sum((torch.exp(t) for t in terms), torch.zeros((), dtype=torch.float64)))


def logsumexp(terms):
    return torch.stack(list(terms)).logsumexp(0)


def mean(terms):
    terms = list(terms)
    return sum(terms) / len(terms)


def hinge(x):
    return x.clamp(min=0)


def positives(y, i):
    return [j for j in range(len(y)) if j != i and y[j] == y[i]]


def negatives(y, i):
    return [j for j in range(len(y)) if y[j] != y[i]]


def pairs(y):
    return [(i, j) for i in range(len(y)) for j in range(len(y)) if i != j]


def positive_pairs(y):
    return [(i, j) for i, j in pairs(y) if y[i] == y[j]]


def triplets(y):
    return [(a, p, n) for a, p in positive_pairs(y) for n in negatives(y, a)]


# pairs ------------------------------------------------------------------------------------------


def contrastive(loss, X, y):
    m = loss.margin

    def term(i, j):
        if loss.form == "hadsell":
            return sq(X[i], X[j]) / 2 if y[i] == y[j] else hinge(m - dist(X[i], X[j])) ** 2 / 2
        if loss.form == "squared_hinge":
            return sq(X[i], X[j]) if y[i] == y[j] else hinge(m**2 - sq(X[i], X[j]))
        return 1 - cos(X[i], X[j]) if y[i] == y[j] else hinge(cos(X[i], X[j]) - m)

    return mean(term(i, j) for i, j in pairs(y))


# triplets ---------------------------------------------------------------------------------------


def triplet_terms(loss, X, y, window=None):
    d = sq if loss.squared else dist
    terms = []
    for a, p, n in triplets(y):
        gap = d(X[a], X[n]) - d(X[a], X[p])
        if window is not None and not window[0] < gap < window[1]:
            continue
        if loss.swap:
            gap = torch.minimum(gap, d(X[p], X[n]) - d(X[a], X[p]))
        z = loss.margin - gap
        terms.append(torch.log(1 + torch.exp(z)) if loss.soft else hinge(z))
    return terms


def triplet(loss, X, y, window=None):
    terms = triplet_terms(loss, X, y, window)
    if loss.reduction == "mean_nonzero":
        terms = [t for t in terms if t > 0]
    return mean(terms)


def semi_hard_triplet(mined, X, y):
    return triplet(mined.loss, X, y, (0, mined.loss.margin))


def hard_triplet(mined, X, y):
    return triplet(mined.loss, X, y, (-torch.inf, 0))


# proxies ----------------------------------------------------------------------------------------


def proxy_anchor(loss, X, y):
    a, m = loss.alpha, loss.margin
    pull, push = [], []
    for c, w in enumerate(loss.proxies):
        if c in y:
            own = [x for x, k in zip(X, y, strict=True) if k == c]
            pull.append(log1p_sum_exp(-a * (cos(x, w) - m) for x in own))
        rest = [x for x, k in zip(X, y, strict=True) if k != c]
        push.append(log1p_sum_exp(a * (cos(x, w) + m) for x in rest))
    return mean(pull) + mean(push)


def cross_entropy(rows_of_logits, y):
    return mean(logsumexp(z) - z[k] for z, k in zip(rows_of_logits, y, strict=True))


def arcface(loss, X, y):
    def logit(x, w, own):
        c = cos(x, w)
        if not own:
            return loss.scale * c
        theta, m = torch.acos(c), torch.tensor(loss.margin, dtype=torch.float64)
        if theta + m > torch.pi:
            return loss.scale * (c - m * torch.sin(m))
        return loss.scale * torch.cos(theta + m)

    W = list(enumerate(loss.proxies))
    rows = [[logit(x, w, c == k) for c, w in W] for x, k in zip(X, y, strict=True)]
    return cross_entropy(rows, y)


def built(loss):
    """The loss with proxies (and whatever else it learns) that do not depend on the caller."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return loss.build(N_CLASSES, DIM).double()


L = losses
LOSSES = [
    Case("contrastive", L.ContrastiveLoss(margin=1.5), contrastive),
    Case("contrastive-hinge", L.ContrastiveLoss(margin=1.5, form="squared_hinge"), contrastive),
    Case("contrastive-cosine", L.ContrastiveLoss(margin=0.1, form="cosine"), contrastive),
    Case("triplet", L.TripletLoss(), triplet),
    Case("triplet-mean", L.TripletLoss(margin=0.5, squared=False, reduction="mean"), triplet),
    Case("triplet-soft", L.TripletLoss(0.0, squared=False, soft=True, reduction="mean"), triplet),
    Case("triplet-swap", L.TripletLoss(margin=0.3, swap=True), triplet),
    Case("triplet-soft-swap", L.TripletLoss(soft=True, swap=True, reduction="mean"), triplet),
    Case("triplet-semi-hard", L.MinedLoss(L.TripletLoss(0.6), SemiHardMiner()), semi_hard_triplet),
    Case("triplet-hard", L.MinedLoss(L.TripletLoss(squared=False), HardMiner()), hard_triplet),
    Case("proxy-anchor", built(L.ProxyAnchorLoss()), proxy_anchor),
    Case("arcface", built(L.ArcFaceLoss(scale=8.0)), arcface),
    Case("arcface-wide", built(L.ArcFaceLoss(margin=1.5, scale=8.0)), arcface),
]


# miners -----------------------------------------------------------------------------------------
# A loop returns the set of what the miner has to yield: for pairs (set, set), for triplets a set.


class MinerCase(NamedTuple):
    name: str
    miner: object
    oracle: object


def window_triplets(X, y, low, high, d=sq):
    return {t for t in triplets(y) if low < d(X[t[0]], X[t[2]]) - d(X[t[0]], X[t[1]]) < high}


def all_triplets(miner, X, y):
    return set(triplets(y))


def semi_hard(miner, X, y):
    margin = 0.2 if miner.margin is None else miner.margin
    return window_triplets(X, y, 0, margin, dist if miner.squared is False else sq)


def hard(miner, X, y):
    return window_triplets(X, y, -torch.inf, 0)


def batch_hard(miner, X, y):
    return {
        (
            a,
            max(positives(y, a), key=lambda j: dist(X[a], X[j])),
            min(negatives(y, a), key=lambda j: dist(X[a], X[j])),
        )
        for a in range(len(y))
        if positives(y, a) and negatives(y, a)
    }


MINERS = [
    MinerCase("all", AllMiner(), all_triplets),
    MinerCase("semi-hard", SemiHardMiner(), semi_hard),
    MinerCase("semi-hard-distance", SemiHardMiner(margin=0.7, squared=False), semi_hard),
    MinerCase("hard", HardMiner(), hard),
    MinerCase("batch-hard", BatchHardMiner(), batch_hard),
]

#: Miners that draw: what they may yield is tested, not what they do.
RANDOM_MINERS = [RandomMiner(n_triplets=3)]
