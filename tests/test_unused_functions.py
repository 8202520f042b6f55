"""An argument of a function, a splitter, a sampler or an index acts, or its name is said."""

import inspect

import numpy as np
import pytest
from helpers.unused import outcome

from metriclearn import constraints as C
from metriclearn import metrics as M
from metriclearn import model_selection as S
from metriclearn.neighbors import OpenSetClassifier, RetrievalIndex

RNG = np.random.RandomState(0)
Y = np.repeat(np.arange(8), 6)
X = RNG.randn(48, 3) + RNG.randn(8, 3)[Y]
ANGLES = RNG.rand(48) * 360
ELSEWHERE = X + 0.3 * RNG.randn(48, 3)
SAME = RNG.rand(60) < 0.5
FAR = RNG.rand(60) + 0.4 * ~SAME
WEIGHTS = RNG.rand(60)
PEOPLE = np.where(SAME[:, None], RNG.randint(20, size=(60, 1)), np.c_[np.zeros(60), np.ones(60)])
TUPLES = RNG.randn(10, 4, 3)
IGNORED = RNG.rand(48, 48) < 0.3
TABLE = RNG.rand(12, 12)
SIGNS = np.repeat([1, -1], 5)
ROWS = {"embeddings": X, "labels": Y}
GALLERY = {**ROWS, "gallery": ELSEWHERE[Y < 5], "gallery_labels": Y[Y < 5]}
PAIRS = {"same": SAME, "distances": FAR}
SEED = {"random_state": 0}


def split(splitter):
    return lambda **given: [
        [part.tolist() for part in parts] for parts in splitter(**given).split(X, Y)
    ]


def searched(**given):
    index = RetrievalIndex(metric=given.pop("metric", "euclidean"))
    index.add(X, payload={"class": Y})
    return list(index.search(ELSEWHERE, **given))


def decided(**given):
    fitted = OpenSetClassifier(**given).fit(X, Y)
    return [fitted.decision_function(ELSEWHERE), fitted.predict(ELSEWHERE)]


