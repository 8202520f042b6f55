"""Input of a deep embedder is read as it is meant, or an error says what to do."""

import numpy as np
import pytest
import torch
from helpers.embedders import assert_same_weights, make, quick
from sklearn.base import clone
from torch import nn

from metriclearn.constraints import constraints_from_tuples
from metriclearn.deep import DeepEmbedder

SHAPES = {
    "color": ((3, 9, 7), (9, 7, 3)),
    "gray": ((1, 9, 7), (9, 7, 1)),
    "transparent": ((4, 9, 7), (9, 7, 4)),
    "square": ((3, 8, 8), (8, 8, 3)),
}


def channels_first(shape, n=24, dtype=np.uint8):
    rng = np.random.RandomState(0)
    return rng.randint(256, size=(n, *shape)).astype(dtype), np.arange(n) % 4


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_with_channels_first_are_those_with_channels_last(kind, dtype):
    X, y = channels_first(SHAPES[kind][0], dtype=dtype)
    settings = {"module_params": {"channels": 4}, "loss": "contrastive", "max_epochs": 2}
    first = quick("convnet", **settings).fit(X, y)
    last = quick("convnet", **settings).fit(X.transpose(0, 2, 3, 1).copy(), y)
    assert first.image_shape_ == last.image_shape_ == SHAPES[kind][1]
    np.testing.assert_allclose(
        first.transform(X), last.transform(X.transpose(0, 2, 3, 1)), atol=1e-5
    )
    rows = quick("convnet", **settings, image_shape=X.shape[1:]).fit(X.reshape(len(X), -1), y)
    assert_same_weights(rows, first)
    with pytest.raises(ValueError, match=r"DeepEmbedder was fitted on images .* channels first"):
        first.transform(X.transpose(0, 2, 3, 1))


def test_channels_first_are_not_copied_when_mapped(tmp_path):
    X, y = channels_first((3, 9, 7))
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    settings = {"module_params": {"channels": 4}, "loss": "contrastive", "max_epochs": 1}
    assert_same_weights(
        quick("convnet", **settings).fit(mapped, y), quick("convnet", **settings).fit(X, y)
    )


@pytest.mark.parametrize("shape", [(9, 7, 3), (3, 4, 3), (4, 4, 4), (9, 7, 5), (1, 1, 1)])
def test_other_images_have_channels_last(shape):
    X, y = channels_first(shape, dtype=np.float32)
    embedder = quick(nn.Flatten(), miner=None, n_components=3)
    assert embedder.fit(X, y).image_shape_ == shape


@pytest.mark.parametrize("shape", [(2, 9, 8), (6, 30, 24), (7, 28, 28)])
def test_other_numbers_of_channels_in_front_are_refused(shape):
    X, y = channels_first(shape)
    with pytest.raises(ValueError, match=rf"{shape[0]} channels in front; move them to the end"):
        quick("convnet", "contrastive", max_epochs=1).fit(X, y)
    embedder = quick(nn.Flatten(), miner=None, n_components=3, image_shape=shape, max_epochs=1)
    assert embedder.fit(X, y).image_shape_ == shape


def test_image_shape_overrules_the_guess():
    X, y = channels_first((3, 9, 7))
    embedder = quick("convnet", "contrastive", image_shape=(3, 9, 7), max_epochs=1)
    assert embedder.fit(X, y).image_shape_ == (3, 9, 7)


def test_points_in_pairs_are_not_images():
    X, y = make()
    pairs = np.stack([X[:60], X[60:]], axis=1)
    signs = np.where(y[:60] == y[60:], 1, -1)
    for labels in (signs, signs.astype(float), signs.tolist()):
        with pytest.raises(ValueError, match=r"looks like pairs of points; .*from_tuples\(X, y\)"):
            quick(loss="contrastive").fit(pairs, labels)
    rows, constraints = constraints_from_tuples(pairs, signs)
    assert quick(loss="contrastive").fit(rows, constraints=constraints).n_iter_ == 4


# Integers


