"""Measures of embeddings: retrieval, verification, identification, clusters, shape."""

from metriclearn._lazy import lazy

_EXPORTS = {
    "jaccard_relevance": "metriclearn.metrics._relevance",
    "RetrievalResult": "metriclearn.metrics._retrieval",
    "retrieve": "metriclearn.metrics._retrieval",
    "retrieval_scores": "metriclearn.metrics._retrieval",
    "recall_at_k": "metriclearn.metrics._measures",
    "share_found_at_k": "metriclearn.metrics._measures",
    "precision_at_k": "metriclearn.metrics._measures",
    "r_precision": "metriclearn.metrics._measures",
    "map_at_r": "metriclearn.metrics._measures",
    "map_at_k": "metriclearn.metrics._measures",
    "mrr": "metriclearn.metrics._measures",
    "ndcg_at_k": "metriclearn.metrics._measures",
    "make_retrieval_scorer": "metriclearn.metrics._scorers",
    "get_scorer": "metriclearn.metrics._scorers",
    "recall_at_1_scorer": "metriclearn.metrics._scorers",
    "r_precision_scorer": "metriclearn.metrics._scorers",
    "map_at_r_scorer": "metriclearn.metrics._scorers",
    "verification_curve": "metriclearn.metrics._verification",
    "equal_error_rate": "metriclearn.metrics._verification",
    "tar_at_far": "metriclearn.metrics._verification",
    "fpr_at_tpr": "metriclearn.metrics._verification",
    "best_threshold": "metriclearn.metrics._verification",
    "verification_accuracy": "metriclearn.metrics._verification",
    "VerificationPairs": "metriclearn.metrics._protocol",
    "verification_pairs": "metriclearn.metrics._protocol",
    "bootstrap_interval": "metriclearn.metrics._bootstrap",
    "bootstrap_over_identities": "metriclearn.metrics._bootstrap",
    "cluster_scores": "metriclearn.metrics._embedding",
    "pairwise_f1": "metriclearn.metrics._embedding",
    "hubness": "metriclearn.metrics._hubness",
    "k_occurrence": "metriclearn.metrics._hubness",
    "few_shot_accuracy": "metriclearn.metrics._few_shot",
    "RecallGrowth": "metriclearn.metrics._growth",
    "recall_growth": "metriclearn.metrics._growth",
    "identification_rate_at_far": "metriclearn.metrics._identification",
    "oscr": "metriclearn.metrics._identification",
    "alignment": "metriclearn.metrics._embedding",
    "uniformity": "metriclearn.metrics._embedding",
    "effective_rank": "metriclearn.metrics._embedding",
    "intra_inter_ratio": "metriclearn.metrics._embedding",
}

__all__ = [*_EXPORTS]
__getattr__, __dir__ = lazy(__name__, _EXPORTS)