# Function, arguments, and other values of these and of others; a seed that nothing is drawn by
# stays out.
CASES = [
    (C.chunks_from_labels, {"y": Y}, {"n_chunks": 5, "chunk_size": 3}),
    (C.chunks_from_labels, {"y": Y, "n_chunks": 5, **SEED}, {"chunk_size": 3, "random_state": 1}),
    (C.pairs_from_labels, {"y": Y, "n_pairs": 10, **SEED}, {"n_pairs": 5, "random_state": 1}),
    (
        C.quadruplets_from_labels,
        {"y": Y, "n_quadruplets": 9, **SEED},
        {"n_quadruplets": 5, "random_state": 1},
    ),
    (
        C.triplets_from_labels,
        {"y": Y, **SEED},
        {"X": X, "n_positives": 2, "n_negatives": 3, "n_triplets": 7, "random_state": 1},
    ),
    (
        C.triplets_from_labels,
        {"y": Y, "n_triplets": 9, **SEED},
        {"X": X, "n_positives": 2, "n_negatives": 3, "random_state": 1},
    ),
    (
        C.triplets_from_labels,
        {"y": Y, "X": X, **SEED},
        {"n_positives": 2, "n_negatives": 3, "n_triplets": 7},
    ),
    (
        C.constraints_from_tuples,
        {"tuples": TUPLES[:, :2], "similar": SIGNS},
        {"similar": -SIGNS, "weights": np.arange(1.0, 11)},
    ),
    (
        C.constraints_from_tuples,
        {"tuples": TUPLES[:, :3]},
        {"similar": SIGNS, "weights": np.arange(1.0, 11)},
    ),
    (
        C.constraints_from_tuples,
        {"tuples": TUPLES},
        {"similar": SIGNS, "weights": np.arange(1.0, 11)},
    ),
    (split(S.ClassDisjointKFold), {"n_splits": 3}, {"n_splits": 2, "shuffle": True, **SEED}),
    (
        split(S.ClassDisjointKFold),
        {"n_splits": 3, "shuffle": True, **SEED},
        {"random_state": 1},
    ),
    (
        split(S.ClassDisjointShuffleSplit),
        SEED,
        {"n_splits": 2, "test_size": 0.7, "train_size": 0.3, "random_state": 1},
    ),
    (split(S.ClassShiftSplit), {"n_splits": 3}, {"n_splits": 2}),
    *(
        (
            split(S.OpenSetSplit),
            base,
            {
                "test_size": 0.25,
                "validation_size": 0.5,
                "n_folds": 3,
                "random_state": 3,
                # Without a seed it may draw what stands there anyway.
                **({"validation": "random", "shuffle": False} if "random_state" in base else {}),
            },
        )
        for base in (
            {},
            {"n_folds": 2},
            {"shuffle": True, **SEED},
            {"n_folds": 2, "shuffle": True, **SEED},
        )
    ),
    (
        M.bootstrap_interval,
        {"values": X[:, 0], **SEED},
        {"groups": Y, "confidence": 0.5, "n_resamples": 50, "random_state": 1},
    ),
    (
        M.bootstrap_over_identities,
        {"measure": M.equal_error_rate, **PAIRS, "identities": PEOPLE, "n_resamples": 30, **SEED},
        {"confidence": 0.5, "n_resamples": 20, "random_state": 1},
    ),
    (M.alignment, ROWS, {"alpha": 1.0}),
    (M.uniformity, {"embeddings": X}, {"t": 1.0}),
    (M.cluster_scores, {**ROWS, "n_init": 1, "random_state": 4}, {"n_init": 9, "random_state": 0}),
    (M.intra_inter_ratio, {**ROWS, "max_rows": 20}, {"max_rows": 30, "random_state": 1}),
    (
        M.few_shot_accuracy,
        {**ROWS, "n_queries": 3, "n_episodes": 20, **SEED},
        {"n_ways": 3, "n_shots": 2, "n_queries": 2, "n_episodes": 10, "random_state": 1},
    ),
    (M.recall_growth, ROWS, {"gallery": ELSEWHERE, "gallery_labels": Y}),
    *(
        (function, {"embeddings": X}, {"k": 3, "gallery": ELSEWHERE, "metric": "cosine"})
        for function in (M.hubness, M.k_occurrence)
    ),
    (M.mutual_proximity, {"distances": TABLE + TABLE.T}, {"form": "empirical"}),
    (
        M.identification_rate_at_far,
        {**GALLERY, "far": 0.5},
        {"far": 0.1, "rank": 3, "metric": "cosine"},
    ),
    (
        M.median_label_error,
        {"embeddings": X, "labels": np.c_[ANGLES, X]},
        {"parts": [[0], [1, 2, 3]]},
    ),
    (S.frechet_distance, {"A": X, "B": ELSEWHERE}, {"A": X[:9], "B": X[9:]}),
    (
        M.check_metric,
        {"distance": lambda a, b: (a - b) @ (a - b), "X": X, "n_triplets": 9},
        {"n_triplets": 99, "tol": 5.0, "random_state": 1},
    ),
    (M.oscr, GALLERY, {"metric": "cosine"}),
    (
        M.median_label_error,
        {"embeddings": X, "labels": ANGLES},
        {
            "period": 90.0,
            "gallery": ELSEWHERE,
            "gallery_labels": ANGLES,
            "metric": "cosine",
            "average": False,
        },
    ),
    *(
        (
            function,
            base,
            {
                **further,
                "gallery": ELSEWHERE[::-1],
                "gallery_labels": Y % 4,
                "queries_in_gallery": np.arange(48),
                "ignore": IGNORED,
                "metric": "cosine",
                "relevance": 2.0,
            },
        )
        for function, further in (
            (M.retrieve, {"k": 3}),
            (M.retrieval_scores, {"measures": "mrr", "average": False}),
        )
        for base in (ROWS, {**ROWS, "gallery": ELSEWHERE, "gallery_labels": Y})
    ),
    (
        M.retrieve,
        {"embeddings": X, "relevance": np.eye(48)[::-1]},
        {"labels": Y, "gallery_labels": Y},
    ),
    (M.best_threshold, PAIRS, {"criterion": "eer", "max_fpr": 0.3, "sample_weight": WEIGHTS}),
    (M.best_threshold, {**PAIRS, "criterion": "max_tpr"}, {"max_fpr": 0.3}),
    (M.equal_error_rate, PAIRS, {"sample_weight": WEIGHTS}),
    (M.fpr_at_tpr, PAIRS, {"tpr": 0.5, "sample_weight": WEIGHTS}),
    (M.tar_at_far, PAIRS, {"far": 0.3, "sample_weight": WEIGHTS}),
    (M.verification_accuracy, PAIRS, {"folds": 4}),
    (M.verification_curve, PAIRS, {"sample_weight": WEIGHTS}),
    (
        M.verification_pairs,
        {"labels": Y, "n_folds": 2, "n_pairs": 5, **SEED},
        {"n_folds": 3, "n_pairs": 4, "random_state": 1},
    ),
    (
        M.jaccard_relevance,
        {"labels": IGNORED[:10, :4]},
        {"gallery_labels": IGNORED[:5, :4], "least": 0.5},
    ),
    (
        searched,
        {"k": 5},
        {
            "k": 3,
            "where": {"class": [1, 2]},
            "max_distance": 0.5,
            "rerank": lambda queries, ids: ids,
            "metric": "cosine",
        },
    ),
    (
        decided,
        SEED,
        {
            "false_identification_rate": 0.3,
            "calibration_size": 0.5,
            "metric": "cosine",
            "unknown_label": 99,
        },
    ),
]


