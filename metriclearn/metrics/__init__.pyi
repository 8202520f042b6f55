"""The public names: type checkers read them here, and the package loads them from here."""

from metriclearn.metrics._axioms import AxiomCheck as AxiomCheck
from metriclearn.metrics._axioms import check_metric as check_metric
from metriclearn.metrics._bootstrap import bootstrap_interval as bootstrap_interval
from metriclearn.metrics._bootstrap import bootstrap_over_identities as bootstrap_over_identities
from metriclearn.metrics._embedding import alignment as alignment
from metriclearn.metrics._embedding import cluster_scores as cluster_scores
from metriclearn.metrics._embedding import effective_rank as effective_rank
from metriclearn.metrics._embedding import intra_inter_ratio as intra_inter_ratio
from metriclearn.metrics._embedding import pairwise_f1 as pairwise_f1
from metriclearn.metrics._embedding import uniformity as uniformity
from metriclearn.metrics._few_shot import few_shot_accuracy as few_shot_accuracy
from metriclearn.metrics._growth import RecallGrowth as RecallGrowth
from metriclearn.metrics._growth import recall_growth as recall_growth
from metriclearn.metrics._hubness import hubness as hubness
from metriclearn.metrics._hubness import k_occurrence as k_occurrence
from metriclearn.metrics._hubness import mutual_proximity as mutual_proximity
from metriclearn.metrics._identification import (
    identification_rate_at_far as identification_rate_at_far,
)
from metriclearn.metrics._identification import oscr as oscr
from metriclearn.metrics._label_errors import median_label_error as median_label_error
from metriclearn.metrics._measures import map_at_k as map_at_k
from metriclearn.metrics._measures import map_at_r as map_at_r
from metriclearn.metrics._measures import mrr as mrr
from metriclearn.metrics._measures import ndcg_at_k as ndcg_at_k
from metriclearn.metrics._measures import precision_at_k as precision_at_k
from metriclearn.metrics._measures import r_precision as r_precision
from metriclearn.metrics._measures import recall_at_k as recall_at_k
from metriclearn.metrics._measures import share_found_at_k as share_found_at_k
from metriclearn.metrics._protocol import VerificationPairs as VerificationPairs
from metriclearn.metrics._protocol import verification_pairs as verification_pairs
from metriclearn.metrics._relevance import jaccard_relevance as jaccard_relevance
from metriclearn.metrics._retrieval import RetrievalResult as RetrievalResult
from metriclearn.metrics._retrieval import retrieval_scores as retrieval_scores
from metriclearn.metrics._retrieval import retrieve as retrieve
from metriclearn.metrics._scorers import get_scorer as get_scorer
from metriclearn.metrics._scorers import make_retrieval_scorer as make_retrieval_scorer
from metriclearn.metrics._scorers import map_at_r_scorer as map_at_r_scorer
from metriclearn.metrics._scorers import r_precision_scorer as r_precision_scorer
from metriclearn.metrics._scorers import recall_at_1_scorer as recall_at_1_scorer
from metriclearn.metrics._verification import best_threshold as best_threshold
from metriclearn.metrics._verification import equal_error_rate as equal_error_rate
from metriclearn.metrics._verification import fpr_at_tpr as fpr_at_tpr
from metriclearn.metrics._verification import tar_at_far as tar_at_far
from metriclearn.metrics._verification import verification_accuracy as verification_accuracy
from metriclearn.metrics._verification import verification_curve as verification_curve