class Tokens(nn.Module):
    """Mean of an embedding of each token; as strict about dtypes as torch is."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(300, 8)

    def forward(self, X):
        return self.table(X).mean(dim=1)


class Counts(nn.Module):
    """Takes floats only."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(12, 4), []

    def forward(self, X):
        self.seen.append(X.detach())
        return self.layer(X)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.uint16])
@pytest.mark.parametrize("module", [Tokens, Tokens()], ids=["class", "instance"])
def test_token_ids_stay_what_they_are(dtype, module):
    X = np.random.RandomState(0).randint(0, 255, size=(60, 12)).astype(dtype)
    y = np.arange(60) % 4
    embedder = quick(module, "contrastive", max_epochs=2).fit(X, y)
    with torch.no_grad():
        table = embedder.net_.module_.backbone
        expected = table(torch.from_numpy(X.astype(np.int64))).numpy()
    np.testing.assert_allclose(embedder.transform(X), expected, rtol=1e-5)
    np.testing.assert_allclose(embedder.transform(X.astype(float)), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="X has fractions, but DeepEmbedder was fitted on integ"):
        embedder.transform(X + 0.5)


def test_integers_become_floats_for_a_module_that_takes_floats():
    X = np.random.RandomState(0).randint(0, 255, size=(60, 12))
    embedder = quick(Counts(), "contrastive", max_epochs=1).fit(X, np.arange(60) % 4)
    seen = embedder.net_.module_.backbone.seen[-1]
    assert seen.dtype == torch.float32
    assert seen.max() > 1
    assert embedder.transform(X).shape == (60, 4)


def test_integers_that_fit_no_way_say_both_shape_and_kind():
    X = np.full((60, 12), 400)  # beyond the table
    with pytest.raises(ValueError, match=r"shape \(n, 12\) of integers: index out of range"):
        quick(Tokens).fit(X, np.arange(60) % 4)


def test_integers_of_modules_by_name_are_features():
    X, y = make()
    X = (10 * X).astype(int)
    as_floats = quick().fit(X.astype(np.float32), y)
    assert_same_weights(quick().fit(X, y), as_floats)


# What is no array of numbers


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (["a cat", "a dog"] * 10, FileNotFoundError, "a cat"),
        ([["a cat"], ["a dog"]] * 10, ValueError, "X holds text, 'a cat'; give numbers"),
        ([[1, 2], [1, 2, 3]] * 10, ValueError, "the rows of X differ in length; pad them to one"),
        ([[[1, 2]], [[1, 2], [3, 4]]] * 10, ValueError, "differ in length; pad them to one length"),
        (
            torch.utils.data.ChainDataset([]),
            TypeError,
            "X is a ChainDataset that is read in one go; give a map-style data set",
        ),
    ],
    ids=["texts", "column of text", "ragged", "ragged in three", "data set"],
)
def test_other_input_is_one_error_with_the_remedy(X, error, message):
    with pytest.raises(error, match=message):
        quick().fit(X, np.arange(20) % 2)
    fitted = quick(n_components=2).fit(*make())
    with pytest.raises((ValueError, TypeError, OSError)):
        fitted.transform(X)


# Labels


@pytest.mark.parametrize("loss", ["triplet", "supcon", "arcface", "multi_similarity"])
def test_amounts_for_a_loss_of_classes_name_the_losses_that_take_them(loss):
    X, _ = make()
    with pytest.raises(
        ValueError, match=rf"loss='{loss}' takes .* loss='log_ratio' or 'label_dist"
    ):
        quick(loss=loss).fit(X, X[:, 0])
    with pytest.raises(
        ValueError, match=r"of shape \(120, 6\); of an indicator matrix give y\.arg"
    ):
        quick(loss=loss).fit(X, np.eye(6)[np.arange(120) % 6])


def test_unlabeled_rows_are_neither_drawn_nor_a_class():
    X, y = make()
    hidden = np.where(np.arange(len(y)) % 3 == 0, -1, y)
    labeled = hidden >= 0
    for params in ({}, {"loss": "proxy_anchor"}, {"validation": "stratified"},
                   {"sampler": "unbalanced", "loss": "arcface"}):  # fmt: skip
        embedder = quick(**params, module_params={"standardize": False}).fit(X, hidden)
        np.testing.assert_array_equal(embedder.classes_, np.unique(y))
        alone = clone(embedder).fit(X[labeled], y[labeled])
        assert_same_weights(embedder, alone)
        embedder.partial_fit(X, hidden)
    with pytest.raises(ValueError, match=r"-1 among integer labels means unlabeled; rename it"):
        quick().fit(X, np.where(y == 0, -1, 1))
    with pytest.raises(ValueError, match="validation names rows without a label"):
        quick(validation=[0, 1, 2]).fit(X, hidden)