def plain(value):
    """Write a result down, so that two can be compared."""
    if hasattr(value, "__dataclass_fields__"):
        value = vars(value)
    if hasattr(value, "toarray"):
        value = value.toarray()
    if isinstance(value, dict):
        value = [value[name] for name in sorted(value)]
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if value is None else np.asarray(value).tolist()


def ignored(function, base, others):
    """Name the arguments that change nothing, and of which nothing is said."""
    before, error = outcome(lambda: function(**base))
    assert before is not None, error
    found = []
    for name, value in others.items():
        after, text = outcome(lambda name=name, value=value: function(**{**base, name: value}))
        same = after is None or repr(plain(after)) == repr(plain(before))
        if same and name not in text:
            found.append(name)
    return found


@pytest.mark.parametrize(("function", "base", "others"), CASES)
@pytest.mark.filterwarnings("ignore:.*false_identification_rate")
def test_every_argument_acts_or_is_named(function, base, others):
    assert not ignored(function, base, others)


# What is given to be looked at, and no setting.
GIVEN = {
    "X", "distance", "distances", "embeddings", "estimator", "identities", "indices", "labels",
    "labels_pred", "labels_true", "measure", "same", "tuples", "values", "y",
}  # fmt: skip
# Those that are a name for a method of `retrieve`'s result, and take its arguments.
SHORT = {
    "get_scorer", "make_retrieval_scorer", "map_at_k", "map_at_r", "mrr", "ndcg_at_k",
    "precision_at_k", "r_precision", "recall_at_k", "share_found_at_k",
}  # fmt: skip


@pytest.mark.parametrize("module", [C, M, S])
def test_no_function_is_left_out(module):
    seen = {}
    for function, base, others in CASES:
        seen.setdefault(function, set()).update(base, others)
    for name in set(module.__all__) - SHORT:
        function = getattr(module, name)
        if inspect.isfunction(function) and name != "check_constraints":
            takes = set(inspect.signature(function).parameters) - GIVEN
            assert takes <= seen.get(function, set()), name
