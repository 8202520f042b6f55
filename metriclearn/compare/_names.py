"""Names that the command lists without loading a learner; tests hold that they are all.

Importing ``metriclearn.deep.losses`` would load torch.
"""

from metriclearn.mahalanobis import LEARNERS

#: Data sets that come with scikit-learn.
SOURCE_NAMES = ("digits", "wine", "iris", "breast_cancer", "olivetti")


#: Name of a loss to what tables call it, in the order of `metriclearn.deep.losses.LOSSES`.
LOSS_NAMES = {
    "contrastive": "contrastive",
    "snr_contrastive": "SNR contrastive",
    "margin": "margin",
    "multi_similarity": "multi-similarity",
    "circle": "circle",
    "binomial_deviance": "binomial deviance",
    "boosted": "boosted (BIER)",
    "lifted_structure": "lifted structure",
    "ranked_list": "ranked list",
    "triplet": "triplet",
    "dynamic_soft_margin": "dynamic soft margin",
    "adaptive_triplet": "adaptive triplet",
    "hierarchical_triplet": "hierarchical triplet",
    "label_distance_triplet": "label-distance triplet",
    "log_ratio": "log-ratio",
    "angular": "angular",
    "quadruplet": "quadruplet",
    "tuplet_margin": "tuplet margin",
    "n_pair": "N-pair",
    "ntxent": "NT-Xent",
    "infonce": "InfoNCE",
    "supcon": "SupCon",
    "soft_nearest_neighbor": "soft nearest neighbor",
    "softmax": "softmax",
    "normalized_softmax": "normalized softmax",
    "p2s_grad": "P2SGrad",
    "large_margin_softmax": "large-margin softmax",
    "sphereface": "SphereFace",
    "cosface": "CosFace",
    "arcface": "ArcFace",
    "subcenter_arcface": "sub-center ArcFace",
    "proxy_nca": "Proxy-NCA",
    "proxy_nca++": "Proxy-NCA++",
    "soft_triple": "SoftTriple",
    "proxy_anchor": "Proxy-Anchor",
    "proxy_repulsion": "proxy repulsion",
    "fastap": "FastAP",
    "smooth_ap": "Smooth-AP",
    "pnp": "PNP",
    "recall_at_k": "Recall@k",
    "histogram": "histogram",
    "group": "group",
    "manifold": "manifold",
    "vicreg": "VICReg",
}

#: Other names of a learner.
ALIASES = {"covariance": "mahalanobis", "mean": "majority"}
#: What ``learners`` takes by name.
LEARNER_NAMES = (
    "majority",
    "boosting",
    "euclidean",
    "standardized",
    "cosine",
    "pca",
    "selected",
    "lda",
    *(ALIASES.get(name.lower(), name.lower()) for name in LEARNERS),
    *LOSS_NAMES,
    "linear_on_deep",
    "adapter_proxy_anchor",
    "adapter_supcon",
    "pixels",
    "finetune_proxy_anchor",
    "finetune_multi_similarity",
)
#: What a family is, from the simplest to the most costly; ``simplest`` goes by this order.
FAMILIES = {
    "reference": "no metric, to compare with",
    "baseline": "nothing learned from labels",
    "linear": "linear",
    "kernel": "kernel",
    "deep": "deep",
    "stacked": "linear on deep",
    "own": "yours",
}
