"""Miners: which pairs or triplets of a batch a loss should look at.

A `Miner` is called with embeddings (b, d) and labels (b,) and returns `MinedPairs` or
`MinedTriplets` of row indices. With a `Reference` the second index of a pair, and the positive and
negative of a triplet, may point behind the batch. Functions of embeddings and labels, and the
miners of pytorch-metric-learning, are taken as well: `as_miner` makes a `Miner` of them.
"""

from metriclearn.deep.miners._base import Miner, as_miner
from metriclearn.deep.miners._class_miners import ThreeClassMiner, WithinClassMiner
from metriclearn.deep.miners._histogram_miner import DistanceHistogramMiner
from metriclearn.deep.miners._pair_miners import HDCMiner, MultiSimilarityMiner, PairMarginMiner
from metriclearn.deep.miners._strategies import AngularMiner, EasyHardMiner, UniformHistogramMiner
from metriclearn.deep.miners._triplet_miners import (
    AllMiner,
    BatchHardMiner,
    DistanceWeightedMiner,
    EasyPositiveMiner,
    HardMiner,
    RandomMiner,
    SemiHardMiner,
)
from metriclearn.deep.tensors._selections import (
    InBatchNegatives,
    MinedPairs,
    MinedQuadruplets,
    MinedTriplets,
    Reference,
    Selection,
)

__all__ = [
    "CLASS_MINERS",
    "MINERS",
    "AllMiner",
    "AngularMiner",
    "BatchHardMiner",
    "DistanceHistogramMiner",
    "DistanceWeightedMiner",
    "EasyHardMiner",
    "EasyPositiveMiner",
    "HDCMiner",
    "HardMiner",
    "InBatchNegatives",
    "MinedPairs",
    "MinedQuadruplets",
    "MinedTriplets",
    "Miner",
    "MultiSimilarityMiner",
    "PairMarginMiner",
    "RandomMiner",
    "Reference",
    "Selection",
    "SemiHardMiner",
    "ThreeClassMiner",
    "UniformHistogramMiner",
    "WithinClassMiner",
    "as_miner",
]

#: Short name to class, as ``DeepEmbedder(miner=...)`` takes it.
MINERS = {
    "all": AllMiner,
    "random": RandomMiner,
    "hard": HardMiner,
    "semi_hard": SemiHardMiner,
    "batch_hard": BatchHardMiner,
    "easy_positive": EasyPositiveMiner,
    "easy_hard": EasyHardMiner,
    "angular": AngularMiner,
    "distance_weighted": DistanceWeightedMiner,
    "distance_histogram": DistanceHistogramMiner,
    "multi_similarity": MultiSimilarityMiner,
    "pair_margin": PairMarginMiner,
    "hdc": HDCMiner,
    "uniform_histogram": UniformHistogramMiner,
}

#: Likewise, of triplets whose "positive" is of another class or whose "negative" is of the same:
#: from them is learned what classes share, or what varies within one.
CLASS_MINERS = {
    "three_class": ThreeClassMiner,
    "within_class": WithinClassMiner,
}
