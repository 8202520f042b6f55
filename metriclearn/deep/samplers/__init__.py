"""Batch samplers: which rows of the training set are in a batch together.

A `Sampler` gets the class of each training row and a :class:`numpy.random.Generator`, and returns
an array of row numbers for each batch of an epoch. `SAMPLERS` maps short names to classes.
"""

from metriclearn.deep.samplers._base import Sampler, as_sampler
from metriclearn.deep.samplers._class_samplers import (
    ClassBalancedSampler,
    FixedTripletSampler,
    NearLabelSampler,
    RandomSampler,
    UnbalancedSampler,
)
from metriclearn.deep.samplers._mining_samplers import (
    ClusterSampler,
    HardNegativeSampler,
    HierarchicalSampler,
)
from metriclearn.deep.samplers._semi_supervised import SemiSupervisedSampler

__all__ = [
    "SAMPLERS",
    "ClassBalancedSampler",
    "ClusterSampler",
    "FixedTripletSampler",
    "HardNegativeSampler",
    "HierarchicalSampler",
    "NearLabelSampler",
    "RandomSampler",
    "Sampler",
    "SemiSupervisedSampler",
    "UnbalancedSampler",
    "as_sampler",
]

#: Short name to class, as ``DeepEmbedder(sampler=...)`` takes it.
SAMPLERS = {
    "class_balanced": ClassBalancedSampler,
    "clusters": ClusterSampler,
    "unbalanced": UnbalancedSampler,
    "random": RandomSampler,
    "hierarchical": HierarchicalSampler,
    "hard_negatives": HardNegativeSampler,
    "near_labels": NearLabelSampler,
    "fixed_triplets": FixedTripletSampler,
    "semi_supervised": SemiSupervisedSampler,
}
