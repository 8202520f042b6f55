"""Overlap of label sets as relevance, against sets."""

import numpy as np
import pytest
from scipy import sparse

from metriclearn.metrics import jaccard_relevance, ndcg_at_k, recall_at_k


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("least", [0.0, 0.4])
def test_it_is_the_overlap_of_sets(make, least):
    rng = np.random.RandomState(0)
    A, B = rng.rand(12, 6) < 0.4, rng.rand(9, 6) < 0.4
    A[0] = False
    found = jaccard_relevance(make(A.astype(int)), make(B.astype(int)), least=least).toarray()
    for i in range(12):
        for j in range(9):
            a, b = set(np.flatnonzero(A[i])), set(np.flatnonzero(B[j]))
            share = len(a & b) / len(a | b) if a & b else 0.0
            assert found[i, j] == pytest.approx(share if share >= least else 0.0)


def test_measures_take_it():
    rng = np.random.RandomState(0)
    labels, Z = rng.rand(40, 5) < 0.4, rng.randn(40, 3)
    labels[:, 0] = True
    relevance = jaccard_relevance(labels)
    found = ndcg_at_k(Z, k=5, relevance=relevance)
    assert found == pytest.approx(ndcg_at_k(Z, k=5, relevance=relevance.toarray()))
    # Of single labels it is the measure of classes.
    y = rng.randint(4, size=40)
    single = jaccard_relevance(np.eye(4)[y])
    assert recall_at_k(Z, k=1, relevance=single) == recall_at_k(Z, y, k=1)


@pytest.mark.parametrize(
    ("labels", "gallery", "least", "message"),
    [
        ([1, 0], None, 0, "indicators of shape"),
        ([["a"]], None, 0, "indicators of shape"),
        ([[0.5, 1]], None, 0, "0 and 1 only"),
        ([[np.nan, 1]], None, 0, "0 and 1 only"),
        ([[1, 0]], [[1, 0, 0]], 0, "3 labels, labels has 2"),
        ([[1, 0]], None, 2, "least must be from 0 to 1"),
        ([(0, 1), (1,)], None, 0.0, "indicators of shape"),
        ([[0, 1]], None, [[0.5]], "least must be from 0 to 1"),
    ],
)
def test_one_error(labels, gallery, least, message):
    with pytest.raises(ValueError, match=message):
        jaccard_relevance(labels, gallery, least=least)


def test_only_rows_of_the_same_super_label_are_searched():
    """A query among rows of its super-label: the others are left out by ``ignore``."""
    rng = np.random.RandomState(0)
    y, Z = rng.randint(6, size=60), rng.randn(60, 3)
    parents = y // 3
    inside = [
        recall_at_k(Z[parents == p], y[parents == p], k=1) * np.sum(parents == p) for p in (0, 1)
    ]
    found = recall_at_k(Z, y, k=1, ignore=parents[:, None] != parents)
    assert found == pytest.approx(sum(inside) / 60)
