"""Arguments of loss and miner that change over a run, and those of a loss inside another."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import torch
from helpers.embedders import Kill, assert_same_weights, make, quick, state_of
from helpers.loss_batches import assert_equal, batch, fresh
from helpers.oracles import LOSSES
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

from metriclearn.deep import DeepEmbedder
from metriclearn.deep import losses as L
from metriclearn.deep.miners import MINERS
from metriclearn.deep.training._moving import _SIZES, MovingArguments, _movable

X, y = make(apart=0.8)


class Seen(Callback):
    """Keep what the argument is at each step."""

    def __init__(self, look):
        self.look = look

    def on_train_begin(self, net, **kwargs):
        self.seen_ = []

    def on_grad_computed(self, net, **kwargs):
        self.seen_.append(self.look(net.criterion_))


def margin_of(criterion):
    return criterion.loss.margin


@pytest.mark.parametrize(
    ("values", "at"),
    [
        ((0.1, 0.5), lambda done: 0.1 + 0.4 * done),
        ([0.4, 0, 0.2], lambda done: np.interp(done, [0, 0.5, 1], [0.4, 0, 0.2])),
        (np.cos, np.cos),
    ],
    ids=["two", "three", "function"],
)
def test_argument_is_what_the_schedule_says_at_each_step(values, at):
    settings = {"schedule_params": {"loss__margin": values}, "callbacks": [Seen(margin_of)]}
    embedder = quick(**settings, max_epochs=3).fit(X, y)
    seen = state_of(embedder, "Seen").seen_
    expected = [at(number / len(seen)) for number in range(len(seen))]
    np.testing.assert_allclose(seen, expected, rtol=1e-12)
    # What is kept has the argument that it was given.
    assert margin_of(embedder.net_.criterion_) == L.TripletLoss().margin
    embedder.partial_fit(X, y)
    assert set(state_of(embedder, "Seen").seen_) == {at(0.0)}


STILL = {
    "triplet": ("loss__margin", 0.4, {}),
    "margin by default": ("loss__margin", 0.4, {"loss": "contrastive"}),
    "window of the miner": ("miner__margin", 0.3, {"miner_params": {"margin": 0.1}}),
    "pairs": ("miner__epsilon", 0.2, {"loss": "multi_similarity", "miner": "multi_similarity"}),
    "proxies": ("loss__scale", 20.0, {"loss": "arcface"}),
    "averaged, in chunks": ("loss__margin", 0.4, {"ema_decay": 0.9, "chunk_size": 20}),
}


@pytest.mark.parametrize(("path", "value", "settings"), STILL.values(), ids=STILL)
def test_argument_that_stays_is_the_argument(path, value, settings):
    moved = quick(**settings, max_epochs=2, schedule_params={path: (value, value)})
    given = quick(**settings, max_epochs=2).set_params(**{path: value})
    plain = quick(**settings, max_epochs=2)
    first, second, third = (embedder.fit(X, y) for embedder in (moved, given, plain))
    assert_same_weights(first, second)
    assert not np.array_equal(first.transform(X), third.transform(X))


@pytest.mark.filterwarnings("ignore:.* has no effect here")
@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
def test_what_can_be_moved_is_honored(case):
    embeddings, labels = batch()
    for name in _movable(case.loss):
        takes = [n for n in inspect.signature(type(case.loss)).parameters if n not in _SIZES]
        of = {**vars(case.loss), **case.loss._modules}
        given = {n: copy.deepcopy(of[n]) for n in takes if n in of}
        loss = fresh(case)
        if not set(takes) <= set(of):  # a property, made of what was copied
            continue
        given[name] = 0.8 if of[name] is None else of[name] * (1.1 if name == "far" else 0.9)
        made = type(case.loss)(**given)
        if made.n_classes is None:
            made.build(4, 3)
        made = made.double()
        made.load_state_dict(loss.state_dict())
        vars(loss)[name] = given[name]
        values = []
        for each in (loss, made):
            torch.manual_seed(0)
            values.append(each(embeddings, labels))
        assert_equal(*values)


def test_arguments_that_go_together_are_checked_together():
    params = {"loss__near": (0.3, 0.7), "loss__far": (0.5, 1.0)}
    loss = L.LabelDistanceTripletLoss(near=0.3, far=0.5)
    moves = MovingArguments(params).of(loss, None)
    moves(1.0)
    assert (loss.near, loss.far) == (0.7, 1.0)
    moves.undo()
    with pytest.raises(ValueError, match="near must be at most far"):
        MovingArguments({"loss__near": (0.3, 0.7)}).of(loss, None)
    assert (loss.near, loss.far) == (0.3, 0.5)


def test_a_loss_is_not_moved_to_where_it_lacks_what_it_needs():
    moving = MovingArguments({"loss__activation": (0.0, 1.0)})
    with pytest.raises(ValueError, match="begins to need activations and features: made with 0"):
        moving.of(L.BoostedLoss(), None)
    with pytest.raises(ValueError, match="'loss__loss__activation'"):
        MovingArguments({"loss__loss__activation": (0.0, 1.0)}).of(
            L.WeightedSum([L.BoostedLoss()]), None
        )
    loss = L.BoostedLoss(activation=1.0)
    moving.of(loss, None)(0.5)
    assert loss.activation == 0.5


def test_losses_inside_another_are_reached():
    made = {
        "grouped": L.GroupedLoss(L.ContrastiveLoss(), 2),
        "matryoshka": L.Matryoshka(L.ContrastiveLoss()).build(4, 8),
        "semi_supervised": L.SemiSupervisedLoss(L.ContrastiveLoss()),
        "sum": L.WeightedSum([L.ContrastiveLoss(), L.TripletLoss()]),
    }
    moving = MovingArguments({"loss__loss__margin": (0.3, 0.7)})
    for loss in made.values():
        moves = moving.of(loss, None)
        moves(0.5)
        pairs = [part for part in loss.parts() if isinstance(part, L.ContrastiveLoss)]
        assert {part.margin for part in pairs} == {0.5}
        moves.undo()
        assert {part.margin for part in pairs} == {L.ContrastiveLoss().margin}
    moves = MovingArguments({"loss__losses__margin": (0.3, 0.7)}).of(made["sum"], None)
    moves(1.0)
    assert [part.margin for part in made["sum"].losses] == [0.7, 0.7]


class Own(nn.Module):
    """Somebody else's loss."""

    def __init__(self):
        super().__init__()
        self.power = 1.0

    def forward(self, embeddings, labels):
        same = labels[:, None] == labels
        return (torch.cdist(embeddings, embeddings) ** self.power * same).mean()


