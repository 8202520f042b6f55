"""Sums of losses, and what is in no table of losses that train alone, by name."""

import numpy as np
import pytest
import torch
from helpers.embedders import digits_accuracy
from sklearn.base import clone
from sklearn.datasets import load_digits

from metriclearn.deep import DeepEmbedder
from metriclearn.deep import losses as L
from metriclearn.deep import miners as M

X, y = (rows[:200] for rows in load_digits(return_X_y=True))
QUICK = {"module": "linear", "n_components": 4, "max_epochs": 1, "random_state": 0}


def sum_of(losses, **params):
    return DeepEmbedder(loss="weighted_sum", loss_params={"losses": losses, **params}, **QUICK)


@pytest.mark.parametrize("name", L.REGULARIZERS)
def test_a_sum_by_name_is_the_sum_and_is_saved(tmp_path, name):
    named = sum_of(["proxy_anchor", name], weights=[1, 0.1]).fit(X, y)
    terms = [L.ProxyAnchorLoss(), L.REGULARIZERS[name]()]
    made = DeepEmbedder(loss=L.WeightedSum(terms, [1, 0.1]), **QUICK).fit(X, y)
    np.testing.assert_array_equal(named.transform(X), made.transform(X))
    named.save(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), named.transform(X))
    for goes_on in (loaded, named):
        goes_on.partial_fit(X, y)
    assert torch.isfinite(torch.as_tensor(loaded.transform(X))).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", L.REGULARIZERS)
def test_a_loss_with_a_term_learns_digits(name):
    params = {"losses": ["proxy_anchor", name], "weights": [1, 0.01]}
    assert digits_accuracy(loss="weighted_sum", loss_params=params) >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("losses", "weights"),
    [
        (["tuplet_margin", "intra_pair_variance"], None),
        (["triplet", "instance"], None),
        (["softmax", "center"], [1, 0.01]),
        (["alignment", "uniformity"], None),
        (["n_pair", "embedding_norm"], [1, 0.02]),
    ],
    ids=lambda value: value and "-".join(map(str, value)),
)
def test_terms_learn_digits_with_the_loss_of_their_paper(losses, weights):
    params = {"losses": losses, "weights": weights}
    assert digits_accuracy(loss="weighted_sum", loss_params=params) >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("name", ["instance", "threshold_consistent_margin"])
def test_terms_that_have_an_aim_of_their_own_learn_digits(name):
    # Without labels seeds differ by a point: their mean.
    assert np.mean([digits_accuracy(random_state=seed, loss=name) for seed in range(3)]) >= 0.97


def test_a_term_has_parameters_beside_its_name(tmp_path):
    embedder = sum_of([("triplet", {"margin": 0.7}), L.SoftmaxLoss, "center"]).fit(X, y)
    triplet, softmax, center = embedder.net_.criterion_.losses
    assert (triplet.margin, center.alpha) == (0.7, 0.5)
    assert len(softmax.state_dict()) > 0
    assert clone(embedder).fit(X, y).transform(X).tolist() == embedder.transform(X).tolist()
    embedder.set_params(loss_params={"losses": [("triplet", {"margin": 0.7}), "softmax"]})
    embedder.fit(X, y).save(tmp_path / "model")
    assert DeepEmbedder.load(tmp_path / "model").net_.criterion_.losses[0].margin == 0.7


#: A loss behind a miner of its own within a sum or a wrapper: by name, and made.
INSIDE = {
    "weighted_sum": (
        {"losses": [("triplet", {"margin": 0.7, "miner": "batch_hard"}), "softmax"]},
        lambda: L.WeightedSum(
            [L.MinedLoss(L.TripletLoss(0.7), M.BatchHardMiner()), L.SoftmaxLoss()]
        ),
    ),
    "cross_batch_memory": (
        {"loss": "triplet", "loss__miner": "semi_hard", "size": 30},
        lambda: L.CrossBatchMemory(L.MinedLoss(L.TripletLoss(), M.SemiHardMiner()), 30),
    ),
    "matryoshka": (
        {"loss": "multi_similarity", "loss__miner": "hdc", "loss__miner_params": {"fraction": 0.3}},
        lambda: L.Matryoshka(L.MinedLoss(L.MultiSimilarityLoss(), M.HDCMiner(0.3))),
    ),
}


@pytest.mark.parametrize("name", INSIDE)
def test_a_loss_inside_another_has_a_miner_of_its_own(tmp_path, name):
    params, make = INSIDE[name]
    named = DeepEmbedder(loss=name, loss_params=params, **QUICK).fit(X, y)
    made = DeepEmbedder(loss=make(), **QUICK).fit(X, y)
    np.testing.assert_array_equal(named.transform(X), made.transform(X))
    named.save(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), named.transform(X))
    inner = getattr(loaded.net_.criterion_, "losses", [loaded.net_.criterion_])[0]
    assert any(isinstance(part, L.MinedLoss) for part in inner.modules())


