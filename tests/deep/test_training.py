"""How DeepEmbedder trains: rates and frozen parts, constraints, amounts, progress."""

import numpy as np
import pytest
import torch
from helpers.embedders import Record, assert_same_weights, make, quick, recorded
from sklearn.base import clone
from skorch.callbacks import EarlyStopping
from torch import nn

from metriclearn.constraints import Chunks, Pairs, Triplets, triplets_from_labels
from metriclearn.metrics import recall_at_k


def moved(before, after, name):
    return any(not torch.equal(before[k], after[k]) for k in before if k.endswith(name))


# Rates and frozen parts


def test_each_part_has_its_rate_and_the_schedule_moves_all():
    rates = {"lr": 1e-2, "backbone_lr": 1e-3, "proxy_lr": 1e-1}
    embedder = quick(loss="arcface", schedule="linear", callbacks=[Record()], **rates).fit(*make())
    first, last = recorded(embedder).rates_[0], recorded(embedder).rates_[-1]
    for part, rate in (("head", 1e-2), ("backbone", 1e-3), ("proxies", 1e-1)):
        assert 0.75 * rate < first[part] < rate
        assert 0 < last[part] < 0.25 * rate


def test_partial_fit_leaves_the_rates_where_the_schedule_begins():
    X, y = make()
    embedder = quick(schedule="cosine", lr=1e-2, callbacks=[Record()])
    for _ in range(2):
        embedder.partial_fit(X, y)
        assert recorded(embedder).rates_ == [{"head": 1e-2, "backbone": 1e-2}]
    assert_same_weights(
        embedder, clone(embedder).set_params(schedule="constant", max_epochs=2).fit(X, y)
    )


def test_backbone_rate_of_zero_freezes_it():
    embedder = quick(backbone_lr=0, callbacks=[Record()]).fit(*make())
    history = recorded(embedder).backbone_
    assert not moved(history[0], history[-1], "weight")
    assert "backbone" not in recorded(embedder).rates_[0]


def test_warm_up_trains_the_head_first():
    embedder = quick(warmup_epochs=2, callbacks=[Record()]).fit(*make())
    history = recorded(embedder).backbone_
    assert not moved(history[0], history[2], "weight")
    assert moved(history[2], history[3], "weight")


@pytest.mark.parametrize("freeze", [False, True])
def test_freeze_batch_norm_keeps_its_statistics(freeze):
    embedder = quick(freeze_batch_norm=freeze, callbacks=[Record()]).fit(*make())
    history = recorded(embedder).backbone_
    assert moved(history[0], history[-1], "running_mean") is not freeze
    assert moved(history[0], history[-1], "weight")


def test_warm_up_with_nothing_else_to_train_is_refused():
    with pytest.raises(ValueError, match="nothing is left to train in warm-up"):
        quick(nn.Linear(5, 3), warmup_epochs=1).fit(*make())


def test_what_a_loss_learns_of_each_row_is_of_those_rows():
    X, y = make()
    embedder = quick(loss="margin", loss_params={"scope": "sample"}).fit(X, y)
    assert embedder.partial_fit(X, y).n_iter_ == 5
    with pytest.raises(ValueError, match=r"each of the 120 rows .* now there are 100"):
        embedder.partial_fit(X[:100], y[:100])


def test_parameters_that_a_module_froze_stay_frozen():
    module = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4))
    module[0].requires_grad_(False)
    embedder = quick(module, n_components=3, warmup_epochs=1, callbacks=[Record()]).fit(*make())
    history = recorded(embedder).backbone_
    assert not moved(history[0], history[-1], "0.weight")
    assert moved(history[0], history[-1], "2.weight")


def test_callbacks_of_skorch_pass_through():
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=10, sink=lambda text: None)
    embedder = quick(callbacks=[stop], max_epochs=20).fit(*make())
    assert embedder.n_iter_ < 20
    assert stop.misses_ == 0  # the caller's own is not used


# Constraints


@pytest.mark.parametrize("loss", ["contrastive", "margin", "multi_similarity"])
def test_pairs_teach_what_labels_do(loss):
    X, y = make()
    rng = np.random.RandomState(0)
    indices = np.column_stack([rng.permutation(120), rng.permutation(120)])
    indices = np.vstack(
        [indices]
        + [
            np.column_stack([np.flatnonzero(y == c)[:-1], np.flatnonzero(y == c)[1:]])
            for c in range(6)
        ]
    )
    indices = indices[indices[:, 0] != indices[:, 1]]
    indices = np.unique(np.sort(indices, axis=1), axis=0)
    pairs = Pairs(indices, y[indices[:, 0]] == y[indices[:, 1]])
    embedder = quick(loss=loss, max_epochs=40).fit(X, constraints=pairs)
    assert embedder.classes_ is None
    assert recall_at_k(embedder.transform(X), y) >= recall_at_k(X, y)


