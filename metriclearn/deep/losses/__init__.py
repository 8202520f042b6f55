"""Losses: modules on ``(embeddings, labels)``; `LOSSES` maps short names to classes."""

from metriclearn.deep.losses._pair import ContrastiveLoss
from metriclearn.deep.losses._proxy import ArcFaceLoss, ProxyAnchorLoss
from metriclearn.deep.losses._triplet import TripletLoss
from metriclearn.deep.losses._wrappers import MinedLoss

#: Short name to class, as ``DeepEmbedder(loss=...)`` takes it.
LOSSES = {
    "contrastive": ContrastiveLoss,
    "triplet": TripletLoss,
    "proxy_anchor": ProxyAnchorLoss,
    "arcface": ArcFaceLoss,
}

__all__ = ["LOSSES", "MinedLoss", *sorted(loss.__name__ for loss in LOSSES.values())]