def test_loss_of_ones_own_is_moved():
    seeing = Seen(lambda criterion: criterion.module.power)
    params = {"schedule_params": {"loss__power": (1.0, 3.0)}, "callbacks": [seeing]}
    embedder = quick(loss=Own(), **params, max_epochs=1).fit(X, y)
    seen = state_of(embedder, "Seen").seen_
    assert seen == sorted(seen)
    assert seen[0] == 1.0 < seen[-1]


def test_killed_run_pickle_and_file_go_on(tmp_path):
    params = {"loss": "arcface", "schedule_params": {"loss__margin": (0.1, 0.8)}}
    whole = quick(**params).fit(X, y)
    with pytest.raises(KeyboardInterrupt):
        quick(**params, checkpoint=tmp_path, callbacks=[Kill(3)]).fit(X, y)
    assert_same_weights(quick(**params, checkpoint=tmp_path).fit(X, y), whole)
    assert_same_weights(pickle.loads(pickle.dumps(whole)), whole)
    assert_same_weights(clone(whole).fit(X, y), whole)
    whole.save(tmp_path / "embedder")
    loaded = DeepEmbedder.load(tmp_path / "embedder")
    np.testing.assert_array_equal(loaded.transform(X), whole.transform(X))
    assert list(loaded.get_params()["schedule__loss__margin"]) == [0.1, 0.8]
    loaded.set_params(warm_start=True, schedule_params=None).fit(X, y)
    assert loaded.net_.criterion_.margin == L.ArcFaceLoss().margin


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"loss__margn": (0, 1)}, r"no number of TripletLoss .*did you mean 'margin'"),
        ({"loss__margin": (0, -1)}, r"'margin' parameter of TripletLoss must be"),
        ({"loss__margin": 0.3}, r"loss__margin=0.3; give the first and the last value"),
        ({"loss__margin": np.array([0.1, 0.2])}, r"give the first and the last value"),
        ({"loss__margin": (0.3,)}, r"give the first and the last value"),
        ({"loss__margin": (0.3, "1")}, r"give the first and the last value"),
        ({"loss__margin": (0.3, np.nan)}, r"give the first and the last value"),
        ({"loss__margin": lambda done: None}, r"which gave None; it must be a number"),
        ({"loss__margin": lambda done: 1 - 2 * done}, r"must be a float in the range"),
        ({"loss__squared": (0, 1)}, r"no number of TripletLoss"),
        ({"loss__loss__margin": (0, 1)}, r"TripletLoss has no part 'loss'"),
        ({"miner__margn": (0, 1)}, r"no number of SemiHardMiner"),
        ({"mine__margin": (0, 1)}, r"begins with 'loss__' or 'miner__'"),
    ],
)
def test_what_cannot_be_moved_is_named(params, message):
    embedder = quick(schedule_params=params)
    with pytest.raises(ValueError, match=message):
        embedder.fit(X, y)
    assert not hasattr(embedder, "net_")


