"""Losses: numbers for embeddings and their labels; `LOSSES` maps short names to classes.

Every loss is a `MetricLoss`, whose page documents what a loss may say of itself and how it is
called. Other modules on (embeddings, labels), those of pytorch-metric-learning among them, are
taken wherever a loss is: `as_metric_loss` makes a `MetricLoss` of them.
"""

from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._amounts import LabelDistanceTripletLoss, LogRatioLoss
from metriclearn.deep.losses._angular import AngularLoss, QuadrupletLoss, TupletMarginLoss
from metriclearn.deep.losses._angular_softmax import (
    ArcFaceLoss,
    LargeMarginSoftmaxLoss,
    SphereFaceLoss,
    SubCenterArcFaceLoss,
)
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.losses._batch_softmax import (
    InfoNCELoss,
    NPairLoss,
    NTXentLoss,
    SoftNearestNeighborLoss,
    SupConLoss,
)
from metriclearn.deep.losses._boosted import BinomialDevianceLoss, BoostedLoss
from metriclearn.deep.losses._cascaded import CascadedLoss
from metriclearn.deep.losses._characteristics import SharedCharacteristicsLoss
from metriclearn.deep.losses._contrastive import ContrastiveLoss, MarginLoss, SNRContrastiveLoss
from metriclearn.deep.losses._distillation import SelfDistillationLoss
from metriclearn.deep.losses._diverse import DiverseAggregationLoss
from metriclearn.deep.losses._divided import DivideAndConquerLoss
from metriclearn.deep.losses._group import GroupLoss, ManifoldLoss
from metriclearn.deep.losses._grouped import GroupedLoss
from metriclearn.deep.losses._hardest import AdaptiveTripletLoss, DynamicSoftMarginLoss
from metriclearn.deep.losses._matryoshka import Matryoshka
from metriclearn.deep.losses._memory import CrossBatchMemory
from metriclearn.deep.losses._moments import EmbeddingMomentsLoss, HighOrderLoss
from metriclearn.deep.losses._pair import (
    CircleLoss,
    LiftedStructureLoss,
    MultiSimilarityLoss,
    RankedListLoss,
)
from metriclearn.deep.losses._pair_terms import IntraPairVarianceLoss, ThresholdConsistentMarginLoss
from metriclearn.deep.losses._pair_weights import pair_weights
from metriclearn.deep.losses._proxy import (
    ProxyAnchorLoss,
    ProxyNCALoss,
    ProxyNCAPlusPlusLoss,
    SoftTripleLoss,
)
from metriclearn.deep.losses._ranking import (
    FastAPLoss,
    HistogramLoss,
    PNPLoss,
    RecallAtKLoss,
    SmoothAPLoss,
)
from metriclearn.deep.losses._regularizers import (
    AlignmentLoss,
    CenterLoss,
    EmbeddingNormLoss,
    UniformityLoss,
)
from metriclearn.deep.losses._repulsion import ProxyRepulsionLoss
from metriclearn.deep.losses._sampled import SampledProxies
from metriclearn.deep.losses._softmax import (
    CosFaceLoss,
    NormalizedSoftmaxLoss,
    P2SGradLoss,
    SoftmaxLoss,
)
from metriclearn.deep.losses._triplet import HierarchicalTripletLoss, TripletLoss
from metriclearn.deep.losses._two_views import (
    InstanceLoss,
    SemiSupervisedLoss,
    TwoViewLoss,
    VICRegLoss,
)
from metriclearn.deep.losses._wrappers import MinedLoss, ProxyRegularizer, WeightedSum

#: Short name to class, as ``DeepEmbedder(loss=...)`` takes it: each trains an embedding by itself.
LOSSES = {
    "contrastive": ContrastiveLoss,
    "snr_contrastive": SNRContrastiveLoss,
    "margin": MarginLoss,
    "multi_similarity": MultiSimilarityLoss,
    "circle": CircleLoss,
    "binomial_deviance": BinomialDevianceLoss,
    "boosted": BoostedLoss,
    "lifted_structure": LiftedStructureLoss,
    "ranked_list": RankedListLoss,
    "triplet": TripletLoss,
    "dynamic_soft_margin": DynamicSoftMarginLoss,
    "adaptive_triplet": AdaptiveTripletLoss,
    "hierarchical_triplet": HierarchicalTripletLoss,
    "label_distance_triplet": LabelDistanceTripletLoss,
    "log_ratio": LogRatioLoss,
    "angular": AngularLoss,
    "quadruplet": QuadrupletLoss,
    "tuplet_margin": TupletMarginLoss,
    "n_pair": NPairLoss,
    "ntxent": NTXentLoss,
    "infonce": InfoNCELoss,
    "supcon": SupConLoss,
    "soft_nearest_neighbor": SoftNearestNeighborLoss,
    "softmax": SoftmaxLoss,
    "normalized_softmax": NormalizedSoftmaxLoss,
    "p2s_grad": P2SGradLoss,
    "large_margin_softmax": LargeMarginSoftmaxLoss,
    "sphereface": SphereFaceLoss,
    "cosface": CosFaceLoss,
    "arcface": ArcFaceLoss,
    "subcenter_arcface": SubCenterArcFaceLoss,
    "proxy_nca": ProxyNCALoss,
    "proxy_nca++": ProxyNCAPlusPlusLoss,
    "soft_triple": SoftTripleLoss,
    "proxy_anchor": ProxyAnchorLoss,
    "proxy_repulsion": ProxyRepulsionLoss,
    "fastap": FastAPLoss,
    "smooth_ap": SmoothAPLoss,
    "pnp": PNPLoss,
    "recall_at_k": RecallAtKLoss,
    "histogram": HistogramLoss,
    "group": GroupLoss,
    "manifold": ManifoldLoss,
    "vicreg": VICRegLoss,
}

