"""Two views of each row: no labels, or labels of some rows."""

import numpy as np
import pytest
import torch
from helpers.embedders import Kill
from helpers.loss_batches import assert_equal
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import check_estimator
from torch.nn.functional import normalize

from metriclearn.deep import DeepEmbedder
from metriclearn.deep import losses as L
from metriclearn.deep.augment import CorruptFeatures
from metriclearn.deep.samplers import ClassBalancedSampler, SemiSupervisedSampler

X, y = load_digits(return_X_y=True)
X, y = X[:300], y[:300]
QUICK = {"max_epochs": 2, "random_state": 0, "batch_size": 64}
PLAIN = {"hidden_units": 16, "batch_norm": False, "noise": 0}


class Recorded(L.MetricLoss):
    """Keeps what it is given."""

    needs_labels = False
    needs_views = True
    needs_indices = True
    needs_features = True

    def compute(self, embeddings, labels, indices=None, features=None):
        self.seen = embeddings, labels, indices, features
        return embeddings.square().sum()


class Shift(torch.nn.Module):
    """Adds 100 to the first feature more with each call."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, rows):
        self.calls += 1
        return rows + 100 * self.calls


def test_the_positive_of_row_i_is_row_i_plus_b():
    augment = Shift()
    rows = np.arange(24.0, dtype=np.float32).reshape(8, 3)
    module = torch.nn.Linear(3, 3, bias=False)
    module.weight.data = torch.eye(3)
    embedder = DeepEmbedder(
        module, Recorded, augment=augment, head_params={"normalize": False},
        max_epochs=1, batch_size=8, random_state=0,
    ).fit(rows)  # fmt: skip
    embeddings, labels, indices, features = embedder.net_.criterion_.seen
    assert embeddings.shape == (16, 3)
    torch.testing.assert_close(embeddings[8:], embeddings[:8] + 100)
    torch.testing.assert_close(features, embeddings)
    for given in (labels, indices):
        assert sorted(given[:8].tolist()) == list(range(8))
        assert torch.equal(given[:8], given[8:])
    torch.testing.assert_close(embeddings[:8].detach() - 100, torch.from_numpy(rows)[indices[:8]])


def test_semi_supervised_loss_is_its_formula():
    torch.manual_seed(0)
    z = torch.randn(10, 3, dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, -1, 1]).repeat(2)
    ours = L.SemiSupervisedLoss(L.SupConLoss(0.5), L.TwoViewLoss(L.NTXentLoss(0.2)), 0.3)
    known = (labels[:5] >= 0).nonzero()[:, 0]
    supervised = L.SupConLoss(0.5)(z[:5][known], labels[known])
    instances = torch.arange(5).repeat(2)
    by_hand = supervised + 0.3 * L.NTXentLoss(0.2)(z, instances)
    assert_equal(ours(z, labels), by_hand)


def test_without_weight_it_is_the_supervised_fit():
    semi = DeepEmbedder(
        loss="semi_supervised", loss_params={"loss": "proxy_anchor", "weight": 0.0}, **QUICK
    ).fit(X, y)
    plain = DeepEmbedder(loss="proxy_anchor", **QUICK).fit(X, y)
    np.testing.assert_array_equal(semi.transform(X), plain.transform(X))


@pytest.mark.parametrize(
    "arguments",
    [
        {"loss": "two_views"},
        {"loss": "two_views", "loss_params": {"loss": "vicreg"}},
        {"loss": "two_views", "module": "convnet", "image_shape": (8, 8), "augment": "affine"},
    ],
    ids=["rows", "without negatives", "images"],
)
def test_fit_without_labels_learns_classes(arguments):
    """Ten rows of each class with labels are classified better than by a fresh network."""
    few = np.concatenate([np.flatnonzero(y == c)[:5] for c in range(10)])
    rest = np.setdiff1d(np.arange(len(y)), few)

    def accuracy(embedder):
        Z = embedder.transform(X)
        return KNeighborsClassifier(1).fit(Z[few], y[few]).score(Z[rest], y[rest])

    trained = DeepEmbedder(**{**QUICK, "max_epochs": 15}, **arguments).fit(X)
    assert trained.classes_ is None
    fresh = DeepEmbedder(**QUICK, **arguments, lr=1e-12).fit(X)
    assert accuracy(trained) > accuracy(fresh) + 0.02


def test_labels_of_a_few_rows_and_views_of_all():
    partly = np.where(np.arange(len(y)) % 10 == 0, y, -1)
    semi = DeepEmbedder(
        loss="semi_supervised", loss_params={"loss": "proxy_anchor"},
        **{**QUICK, "max_epochs": 10},
    ).fit(X, partly)  # fmt: skip
    assert semi.classes_.tolist() == list(range(10))
    labeled = DeepEmbedder(
        loss="proxy_anchor", sampler="unbalanced", **{**QUICK, "max_epochs": 10}
    ).fit(X, partly)
    known = partly >= 0

    def accuracy(embedder):
        Z = embedder.transform(X)
        return KNeighborsClassifier(1).fit(Z[known], y[known]).score(Z[~known], y[~known])

    assert accuracy(semi) > accuracy(labeled)


def test_a_loss_of_instances_needs_no_labels():
    embedder = DeepEmbedder(loss=L.InstanceLoss(), **QUICK).fit(X)
    assert embedder.net_.criterion_.instances.shape == (300, 64)
    assert embedder.history_[1]["train_loss"] < embedder.history_[0]["train_loss"]


def test_scikit_learns_checks_without_labels():
    check_estimator(DeepEmbedder(loss="two_views", max_epochs=1, random_state=0))


def test_a_saved_embedder_needs_no_labels_either(tmp_path):
    embedder = DeepEmbedder(loss="two_views", **QUICK).fit(X)
    embedder.save(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))
    assert not loaded.__sklearn_tags__().target_tags.required


@pytest.mark.parametrize("labels", [None, np.where(np.arange(300) % 3, -1, y)], ids=["none", "few"])
def test_a_stopped_run_goes_on_to_the_same_weights(labels, tmp_path):
    loss = {"loss": "two_views"}
    if labels is not None:
        loss = {"loss": "semi_supervised", "loss_params": {"loss": "proxy_anchor"}}
    arguments = {**QUICK, **loss, "validation": None}
    whole = DeepEmbedder(**arguments).fit(X, labels).transform(X)
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        DeepEmbedder(**arguments, checkpoint=folder, callbacks=[Kill(1)]).fit(X, labels)
    resumed = DeepEmbedder(**arguments, checkpoint=folder).fit(X, labels).transform(X)
    np.testing.assert_array_equal(resumed, whole)


@pytest.mark.parametrize(
    ("arguments", "labels", "message"),
    [
        ({"loss": "triplet"}, None, "requires y to be passed"),
        ({"loss": "semi_supervised", "loss_params": {"loss": "triplet"}}, None, "requires y"),
        ({"loss": "two_views", "sampler": "hierarchical"}, None, "draws by labels"),
        ({"loss": "two_views", "validation": "stratified"}, None, "y is not given"),
        ({"loss": "two_views", "image_shape": (8, 8)}, None, "needs augment"),
        ({"loss": "two_views", "augment": "affine"}, None, "takes images"),
        ({"augment": "corrupt", "image_shape": (8, 8)}, y, "takes feature vectors"),
        (
            {
                "loss": "semi_supervised",
                "loss_params": {"loss": "proxy_anchor"},
                "sampler": "unbalanced",
            },
            np.where(y == 3, -1, y),
            "never draws the rows without a label",
        ),
        (
            {"loss": "semi_supervised", "loss_params": {"loss": "triplet", "weight": -1.0}},
            y,
            "weight",
        ),
    ],
)
def test_one_error(arguments, labels, message):
    with pytest.raises(ValueError, match=message):
        DeepEmbedder(**QUICK, **arguments).fit(X, labels)


def test_views_have_to_be_a_loss_on_views():
    with pytest.raises(ValueError, match="wrap it"):
        L.SemiSupervisedLoss(L.SupConLoss(), L.NTXentLoss())


def test_views_are_of_rows_not_of_classes():
    with pytest.raises(ValueError, match="ProxyAnchorLoss learns classes known at the start"):
        L.TwoViewLoss(L.ProxyAnchorLoss())


def test_a_memory_of_views_knows_rows_by_their_place_in_the_training_set():
    """The first row of a batch is no positive of the first row of the batch before."""
    torch.manual_seed(0)
    loss = L.TwoViewLoss(L.CrossBatchMemory(L.NTXentLoss(0.2), 100, embedding_dim=3)).double()
    assert loss.needs_indices
    batches = [
        (torch.randn(6, 3, dtype=torch.float64), torch.tensor(at)) for at in ([4, 0, 9], [9, 7, 4])
    ]
    values = [loss(z, None, indices=at.repeat(2)) for z, at in batches]
    rows, numbers = (torch.cat(part) for part in zip(*batches, strict=True))
    numbers = torch.cat([at.repeat(2) for _, at in batches])
    s = normalize(rows, dim=1) @ normalize(rows, dim=1).T / 0.2
    terms = []
    for i in range(6, 12):
        others = s[i, numbers != numbers[i]]
        for j in range(12):
            if j != i and numbers[j] == numbers[i]:
                terms.append(torch.cat([s[i, j][None], others]).logsumexp(0) - s[i, j])
    assert_equal(values[1], torch.stack(terms).mean())
    with pytest.raises(ValueError, match="indices of the training rows are needed"):
        loss(rows[:6], None)
    again = DeepEmbedder(loss=L.TwoViewLoss(L.CrossBatchMemory(L.NTXentLoss())), **QUICK).fit(X)
    assert np.isfinite(again.transform(X)).all()


# Samplers and augmentation ----------------------------------------------------------------------


def test_an_epoch_has_every_labeled_and_every_unlabeled_row():
    rng = np.random.default_rng(0)
    for counts in ([10, 10, 80], [40, 40, 5]):
        codes = rng.permutation(np.repeat([0, 1, -1], counts))
        batches = SemiSupervisedSampler(16, share=0.25).epoch(codes, rng)
        drawn = np.concatenate(batches)
        assert set(drawn) == set(range(len(codes)))
        for batch in batches:
            assert len(batch) <= 16
            assert len(np.unique(batch)) == len(batch)
            assert 1 <= np.count_nonzero(codes[batch] == -1) <= 4
            assert (np.bincount(codes[batch][codes[batch] >= 0], minlength=2) >= 2).all()


def test_a_batch_has_room_for_two_classes():
    with pytest.raises(ValueError, match="leaves 2 labeled rows in a batch"):
        SemiSupervisedSampler(4).epoch([0, 0, 1, 1, -1, -1], np.random.default_rng(0))


def test_without_unlabeled_rows_batches_are_those_of_the_classes():
    codes = np.repeat(np.arange(5), 9)
    ours = SemiSupervisedSampler(12).epoch(codes, np.random.default_rng(3))
    theirs = ClassBalancedSampler(12).epoch(codes, np.random.default_rng(3))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_features_are_replaced_by_draws_from_their_own_distribution():
    torch.manual_seed(0)
    rows = torch.arange(4000.0).view(1000, 4) % 4 + torch.arange(1000.0)[:, None] * 4
    changed = CorruptFeatures(0.3)(rows)
    assert torch.equal(changed % 4, rows % 4)  # each feature stays in its column
    share = (changed != rows).float().mean()
    assert abs(float(share) - 0.3) < 0.03
    assert torch.equal(CorruptFeatures(0.0)(rows), rows)