@pytest.mark.parametrize(
    ("loss", "params", "message"),
    [
        ("triplet", {"miner__margin": (0, 1)}, "there is no miner"),
        ("margin", {"loss__beta": (0.5, 1)}, "no number of MarginLoss"),
        ("sphereface", {"loss__margin": (1, 4)}, "no number of SphereFaceLoss"),
        ("ranked_list", {"loss__margin": (0.4, 1.4)}, "margin must be less than alpha=1.2"),
    ],
)
def test_what_is_learned_or_does_not_fit_is_named(loss, params, message):
    with pytest.raises(ValueError, match=message):
        quick(loss=loss, miner=None, schedule_params=params).fit(X, y)


def test_miners_can_be_moved_by_their_real_numbers():
    movable = {name: _movable(miner()) for name, miner in MINERS.items()}
    assert movable["multi_similarity"] == ["epsilon"]
    assert movable["hdc"] == ["fraction"]
    assert movable["pair_margin"] == ["positive_margin", "margin"]
    assert movable["semi_hard"] == ["margin"]
    assert movable["random"] == []


# Arguments of a loss inside another


def test_grid_search_reaches_the_loss_inside_another():
    named = {"loss": "grouped", "loss_params": {"loss": "arcface", "groups": 2}}
    embedder = quick(**named, max_epochs=1).set_params(loss__loss__margin=0.3)
    assert embedder.get_params()["loss__loss__margin"] == 0.3
    assert {p.margin for p in clone(embedder).fit(X, y).net_.criterion_.losses} == {0.3}
    search = GridSearchCV(
        embedder, {"loss__loss__margin": [0.2, 0.4]}, cv=2, scoring=lambda e, X, y: e.n_iter_
    ).fit(X, y)
    assert search.best_estimator_.net_.criterion_.losses[0].margin == 0.2
    with pytest.raises(ValueError, match=r"'mrgin', which ArcFaceLoss .*did you mean 'margin'"):
        embedder.set_params(loss__loss__mrgin=0.3).fit(X, y)
    with pytest.raises(ValueError, match=r"'loss__scale', but names no loss inside"):
        quick(loss="two_views", loss_params={"loss__scale": 2.0}).fit(X)
