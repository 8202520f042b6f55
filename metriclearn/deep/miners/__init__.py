"""Miners: which pairs or triplets of a batch a loss should look at.

A miner is called with embeddings (b, d) and labels (b,) and returns `Pairs` or `Triplets` of row
indices (``yields`` says which); nothing flows back through it. With a ``reference`` the second
index of a pair, and the positive and negative of a triplet, may point behind the batch.
"""

from metriclearn.deep.miners._pair_miners import HDCMiner, MultiSimilarityMiner, PairMarginMiner
from metriclearn.deep.miners._triplet_miners import (
    AllMiner,
    BatchHardMiner,
    DistanceWeightedMiner,
    EasyPositiveMiner,
    HardMiner,
    RandomMiner,
    SemiHardMiner,
)

__all__ = [
    "MINERS",
    "AllMiner",
    "BatchHardMiner",
    "DistanceWeightedMiner",
    "EasyPositiveMiner",
    "HDCMiner",
    "HardMiner",
    "MultiSimilarityMiner",
    "PairMarginMiner",
    "RandomMiner",
    "SemiHardMiner",
]

#: Short name to class, as ``DeepEmbedder(miner=...)`` takes it.
MINERS = {
    "all": AllMiner,
    "random": RandomMiner,
    "hard": HardMiner,
    "semi_hard": SemiHardMiner,
    "batch_hard": BatchHardMiner,
    "easy_positive": EasyPositiveMiner,
    "distance_weighted": DistanceWeightedMiner,
    "multi_similarity": MultiSimilarityMiner,
    "pair_margin": PairMarginMiner,
    "hdc": HDCMiner,
}