def test_triplets_teach_what_labels_do():
    X, y = make()
    triplets = triplets_from_labels(y)
    embedder = quick(max_epochs=8).fit(X, constraints=triplets)
    Z = embedder.transform(X)
    a, p, n = triplets.indices.T
    held = np.linalg.norm(Z[a] - Z[p], axis=1) < np.linalg.norm(Z[a] - Z[n], axis=1)
    assert held.mean() > 0.95


def test_one_step_on_pairs_is_the_mean_over_these_pairs():
    X, _ = make()
    indices = np.array([[0, 1], [1, 2], [5, 3], [0, 7]])
    pairs = Pairs(indices, [True, False, True, False])
    embedder = quick("linear", "contrastive", max_epochs=1).fit(X, constraints=pairs)
    start = quick("linear", "contrastive", max_epochs=1, lr=1e-30).fit(X, constraints=pairs)
    Z = start.transform(X).astype(float)
    d = np.linalg.norm(Z[indices[:, 0]] - Z[indices[:, 1]], axis=1)
    expected = np.where(pairs.similar, d, np.maximum(0, 1 - d)) ** 2 / 2
    assert embedder.history_[0]["train_loss"] == pytest.approx(expected.mean(), rel=1e-4)


def test_pairs_weighted_zero_are_never_drawn():
    X, _ = make()
    X[50:] = 1e30  # would make the loss overflow
    pairs = Pairs([[0, 1], [2, 3], [60, 61]], [True, False, True], weights=[1, 2, 0])
    module = nn.Linear(5, 3)
    embedder = quick(module, "contrastive", head_params={"normalize": False})
    assert embedder.fit(X, constraints=pairs).n_iter_ == 4


@pytest.mark.parametrize(
    ("params", "constraints", "message"),
    [
        (
            {},
            Pairs([[0, 1]], [True]),
            "loss='triplet' cannot be trained on Pairs; these can: adaptive_triplet, bin",
        ),
        (
            {"loss": "arcface"},
            Triplets([[0, 1, 2]]),
            "loss='arcface' cannot .* Triplets; .* triplet",
        ),
        ({}, Triplets([[0, 1, 200]]), "names row 200"),
        ({}, Triplets([[0, 1, 2]], weights=[0.0]), "every weight of the Triplets is 0"),
        ({}, Chunks([0, 0, 1]), "takes Pairs or Triplets or Quadruplets, got Chunks"),
        ({"miner": "batch_hard"}, Triplets([[0, 1, 2]]), "has nothing to choose from Triplets"),
        ({"validation": "stratified"}, Triplets([[0, 1, 2]]), "needs classes, but Triplets"),
    ],
)
def test_constraints_that_do_not_fit_are_refused(params, constraints, message):
    with pytest.raises(ValueError, match=message):
        quick(**params).fit(make()[0], constraints=constraints)


def test_labels_and_constraints_together_are_refused():
    X, y = make()
    with pytest.raises(ValueError, match="both given"):
        quick().fit(X, y, constraints=Triplets([[0, 1, 2]]))


# Continuous labels


@pytest.mark.parametrize("loss", ["log_ratio", "label_distance_triplet"])
@pytest.mark.parametrize("width", [1, 2])
def test_continuous_labels(loss, width):
    X, _ = make()
    y = X[:, :width] + 0.1
    labels = y[:, 0] if width == 1 else y
    embedder = quick(loss=loss, schedule="constant").fit(X, labels)
    assert np.isfinite(embedder.transform(X)).all()
    pieces = clone(embedder)
    for _ in range(embedder.n_iter_):
        pieces.partial_fit(X, labels)
    assert_same_weights(embedder, pieces)
    with pytest.raises(ValueError, match="needs classes, but y is continuous"):
        quick(loss=loss, validation="stratified").fit(X, y)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_label_distances_train_in_any_unit(unit, tmp_path):
    X, _ = make()
    embedder = quick(loss="label_distance_triplet").fit(X, unit * X[:, :2])
    assert min(row["train_loss"] for row in embedder.history_) > 0.05
    embedder.save(tmp_path / "saved")
    loaded = type(embedder).load(tmp_path / "saved")
    assert loaded.net_.criterion_.thresholds.tolist() == pytest.approx(
        embedder.net_.criterion_.thresholds.tolist()
    )


def test_whole_amounts_are_amounts_where_they_are_floats():
    X, _ = make()
    ages = np.arange(120) // 2 + 20.0
    embedder = quick(loss="log_ratio").fit(X, ages)
    assert embedder.classes_ is None
    assert embedder.partial_fit(X[:3], ages[:3]).n_iter_ == 5
    assert quick(loss="log_ratio").fit(X, ages.astype(int)).classes_.shape == (60,)


# Progress


def test_verbose_shows_loss_recall_and_speed(capsys):
    quick(verbose=1, validation="stratified").fit(*make())
    shown = capsys.readouterr().out
    for word in ("DeepEmbedder", "4/4", "loss", "Recall@1", "rows/s"):
        assert word in shown
