"""Queries and documents: the loss by loops, its gradient in chunks, and the estimator."""

import copy
import math
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

import metriclearn
from metriclearn.deep import TwoTowerEmbedder
from metriclearn.deep.modules import EmbeddingNetwork, Head
from metriclearn.deep.pairs._towers import (
    PAIRS_AT_A_TIME,
    TowerBatch,
    TowerData,
    TowerLoss,
    TwoTowers,
    gradient,
)
from metriclearn.deep.training._rows import Rows

QUICK = {"max_epochs": 3, "batch_size": 64, "n_components": 8, "random_state": 0}
PLAIN = {"hidden_units": 16, "batch_norm": False, "noise": 0}


def related(n=200):
    """Two views of the same topics, of other widths."""
    rng = np.random.RandomState(0)
    topics = rng.randn(n, 4)
    return topics @ rng.randn(4, 6), topics @ rng.randn(4, 9)


def batch_of(n=12, seed=0):
    """Pairs that share some queries and documents, and two documents that are in none."""
    rng = np.random.RandomState(seed)
    pairs = np.unique(rng.randint(0, [7, 8], size=(n, 2)), axis=0)
    linked = np.zeros((7, 10), dtype=bool)
    linked[tuple(pairs.T)] = True
    linked[0, 9] = True  # a pair elsewhere in the training set
    rows = [torch.from_numpy(rng.randn(m, 5)) for m in (7, 10)]
    return TowerBatch(*rows, torch.from_numpy(pairs), linked)


@pytest.mark.parametrize("symmetric", [True, False])
def test_loss_is_its_formula(symmetric):
    batch = batch_of()
    Q, D = (nn.functional.normalize(rows, dim=1) for rows in (batch.queries, batch.documents))
    value = TowerLoss(0.3, symmetric)(Q, D, batch)
    terms = []
    for q, d in batch.pairs.tolist():

        def e(i, j):
            return math.exp(float(Q[i] @ D[j]) / 0.3)

        others = sum(e(q, j) for j in range(len(D)) if not batch.linked[q, j])
        term = -math.log(e(q, d) / (e(q, d) + others))
        if symmetric:
            others = sum(e(i, d) for i in range(len(Q)) if not batch.linked[i, d])
            term = (term - math.log(e(q, d) / (e(q, d) + others))) / 2
        terms.append(term)
    assert abs(value.item() - sum(terms) / len(terms)) < 1e-10


def towers_of(*layers, seed=0):
    torch.manual_seed(seed)
    made = [
        EmbeddingNetwork(nn.Sequential(nn.Linear(5, 16), *copy.deepcopy(layers)), Head((16,), 4))
        for _ in range(2)
    ]
    return TwoTowers(*made).double()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("size", [1, 5, 128])
