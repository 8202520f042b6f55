"""Training that learns nothing says so, with the cause and the remedy."""

import re
import warnings

import numpy as np
import pytest
import torch
from helpers.embedders import make, quick
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from metriclearn.constraints import Pairs, Triplets
from metriclearn.deep import DeepEmbedder
from metriclearn.deep.losses import LOSSES, CenterLoss, TripletLoss
from metriclearn.deep.training import _split
from metriclearn.deep.training._data import ConstraintData, linked_groups
from metriclearn.deep.training._rows import Rows
from metriclearn.deep.training._split import split_rows


def rows(n=120, width=5, seed=0):
    return np.random.RandomState(seed).randn(n, width).astype(np.float32)


def singles():
    return quick(miner=None, sampler="unbalanced"), (rows(), np.arange(120)), {}


def apart():
    y = np.arange(120) % 4
    return (100 * np.eye(5)[y] + rows()).astype(np.float32), y


def semi_hard():
    """Each class stands at the same two points: no negative is a little farther than a positive."""
    y = np.arange(120) % 4
    return quick("linear"), (np.eye(5, dtype=np.float32)[(np.arange(120) // 4) % 2], y), {}


def met_triplets():
    X = rows()
    X[::3] += 50
    triplets = Triplets(np.column_stack([np.arange(0, 60, 3), np.arange(60, 120, 3),
                                         np.arange(1, 61, 3)]))  # fmt: skip
    return quick("linear", loss_params={"margin": 0.01}), (X,), {"constraints": triplets}


def amounts():
    embedder = quick(loss="label_distance_triplet", loss_params={"near": 1e-6, "far": 1e-6})
    return embedder, (rows(), 100 * rows(width=2)), {}


ZERO = r"^the loss was 0 in every batch of epoch \d+: "


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (singles, "no two rows of a batch are of one class; give classes of at least two rows"),
        (semi_hard, "SemiHardMiner found nothing for the loss to change; take another miner"),
        (met_triplets, "every constraint is met; raise the loss's margin"),
        (
            amounts,
            r"no two labels differ .* in the units of y \(loss_params={'near': \.\.\., 'far'",
        ),
    ],
)
def test_loss_of_zero_in_every_batch_is_a_warning_with_cause_and_remedy(case, message):
    embedder, data, given = case()
    with pytest.warns(ConvergenceWarning, match=ZERO + message) as seen:
        embedder.fit(*data, **given)
    assert sum(warning.category is ConvergenceWarning for warning in seen) == 1  # once a run
    assert min(row["train_loss"] for row in embedder.history_) == 0


@pytest.mark.parametrize("miner", [None, "auto", "batch_hard"])
@pytest.mark.parametrize("go_on", [False, True], ids=["one run", "partial_fit"])
def test_a_loss_that_comes_down_to_zero_is_no_warning(miner, go_on):
    """All is learned that there was to learn."""
    X, y = apart()
    embedder = quick("linear", miner=miner, lr=0.1, max_epochs=20).fit(X, y)
    if go_on:
        embedder.partial_fit(X, y)
    losses = [row["train_loss"] for row in embedder.history_]
    assert losses[0] > 0
    assert losses[-1] == 0


@pytest.mark.parametrize("miner", [None, "auto"])
def test_classes_that_the_first_weights_keep_apart_are_no_warning(miner):
    y = np.arange(120) % 4
    X = np.repeat(np.eye(4)[y], 8, axis=1) + 1e-3 * rows(width=32)
    embedder = quick("linear", miner=miner, n_components=32, loss_params={"margin": 0.01})
    assert embedder.fit(X.astype(np.float32), y).history_[0]["train_loss"] == 0


class NothingActive(TripletLoss):
    """A value that is not zero, of no triplet."""

    def compute(self, embeddings, labels, **given):
        value = super().compute(embeddings, labels, **given)
        self._active = 0
        return value + 1


def test_epoch_without_an_active_tuple_is_a_warning():
    with pytest.warns(ConvergenceWarning, match="^nothing was active in any batch of epoch 1: ev"):
        quick(loss=NothingActive(), miner=None).fit(*make())


@pytest.mark.parametrize("loss", LOSSES)
def test_ordinary_training_warns_of_nothing(loss):
    X, y = make(apart=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(loss=loss, max_epochs=2).fit(X, y)


def test_collapse_is_a_warning():
    """Hardest triplets of classes that cannot be told apart: all to one point is the best."""
    rng = np.random.RandomState(0)
    X, y = rng.randn(300, 5).astype(np.float32), np.arange(300) % 3
    embedder = quick(
        "linear",
        miner="batch_hard",
        head_params={"normalize": False},
        lr=0.01,
        max_epochs=40,
        schedule="constant",
    )
    with pytest.warns(
        ConvergenceWarning, match=r"collapsed by epoch \d+: they are 10 times closer"
    ):
        embedder.fit(X, y)
    assert embedder.transform(X).std(axis=0).max() < 0.2


def test_two_classes_at_one_point_are_a_collapse():
    """Two classes that cannot be told apart, beside one that can: the spread stays."""
    rng = np.random.RandomState(0)
    y = np.arange(150) % 3
    X = rng.randn(150, 4) + 10 * np.eye(4)[np.minimum(y, 1)]
    X = X.astype(np.float32)
    hard = quick("linear", miner="batch_hard", n_components=2, lr=0.05, max_epochs=60)
    with pytest.warns(ConvergenceWarning, match=r"half of the rows or more stand at one point"):
        hard.fit(X, y)
    clone(hard).set_params(miner="semi_hard").fit(X, y)  # warnings are errors


@pytest.mark.slow
@pytest.mark.parametrize("miner", ["auto", "batch_hard", None])
@pytest.mark.parametrize("load", [load_iris, load_wine, load_digits, load_breast_cancer])
def test_embeddings_that_tell_the_classes_apart_are_no_collapse(load, miner):
    """Warnings are errors."""
    X, y = load(return_X_y=True)
    embedder = DeepEmbedder(miner=miner, random_state=0).fit(StandardScaler().fit_transform(X), y)
    assert embedder.history_


# Pairs that are all similar


def chain(n=200):
    return Pairs(np.arange(2 * n).reshape(n, 2), np.ones(n, bool))


@pytest.mark.parametrize("loss", [k for k, v in LOSSES.items() if "pairs" in v.accepts])
def test_pairs_that_are_all_similar_are_told_from_the_rest_of_the_batch(loss):
    rng = np.random.RandomState(0)
    points = rng.randn(200, 8)
    X = np.repeat(points, 2, axis=0) + 0.3 * rng.randn(400, 8)
    X = np.column_stack([X, 3 * rng.randn(400, 8)]).astype(np.float32)  # half of it is noise

    def rank(Z):
        d = np.linalg.norm(Z[::2, None] - Z[None, 1::2], axis=2)
        return np.mean(d < np.diag(d)[:, None])

    embedder = quick("linear", loss, max_epochs=15, lr=1e-2).fit(X, constraints=chain())
    assert embedder.history_[0]["train_loss"] > 0
    assert rank(embedder.transform(X)) < 0.7 * rank(X)


def test_rows_linked_to_the_anchor_are_no_negatives():
    pairs = Pairs([[0, 1], [1, 2], [3, 4], [5, 6], [2, 7]], [True] * 5)
    groups = linked_groups(pairs, 9)
    assert groups[0] == groups[1] == groups[2] == groups[7]
    assert len({groups[0], groups[3], groups[5], groups[8]}) == 4
    data = ConstraintData(Rows(rows(9), None, 1, "cpu"), pairs, 5)
    selection = data.batch(np.arange(5)).extra["selection"]
    named = np.unique(pairs.indices)
    negatives = {tuple(named[pair]) for pair in selection.negatives.numpy()}
    expected = {(i, j) for i in named for j in named if groups[i] != groups[j]}
    assert negatives == expected
    positives = {tuple(named[pair]) for pair in selection.positives.numpy()}
    assert positives == {(i, j) for a, b in pairs.indices for i, j in ((a, b), (b, a))}


def test_one_dissimilar_pair_is_the_users_choice_of_negatives():
    pairs = Pairs([[0, 1], [2, 3], [4, 5]], [True, True, False])
    data = ConstraintData(Rows(rows(9), None, 1, "cpu"), pairs, 5)
    selection = data.batch(np.arange(3)).extra["selection"]
    assert len(selection.positives) == 2
    assert len(selection.negatives) == 1


@pytest.mark.parametrize("loss", ["triplet", "proxy_anchor", "fastap", CenterLoss()])
def test_losses_that_take_no_pairs_are_refused_by_name(loss):
    name = f"'{loss}'" if isinstance(loss, str) else "CenterLoss"
    with pytest.raises(ValueError, match=rf"loss={re.escape(name)} cannot be trained on Pairs"):
        quick(loss=loss).fit(rows(), constraints=chain(20))


# Validation, batches, epochs


def test_held_out_classes_are_searched_among_training_rows_too():
    codes = np.repeat(np.arange(60), 5)
    train, validation = split_rows(codes, "class_disjoint", 0.1, np.random.default_rng(0))
    np.testing.assert_array_equal(validation.gallery, train)
    assert not set(codes[validation.queries]) & set(codes[train])
    many = np.repeat(np.arange(2000), 5)
    train, validation = split_rows(many, "class_disjoint", 0.1, np.random.default_rng(0))
    assert len(validation.gallery) == 5000
    assert set(validation.gallery) <= set(train)


@pytest.mark.parametrize("most", [1000, 7])
@pytest.mark.parametrize("values", [2**23, 50])
def test_recall_at_1_is_that_of_a_loop_over_spread_queries(most, values, monkeypatch):
    monkeypatch.setattr(_split, "MOST_QUERIES", most)
    monkeypatch.setattr(_split, "_VALUES", values)
    rng = np.random.RandomState(0)
    Z, codes = rng.randn(60, 3), rng.randint(12, size=60)
    codes[3], codes[40] = 50, 51  # without a row of their class
    counted = [i for i in range(35) if (codes == codes[i]).sum() > 1]
    if most == 7:
        counted = [counted[j * len(counted) // 7] for j in range(7)]
    hits = []
    for i in counted:
        d = [np.inf if j == i else np.linalg.norm(Z[i] - Z[j]) for j in range(60)]
        hits.append(codes[np.argmin(d)] == codes[i])
    Z, codes = torch.tensor(Z), torch.tensor(codes)
    found = _split.recall_at_1(Z[:35], codes[:35], Z[35:], codes[35:])
    assert found == pytest.approx(np.mean(hits))
    assert np.isnan(_split.recall_at_1(Z[:1], torch.tensor([99]), Z[1:], codes[1:]))


def test_recall_of_held_out_classes_says_what_unseen_classes_get():
    X, y = make(n_classes=100, n_rows=10, n_features=8, apart=0.6)
    A, a = make(n_classes=100, n_rows=10, n_features=8, apart=0.6, seed=1)
    embedder = quick(loss="supcon", validation="class_disjoint", patience=None).fit(X, y)
    Z = embedder.transform(np.concatenate([A, X]))
    d = np.linalg.norm(Z[: len(A), None] - Z[None], axis=2)
    np.fill_diagonal(d[:, : len(A)], np.inf)
    of_row = np.concatenate([a, 100 + y])
    unseen = np.mean(of_row[d.argmin(axis=1)] == a)
    measured = embedder.history_[embedder.best_epoch_ - 1]["valid_recall_at_1"]
    assert abs(measured - unseen) < 0.1


@pytest.mark.parametrize("loss", ["ntxent", "supcon"])
def test_classes_of_two_rows_fill_batches_and_epochs(loss):
    X, y = rows(2000, 8), np.repeat(np.arange(1000), 2)
    embedder = quick(loss=loss, batch_size=256, max_epochs=1).fit(X, y)
    sizes = [batch["train_batch_size"] for batch in embedder.net_.history[-1, "batches"]]
    assert sizes[0] == 256
    assert sum(sizes) >= 1900


def test_rows_per_second_counts_the_rows_that_were_shown(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    embedder = quick(sampler_params={"samples_per_class": 2}, max_epochs=1).fit(*make())
    sizes = [batch["train_batch_size"] for batch in embedder.net_.history[-1, "batches"]]
    assert embedder.history_[0]["rows_per_second"] == sum(sizes)


def test_error_before_the_first_epoch_is_over_leaves_the_embedder_as_it_was():
    class Fails(Callback):
        def on_batch_end(self, net, **kwargs):
            raise RuntimeError("mine")

    X, y = make()
    embedder = quick(nn.Linear(5, 3)).fit(X, y)
    Z = embedder.transform(X)
    with pytest.raises(RuntimeError, match="mine"):
        embedder.set_params(callbacks=[Fails()]).fit(X, y)
    np.testing.assert_array_equal(embedder.transform(X), Z)
    unfitted = DeepEmbedder(callbacks=[Fails()])
    with pytest.raises(RuntimeError, match="mine"):
        unfitted.fit(X, y)
    assert not hasattr(unfitted, "net_")
    assert torch.is_grad_enabled()