def test_minus_one_among_floats_or_words_is_a_label():
    X, y = make()
    ages = np.where(y == 0, -1.0, y)
    assert quick(loss="log_ratio").fit(X, ages).classes_ is None
    assert "-1" in quick().fit(X, np.where(y == 0, "-1", "one")).classes_


@pytest.mark.parametrize("sampler", ["unbalanced", "random"])
def test_samplers_of_every_row_show_unlabeled_ones_as_nobodys_positive(sampler):
    X, y = make()
    hidden = np.where(np.arange(len(y)) % 3 == 0, -1, y)
    alone = np.where(hidden < 0, 100 + np.arange(len(y)), y)
    settings = {"sampler": sampler, "loss": "supcon", "module_params": {"noise": 0}}
    assert_same_weights(quick(**settings).fit(X, hidden), quick(**settings).fit(X, alone))
    n_seen = [
        b["train_batch_size"] for b in quick(**settings).fit(X, hidden).net_.history[-1, "batches"]
    ]
    assert sum(n_seen) == len(X)


def test_labels_of_callbacks_are_the_users():
    X, y = make()
    names = np.array(["ant", "bee", "cat", "dog", "elk", "fox"])[y]

    def scoring(net, X, labels):
        assert set(labels) == set(names)
        return 1.0

    from skorch.callbacks import EpochScoring

    scored = EpochScoring(scoring, name="mine", on_train=True)
    assert quick(callbacks=[scored]).fit(X, names).history_[-1]["mine"] == 1


# Names of arguments


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"loss__magin": 1}, "loss_params has 'magin', which TripletLoss .* mean 'margin'"),
        ({"loss": "arcface", "loss__margn": 1}, "loss_params has 'margn', which ArcFaceLoss"),
        ({"module__hidden_unit": 8}, "'hidden_unit', which MLP .* mean 'hidden_units'"),
        ({"head__poolin": "max"}, "head_params has 'poolin', which Head .* mean 'pooling'"),
        ({"sampler__samples_per_clas": 2}, "which ClassBalancedSampler .* 'samples_per_class'"),
        ({"optimizer__weight_decy": 2}, "which Adam .* mean 'weight_decay'"),
        ({"miner": "semi_hard", "miner__margn": 2}, "which SemiHardMiner .* mean 'margin'"),
    ],
    ids=lambda value: "" if isinstance(value, str) else ",".join(value),
)
def test_misspelled_argument_of_a_part_is_refused_at_once(given, message):
    embedder = DeepEmbedder()
    before = embedder.get_params()
    with pytest.raises(ValueError, match=message):
        embedder.set_params(**given)
    assert {k: v for k, v in embedder.get_params().items() if k not in ("loss", "miner")} == {
        k: v for k, v in before.items() if k not in ("loss", "miner")
    }


@pytest.mark.parametrize("how", ["an array", "lazy", "neither"])
def test_rows_by_place_without_axes_are_read_or_refused(how):
    X, y = np.random.RandomState(0).randn(24, 3).astype(np.float32), np.arange(24) % 2
    methods = {
        "an array": {"__array__": lambda self, dtype=None, copy=None: X},
        "lazy": {"compute": lambda self: X},
        "neither": {},
    }
    table = type("Table", (), {"iloc": X, "__len__": lambda self: len(X), **methods[how]})()
    embedder = DeepEmbedder(max_epochs=1, random_state=0)
    if how == "an array":
        assert embedder.fit(table, y).transform(X).shape[0] == 24
        return
    message = r"give X\.compute\(\)" if how == "lazy" else "must be a string or a real number"
    with pytest.raises(TypeError, match=message):
        embedder.fit(table, y)