def test_loss_of_some_pairs_at_a_time_is_that_of_all(size, symmetric):
    batch, criterion = batch_of(), TowerLoss(0.3, symmetric)
    found = []
    for at_a_time in (size, len(batch)):
        leaves = [rows.clone().requires_grad_() for rows in (batch.queries, batch.documents)]
        total = sum(criterion.parts(*leaves, batch, at_a_time))
        found.append([total, *torch.autograd.grad(total, leaves)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_gradient_in_chunks_is_that_of_the_whole(chunk_size):
    batch, criterion = batch_of(), TowerLoss(0.1, True)
    whole = towers_of(nn.ReLU())
    parts = copy.deepcopy(whole)
    losses = gradient(whole, criterion, batch), gradient(parts, criterion, batch, chunk_size)
    assert abs(losses[0] - losses[1]) < 1e-12
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-10)


def test_chunks_are_embedded_twice_alike():
    """Dropout draws the same, and batch normalization moves its statistics once."""
    batch, criterion = batch_of(), TowerLoss(0.1, True)
    ours = towers_of(nn.BatchNorm1d(16), nn.Dropout(0.5))
    theirs = copy.deepcopy(ours)
    torch.manual_seed(3)
    loss = gradient(ours, criterion, batch, 4)
    after = torch.rand(1)
    torch.manual_seed(3)
    embedded = [
        torch.cat([network(chunk) for chunk in rows.tensor_split(-(-len(rows) // 4))])
        for network, rows in (
            (theirs.queries, batch.queries),
            (theirs.documents, batch.documents),
        )
    ]
    expected = criterion(*embedded, batch)
    expected.backward()
    assert torch.equal(after, torch.rand(1))
    torch.testing.assert_close(loss, expected.detach(), rtol=0, atol=1e-12)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-10)
    for name in ("running_mean", "running_var"):
        one, other = (getattr(towers.queries.backbone[1], name) for towers in (ours, theirs))
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


class Held:
    """Bytes that graphs hold at a time, and the most of them."""

    def __init__(self):
        self.now = self.most = 0

    def pack(self, tensor):
        return Kept(self, tensor)

    def __enter__(self):
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self.pack, lambda kept: kept.tensor)
        self.hooks.__enter__()
        return self

    def __exit__(self, *error):
        self.hooks.__exit__(*error)


class Kept:
    def __init__(self, held, tensor):
        self.held, self.tensor = held, tensor
        held.now += tensor.numel()
        held.most = max(held.most, held.now)

    def __del__(self):
        self.held.now -= self.tensor.numel()


def test_memory_is_that_of_a_chunk():
    n, chunk = 512, 16
    rows = [torch.randn(n, 5, dtype=torch.float64) for _ in range(2)]
    own = torch.arange(n)
    towers = towers_of(nn.Linear(16, 4000), nn.Tanh(), nn.Linear(4000, 16))

    def most(size, chunk_size):
        batch = TowerBatch(
            rows[0][:size],
            rows[1][:size],
            torch.column_stack([own, own])[:size],
            np.eye(size, dtype=bool),
        )
        with Held() as held:
            gradient(towers, TowerLoss(0.1, True), batch, chunk_size)
        return held.most

    whole, chunked, single = most(n, None), most(n, chunk), most(chunk, chunk)
    embedded = 2 * 2 * n * 4  # all there, and their gradients
    assert chunked < 1.2 * single + 8 * n * PAIRS_AT_A_TIME + embedded < whole / 4


def test_batches_have_listed_negatives_and_know_all_pairs():
    rows = [Rows(np.arange(n, dtype=np.float32)[:, None], None, 1, "cpu") for n in (4, 6)]
    pairs = np.array([[0, 0], [1, 1], [2, 2], [0, 3], [1, 0]])
    negatives = np.array([[4, 5], [5, -1], [-1, -1], [4, 4], [2, -1]])
    batch, _ = TowerData(*rows, pairs, negatives).__getitems__([0, 1])
    assert batch.queries.read().ravel().tolist() == [0, 1]
    assert batch.documents.read().ravel().tolist() == [0, 1, 4, 5]
    assert batch.pairs.tolist() == [[0, 0], [1, 1]]
    linked = [[True, False, False, False], [True, True, False, False]]
    assert batch.linked_to_queries(torch.arange(2)).tolist() == linked
    assert batch.linked_to_documents(torch.tensor([1, 0])).tolist() == [[False, True], [True, True]]


def test_rows_of_a_chunk_are_read_where_they_are_embedded(monkeypatch):
    n, X = 30, np.random.RandomState(0).randn(2, 30, 5).astype(np.float32)
    data = TowerData(*(Rows(x, None, 1, "cpu") for x in X), np.column_stack([np.arange(n)] * 2))
    towers = towers_of(nn.Linear(16, 16)).float()
    batch = data.__getitems__(np.arange(n))[0]
    whole = TowerBatch(batch.queries.read(), batch.documents.read(), batch.pairs, batch.linked)
    expected = gradient(towers, TowerLoss(0.1, True), whole, 8)
    read, take = [], Rows.take
    monkeypatch.setattr(Rows, "take", lambda self, rows: read.append(len(rows)) or take(self, rows))
    assert gradient(towers, TowerLoss(0.1, True), batch, 8) == expected
    assert max(read) <= 8
    assert sum(read) == 2 * 2 * n


def test_batches_hold_no_matrix_of_queries_and_documents():
    n = 3000
    rows = [Rows(np.zeros((n, 1), np.float32), None, 1, "cpu") for _ in range(2)]
    data = TowerData(*rows, np.column_stack([np.arange(n)] * 2))
    tracemalloc.start()
    try:
        data.__getitems__(list(range(n)))
        assert tracemalloc.get_traced_memory()[1] < n**2 / 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("chunk_size", [None, 8])
def test_a_batch_of_one_document_or_query_is_learned_from(symmetric, chunk_size):
    """Batch normalization has nothing to measure there, as where many ask for one document."""
    Q, D = related(20)
    one = np.column_stack([np.arange(20), np.zeros(20, int)])
    arguments = {**QUICK, "batch_size": 10, "symmetric": symmetric, "chunk_size": chunk_size}
    model = TwoTowerEmbedder(**arguments).fit(Q, D, pairs=one)
    assert model.history_[-1]["train_loss"] == 0  # there is nothing else to find
    model = TwoTowerEmbedder(**arguments)
    hard = np.broadcast_to(np.arange(15, 20), (10, 5))
    model.fit(Q, D, pairs=np.column_stack([np.zeros(10, int), np.arange(10)]), negatives=hard)
    assert model.history_[-1]["train_loss"] > 0
    assert np.isfinite(model.transform(Q)).all()


def test_parts_are_set_one_by_one():
    Q, D = related(30)
    model = TwoTowerEmbedder(**QUICK).set_params(module__hidden_units=7)
    assert clone(model).get_params()["module__hidden_units"] == 7
    grid = {"module__hidden_units": [4, 9], "document_module__hidden_units": [5]}
    found = GridSearchCV(TwoTowerEmbedder(**QUICK), grid, cv=2).fit(Q, D).best_estimator_
    widths = [tower.head.feature_dim for tower in found.net_.module_.children()]
    assert widths[0] in (4, 9)
    assert widths[1] == 5
    with pytest.raises(ValueError, match="module_params has 'width'"):
        model.set_params(module__width=3)


def test_what_a_shared_encoder_does_not_use_is_named():
    Q = related(30)[0]
    for unused in ({"document_module": "mlp"}, {"document_module_params": {"hidden_units": 4}}):
        with pytest.warns(UserWarning, match=f"{next(iter(unused))}=.* has no effect here"):
            TwoTowerEmbedder(shared=True, **unused, **QUICK).fit(Q, Q)


@pytest.mark.parametrize("arguments", [{}, {"symmetric": False}, {"chunk_size": 32}])
def test_documents_of_new_queries_are_found(arguments):
    Q, D = related(400)
    model = TwoTowerEmbedder(**{**QUICK, "max_epochs": 20}, **arguments).fit(Q[:300], D[:300])
    assert model.score(Q[300:], D[300:]) > 0.5
    found = model.transform(Q), model.transform_documents(D)
    assert found[0].shape == found[1].shape == (400, 8)
    for rows in found:
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def test_trained_in_chunks_as_whole():
    Q, D = related()
    arguments = {**QUICK, "module_params": PLAIN}
    whole = TwoTowerEmbedder(**arguments).fit(Q, D)
    parts = TwoTowerEmbedder(**arguments, chunk_size=7).fit(Q, D)
    np.testing.assert_allclose(parts.transform(Q), whole.transform(Q), atol=1e-5)


@pytest.mark.parametrize("chunk_size", [None, 32])
def test_a_pair_left_over_joins_the_batch_before(chunk_size):
    towers = TwoTowerEmbedder(**QUICK, chunk_size=chunk_size).fit(*related(65))
    assert np.all(np.isfinite(towers.transform(related(65)[0])))


def test_pairs_say_what_belongs_together():
    """Three documents of each query, in an order of their own."""
    Q, D = related(120)
    rng = np.random.RandomState(1)
    copies = np.concatenate([D + 0.05 * rng.randn(*D.shape) for _ in range(3)])
    order = rng.permutation(360)
    pairs = np.column_stack([np.arange(360) % 120, np.argsort(order)])
    model = TwoTowerEmbedder(**{**QUICK, "max_epochs": 20}).fit(Q, copies[order], pairs=pairs)
    similarities = model.transform(Q) @ model.transform_documents(copies[order]).T
    best = np.argsort(-similarities, axis=1)[:, 0]
    assert np.mean(order[best] % 120 == np.arange(120)) > 0.6


def test_hard_negatives_are_pushed_away():
    Q, D = related(100)
    rng = np.random.RandomState(1)
    hard = D + 0.3 * rng.randn(*D.shape)
    pool, negatives = np.concatenate([D, hard]), np.arange(100, 200)[:, None]
    arguments = {**QUICK, "max_epochs": 15, "batch_size": 16}
    pairs = np.column_stack([np.arange(100)] * 2)

    def lead(model):
        Z = model.transform(Q)
        own, other = (np.sum(Z * model.transform_documents(part), axis=1) for part in (D, hard))
        return np.mean(own > other)

    plain = TwoTowerEmbedder(**arguments).fit(Q, pool, pairs=pairs)
    listed = TwoTowerEmbedder(**arguments).fit(Q, pool, pairs=pairs, negatives=negatives)
    assert lead(listed) > lead(plain)


def test_images_and_vectors_meet():
    images = load_digits().images[:200]
    rows = images.reshape(200, -1)[:, ::2]
    model = TwoTowerEmbedder(
        "convnet", "mlp", module_params={"channels": (4, 8)}, **QUICK
    ).fit(images, rows)  # fmt: skip
    assert model.transform(images).shape == model.transform_documents(rows).shape
    with pytest.raises(ValueError, match="Documents was fitted on rows"):
        model.transform_documents(images)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
def test_saved_and_loaded(shared, whole, tmp_path):
    Q, D = related()
    D = Q + 0.1 if shared else D
    model = TwoTowerEmbedder(**QUICK, shared=shared).fit(Q, D)
    if whole:
        metriclearn.save(model, tmp_path / "model")
        again = metriclearn.load(tmp_path / "model")
    else:
        model.save(tmp_path / "file")
        again = TwoTowerEmbedder.load(tmp_path / "file")
    np.testing.assert_array_equal(again.transform(Q), model.transform(Q))
    np.testing.assert_array_equal(again.transform_documents(D), model.transform_documents(D))
    assert again.history_ == model.history_
    assert again.n_document_features_in_ == model.n_document_features_in_
    if shared:
        np.testing.assert_array_equal(model.transform(D), model.transform_documents(D))
        assert model.net_.module_.queries is model.net_.module_.documents


def test_scikit_learns_checks():
    check_estimator(TwoTowerEmbedder(max_epochs=1, random_state=0))


def test_searches_clones_and_pickles():
    Q, D = related()
    search = GridSearchCV(TwoTowerEmbedder(**QUICK), {"temperature": [0.02, 5.0]}, cv=2).fit(Q, D)
    assert search.best_params_["temperature"] in (0.02, 5.0)
    model = TwoTowerEmbedder(**QUICK).fit(Q, D)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(Q), model.transform(Q))
    np.testing.assert_array_equal(clone(model).fit(Q, D).transform(Q), model.transform(Q))
    assert len(model.get_feature_names_out()) == 8


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        ({}, {"y": np.ones((5, 2))}, "10 queries and y 5 documents"),
        ({}, {"y": None}, "requires y"),
        ({}, {"y": np.full((10, 2), np.nan)}, "NaN"),
        ({}, {"pairs": [[0, 10], [1, 1]]}, "row 10 of y"),
        ({}, {"pairs": [[10, 0], [1, 1]]}, "row 10 of X"),
        ({}, {"pairs": [[-1, 0], [1, 1]]}, "pairs names row -1"),
        ({}, {"pairs": [[0.5, 0], [1, 1]]}, "pairs must hold row numbers"),
        ({}, {"pairs": [[0, 1, 2]]}, r"pairs must be of shape \(n, 2\)"),
        ({}, {"negatives": [[0]]}, "a row for each of the 10 pairs"),
        ({}, {"negatives": np.full((10, 1), 10)}, "negatives names row 10"),
        ({}, {"negatives": np.full((10, 1), -2)}, "negatives names row -2"),
        ({"shared": True}, {}, "of one kind"),
        ({"temperature": 0.0}, {}, "temperature"),
        ({"chunk_size": 0}, {}, "chunk_size"),
        (
            {"module": "adapter", "n_components": 3},
            {},
            "3 dimensions and that of documents 2",
        ),
        ({"chunk_size": 1}, {}, "chunk_size=1 leaves batch normalization one row"),
    ],
)
def test_one_error(arguments, given, message):
    given = {"X": np.random.RandomState(0).randn(10, 3), "y": np.eye(10)[:, :2], **given}
    with pytest.raises(ValueError, match=message):
        TwoTowerEmbedder(**{**QUICK, **arguments}).fit(**given)