def test_rows_in_a_memory_are_in_no_file(tmp_path):
    params = {"loss": "ntxent", "size": 64}
    embedder = DeepEmbedder(loss="cross_batch_memory", loss_params=params, **QUICK).fit(X, y)
    assert embedder.net_.criterion_.filled == 64
    embedder.save(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "model")
    assert loaded.net_.criterion_.filled == 0
    assert not loaded.net_.criterion_.memory.any()


@pytest.mark.parametrize(
    ("loss", "params", "miner", "message"),
    [
        ("weighted_sum", {"losses": ["triplet"]}, "batch_hard", "to a loss inside"),
        ("cross_batch_memory", {"loss": "triplet"}, "batch_hard", "to a loss inside"),
        ("grouped", {"loss": "triplet", "loss__miner": "hdc"}, None, "does not work with HDCMiner"),
        ("grouped", {"loss": "triplet", "loss__miner": "hrad"}, None, "did you mean 'hard'"),
        ("grouped", {"loss": "triplet", "loss__miner_params": {"a": 1}}, None, "there is no miner"),
        ("cross_batch_memory", {"loss": "softmax"}, None, "that takes a reference"),
    ],
)
def test_miners_that_do_not_fit_are_named(loss, params, miner, message):
    with pytest.raises(ValueError, match=message):
        DeepEmbedder(loss=loss, loss_params=params, miner=miner, **QUICK).fit(X, y)


def test_reidentification_by_name():
    """Batch-hard triplets, a smoothed softmax behind a neck, and the center loss."""
    terms = [
        ("triplet", {"margin": 0.3, "miner": "batch_hard"}),
        ("softmax", {"neck": True, "label_smoothing": 0.1}),
        "center",
    ]
    embedder = sum_of(terms, weights=[1, 1, 5e-4]).fit(X, y)
    neck = embedder.net_.criterion_.losses[1].batch_norm
    assert neck.num_batches_tracked > 0
    one, two = torch.zeros(1, 4), torch.zeros(2, 4)
    loss = L.SoftmaxLoss(neck=True, n_classes=3, embedding_dim=4)
    assert loss(one, torch.tensor([0])).isfinite()  # of one row nothing is measured
    assert loss.batch_norm.num_batches_tracked == 0
    loss(two, torch.tensor([0, 1]))
    assert loss.batch_norm.num_batches_tracked == 1


def test_a_sum_needs_what_its_terms_need():
    assert sum_of(["uniformity", "instance"]).fit(X).classes_ is None
    with pytest.raises(ValueError, match="y"):
        sum_of(["uniformity", "triplet"]).fit(X)
    amounts = sum_of(["log_ratio", "embedding_norm"]).fit(X, y + 0.5)
    assert amounts.transform(X).shape == (200, 4)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ("triplet", "must be a list of losses"),
        ({"triplet": {"margin": 1}}, "must be a list of losses"),
        ([], "at least one loss, got none"),
        (3, "must be a list of losses"),
        (["tripelt"], r"did you mean 'triplet'"),
        (["grouped"], "loss='grouped' is not known"),
        ([("triplet", 0.1)], "a name and a dict"),
        ([("triplet", {"magin": 1})], "did you mean 'margin'"),
    ],
)
def test_sums_that_cannot_be_made(losses, message):
    with pytest.raises(ValueError, match=message):
        sum_of(losses).fit(X, y)
    with pytest.raises(ValueError, match="lacks 'losses'"):
        DeepEmbedder(loss="weighted_sum", **QUICK).fit(X, y)
    for weights in ("a", [float("nan")], [None]):
        with pytest.raises(ValueError, match="weights must be finite numbers"):
            L.WeightedSum([L.SoftmaxLoss()], weights)


@pytest.mark.parametrize("name", M.CLASS_MINERS)
def test_miners_of_classes_have_names(tmp_path, name):
    params = {"loss": "triplet", "miner": name, "miner_params": {"n_triplets": 2}}
    embedder = DeepEmbedder(**params, **QUICK).fit(X, y)
    assert type(embedder.net_.criterion_.miner) is M.CLASS_MINERS[name]
    embedder.save(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))
    assert loaded.net_.criterion_.miner.n_triplets == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"label_smoothing": 0.1}, {"neck": True}, {"neck": True, "label_smoothing": 0.1}],
    ids=str,
)
def test_options_of_the_softmax_learn_digits(options):
    assert digits_accuracy(loss="softmax", loss_params=options) >= 0.97