#: Losses made of another, ``DeepEmbedder(loss="grouped", loss_params={"loss": "proxy_anchor"})``.
WRAPPERS = {
    "grouped": GroupedLoss,
    "cascaded": CascadedLoss,
    "divide_and_conquer": DivideAndConquerLoss,
    "diverse_aggregation": DiverseAggregationLoss,
    "shared_characteristics": SharedCharacteristicsLoss,
    "matryoshka": Matryoshka,
    "embedding_moments": EmbeddingMomentsLoss,
    "high_order": HighOrderLoss,
    "self_distillation": SelfDistillationLoss,
    "sampled_proxies": SampledProxies,
    "cross_batch_memory": CrossBatchMemory,
    "semi_supervised": SemiSupervisedLoss,
    "two_views": TwoViewLoss,
    "weighted_sum": WeightedSum,
}

#: Terms to add to one of `LOSSES`, ``DeepEmbedder(loss="weighted_sum", loss_params={"losses":
#: ["proxy_anchor", "center"], "weights": [1, 0.01]})``; by themselves they may collapse.
REGULARIZERS = {
    "center": CenterLoss,
    "alignment": AlignmentLoss,
    "uniformity": UniformityLoss,
    "embedding_norm": EmbeddingNormLoss,
    "intra_pair_variance": IntraPairVarianceLoss,
    "threshold_consistent_margin": ThresholdConsistentMarginLoss,
    "instance": InstanceLoss,
}

__all__ = [
    "LOSSES",
    "REGULARIZERS",
    "WRAPPERS",
    "AdaptiveTripletLoss",
    "AlignmentLoss",
    "AngularLoss",
    "ArcFaceLoss",
    "BinomialDevianceLoss",
    "BoostedLoss",
    "CascadedLoss",
    "CenterLoss",
    "CircleLoss",
    "ContrastiveLoss",
    "CosFaceLoss",
    "CrossBatchMemory",
    "DiverseAggregationLoss",
    "DivideAndConquerLoss",
    "DynamicSoftMarginLoss",
    "EmbeddingMomentsLoss",
    "EmbeddingNormLoss",
    "FastAPLoss",
    "GroupLoss",
    "GroupedLoss",
    "HierarchicalTripletLoss",
    "HighOrderLoss",
    "HistogramLoss",
    "InfoNCELoss",
    "InstanceLoss",
    "IntraPairVarianceLoss",
    "LabelDistanceTripletLoss",
    "LargeMarginSoftmaxLoss",
    "LiftedStructureLoss",
    "LogRatioLoss",
    "ManifoldLoss",
    "MarginLoss",
    "Matryoshka",
    "MetricLoss",
    "MinedLoss",
    "MultiSimilarityLoss",
    "NPairLoss",
    "NTXentLoss",
    "NormalizedSoftmaxLoss",
    "P2SGradLoss",
    "PNPLoss",
    "ProxyAnchorLoss",
    "ProxyNCALoss",
    "ProxyNCAPlusPlusLoss",
    "ProxyRegularizer",
    "ProxyRepulsionLoss",
    "QuadrupletLoss",
    "RankedListLoss",
    "RecallAtKLoss",
    "SNRContrastiveLoss",
    "SampledProxies",
    "SelfDistillationLoss",
    "SemiSupervisedLoss",
    "SharedCharacteristicsLoss",
    "SmoothAPLoss",
    "SoftNearestNeighborLoss",
    "SoftTripleLoss",
    "SoftmaxLoss",
    "SphereFaceLoss",
    "SubCenterArcFaceLoss",
    "SupConLoss",
    "ThresholdConsistentMarginLoss",
    "TripletLoss",
    "TupletMarginLoss",
    "TwoViewLoss",
    "UniformityLoss",
    "VICRegLoss",
    "WeightedSum",
    "as_metric_loss",
    "pair_weights",
]
