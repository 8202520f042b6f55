"""Training that goes on: every changed argument is honored, or an error names it."""

import inspect
import pickle

import numpy as np
import pytest
import torch
from helpers.embedders import Record, assert_same_weights, make, quick, recorded, weights
from skorch.callbacks import Callback
from torch import nn

from metriclearn.constraints import Pairs, pairs_from_labels, triplets_from_labels
from metriclearn.deep import DeepEmbedder
from metriclearn.deep.losses import MinedLoss, SupConLoss, TripletLoss
from metriclearn.deep.samplers import RandomSampler


def falling(done, power=1):
    return (1 - done) ** power


START = {"warm_start": True, "max_epochs": 2, "callbacks": [Record()], "schedule": falling}


class Rates(Callback):
    """Keep what the optimizer used."""

    def on_train_begin(self, net, **kwargs):
        self.used_ = []

    def on_grad_computed(self, net, **kwargs):
        self.used_.append({group["part"]: group["lr"] for group in net.optimizer_.param_groups})


def net(check):
    return lambda embedder: check(embedder.net_)


def used(embedder):
    return dict(embedder.net_.callbacks_)["Rates"].used_


def first_batch(net):
    return net.history[-1, "batches", 0, "train_batch_size"]


#: How each argument, changed, is seen in the next fit.
HONORED = {
    "loss": ("supcon", net(lambda n: isinstance(n.criterion_, SupConLoss))),
    "loss_params": ({"margin": 0.7}, net(lambda n: n.criterion_.loss.margin == 0.7)),
    "miner": (None, net(lambda n: isinstance(n.criterion_, TripletLoss))),
    "miner_params": ({"margin": 0.4}, net(lambda n: n.criterion_.miner.margin == 0.4)),
    "sampler": ("random", net(lambda n: isinstance(n.recipe_.sampler, RandomSampler))),
    "sampler_params": (
        {"samples_per_class": 3},
        net(lambda n: n.recipe_.sampler.samples_per_class == 3),
    ),
    "optimizer": ("sgd", net(lambda n: isinstance(n.optimizer_, torch.optim.SGD))),
    "optimizer_params": (
        {"weight_decay": 0.3},
        net(lambda n: n.optimizer_.param_groups[0]["weight_decay"] == 0.3),
    ),
    "lr": (0.02, net(lambda n: {g["initial_lr"] for g in n.optimizer_.param_groups} == {0.02})),
    "backbone_lr": (
        0,
        lambda e: [g["part"] for g in e.net_.optimizer_.param_groups] == ["head"],
    ),
    "proxy_lr": (0.5, net(lambda n: n.recipe_.rates["proxies"] == 0.5)),
    "schedule": (lambda done: 0.25, net(lambda n: n.optimizer_.param_groups[0]["lr"] == 0.25e-3)),
    "schedule_params": (
        {"power": 0},
        net(lambda n: n.optimizer_.param_groups[0]["lr"] == 1e-3),
    ),
    "chunk_size": (4, net(lambda n: n.recipe_.chunk_size == 4)),
    "ema_decay": (0.9, net(lambda n: n.module_average_.n_steps == 8)),
    "warmup_epochs": (
        3,
        lambda e: (
            not any(
                not torch.equal(a, b)
                for a, b in zip(
                    recorded(e).backbone_[0].values(),
                    recorded(e).backbone_[-1].values(),
                    strict=True,
                )
            )
        ),
    ),
    "freeze_batch_norm": (
        True,
        lambda e: torch.equal(*(recorded(e).backbone_[i]["5.running_mean"] for i in (0, -1))),
    ),
    "batch_size": (12, net(lambda n: first_batch(n) == 12 and n.batch_size == 12)),
    "max_epochs": (3, lambda e: e.n_iter_ == 5),
    "validation": ("stratified", lambda e: "valid_recall_at_1" in e.history_[-1]),
    "validation_fraction": (0.4, lambda e: e.validation_fraction == 0.4),
    "patience": (1, lambda e: e.patience == 1),
    "augment": (lambda X: X * 0, net(lambda n: n.recipe_.augment(torch.ones(1)) == 0)),
    "precision": ("float16", net(lambda n: n.scaler_.is_enabled())),
    "compile": (True, net(lambda n: n.recipe_.compile)),
    "callbacks": ([("new", Rates())], lambda e: dict(e.net_.callbacks_)["new"].used_),
    "device": ("cpu:0", net(lambda n: n.device == "cpu:0")),
    "random_state": (7, lambda e: True),  # see the test of its own
    "warm_start": (False, lambda e: e.n_iter_ == 2),
    "verbose": (1, lambda e: True),
    "checkpoint": ("folder", lambda e: (e.checkpoint / "checkpoint.pt").exists()),
}
OF_THE_NETWORK = {
    "module": nn.Linear(5, 3),
    "module_params": {"hidden_units": 8},
    "n_components": 7,
    "head_params": {"layer_norm": True},
    "image_shape": (1, 5),
    "image_size": 8,
}


def test_every_argument_is_in_a_table():
    assert set(inspect.signature(DeepEmbedder).parameters) == set(HONORED) | set(OF_THE_NETWORK)


@pytest.mark.parametrize("name", HONORED)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's compiler
@pytest.mark.filterwarnings("ignore:.* has no effect here")  # without validation or proxies
def test_changed_argument_is_honored(name, tmp_path, monkeypatch):
    X, y = make(apart=0.8)
    monkeypatch.setattr(torch, "compile", lambda module, options: module)
    value, seen = HONORED[name]
    if name == "checkpoint":
        value = tmp_path
    embedder = quick(**START).fit(X, y)
    before = weights(embedder)
    embedder.set_params(**{name: value}).fit(X, y)
    assert seen(embedder)
    assert embedder.n_iter_ == (2 if name == "warm_start" else 5 if name == "max_epochs" else 4)
    after = weights(embedder)["head.linear.weight"]
    assert np.array_equal(after, before["head.linear.weight"]) == (name == "warm_start")


@pytest.mark.parametrize("name", OF_THE_NETWORK)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_changed_argument_of_the_network_is_refused_by_name(name, method):
    X, y = make()
    embedder = quick(**START).fit(X, y)
    before = weights(embedder)
    embedder.set_params(**{name: OF_THE_NETWORK[name]})
    with pytest.raises(ValueError, match=rf"^{name} was changed from .* fit a clone, or set warm_"):
        getattr(embedder, method)(X, y)
    assert embedder.n_iter_ == 2
    for key, value in weights(embedder).items():
        np.testing.assert_array_equal(value, before[key])


def test_nothing_changed_goes_on_exactly_even_from_a_pickle():
    X, y = make(apart=0.8)
    settings = {"loss_params": {"margin": 0.1}, "module": nn.Linear(5, 3), "n_components": 4}
    embedder = quick(**START, **settings).fit(X, y)
    copy = pickle.loads(pickle.dumps(embedder))
    same = {"loss_params": {"margin": np.float64(0.1)}, "n_components": np.int64(4)}
    assert_same_weights(embedder.fit(X, y), copy.set_params(**same).fit(X, y))


def test_seed_changed_draws_other_batches():
    X, y = make(apart=0.8)
    settings = {**START, "module_params": {"noise": 0}, "sampler": "random"}
    one, other, third = (quick(**settings).fit(X, y) for _ in range(3))
    one.fit(X, y)
    assert_same_weights(other.set_params(random_state=5).fit(X, y),
                        third.set_params(random_state=5).fit(X, y))  # fmt: skip
    assert not np.array_equal(one.transform(X), other.transform(X))


def test_dict_changed_in_place_counts_as_changed():
    X, y = make(apart=0.8)
    embedder = quick(**START, loss_params={"margin": 0.1}).fit(X, y)
    embedder.loss_params["margin"] = 0.6
    assert embedder.fit(X, y).net_.criterion_.loss.margin == 0.6


def test_rates_changed_keep_the_momentum_and_frozen_parts_thaw():
    X, y = make(apart=0.8)
    embedder = quick(**START, optimizer="sgd", optimizer_params={"momentum": 0.9}).fit(X, y)
    optimizer = embedder.net_.optimizer_
    embedder.set_params(lr=1e-2).fit(X, y)
    assert embedder.net_.optimizer_ is optimizer
    embedder.set_params(backbone_lr=0).fit(X, y)
    frozen = weights(embedder)["backbone.4.weight"]
    embedder.fit(X, y)
    np.testing.assert_array_equal(weights(embedder)["backbone.4.weight"], frozen)
    embedder.set_params(backbone_lr=1e-3).fit(X, y)
    assert not np.array_equal(weights(embedder)["backbone.4.weight"], frozen)


def test_new_loss_is_sized_for_the_classes_and_settles_the_length():
    X, y = make(apart=0.8)
    embedder = quick(**START).fit(X, y)
    embedder.set_params(loss="proxy_anchor").fit(X, y)
    assert embedder.net_.criterion_.proxies.shape == (6, 64)
    embedder.set_params(loss="contrastive").fit(X, y)
    assert np.ptp(np.linalg.norm(embedder.transform(X), axis=1)) > 0.01


def test_partial_fit_honors_changed_arguments_as_well():
    X, y = make(apart=0.8)
    embedder = quick(callbacks=[Rates()]).partial_fit(X, y)
    embedder.set_params(lr=1e-5, batch_size=12).partial_fit(X, y)
    assert used(embedder)[0] == {"backbone": 1e-5, "head": 1e-5}
    assert first_batch(embedder.net_) == 12


@pytest.mark.parametrize("validation", ["class_disjoint", "auto"])
def test_held_out_classes_stay_held_out(validation):
    X, y = make(n_classes=50, n_rows=4, apart=0.8)
    embedder = quick(**START, loss="proxy_anchor", validation=validation).fit(X, y)
    classes = embedder.classes_
    np.testing.assert_array_equal(embedder.fit(X, y).classes_, classes)
    for other in (None, "stratified", np.arange(4)):
        embedder.set_params(validation=other)
        with pytest.raises(ValueError, match=r"validation was changed from .* learned nothing of"):
            embedder.fit(X, y)
    embedder.set_params(validation=validation, loss="triplet").fit(X, y)
    embedder.set_params(validation=None).fit(X, y)
    assert len(embedder.classes_) == 50


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "multi_similarity"])
def test_constraints_after_labels_leave_the_miner_out(loss):
    X, y = make(apart=0.8)
    draw = triplets_from_labels if loss == "triplet" else pairs_from_labels
    miner = "semi_hard" if loss == "triplet" else "pair_margin"
    embedder = quick(**START, loss=loss, miner=miner).fit(X, y)
    assert isinstance(embedder.net_.criterion_, MinedLoss)
    embedder.set_params(miner="auto").fit(X, constraints=draw(y, random_state=0))
    assert not isinstance(embedder.net_.criterion_, MinedLoss)
    assert embedder.n_iter_ == 4


def test_constraints_then_other_constraints():
    X, y = make(apart=0.8)
    embedder = quick(**START, loss="margin", module_params={"hidden_units": 256})
    embedder.fit(X, constraints=Pairs([[0, 1], [2, 3]], [True, False]))
    embedder.set_params(loss="triplet").fit(X, constraints=triplets_from_labels(y))
    assert isinstance(embedder.net_.criterion_, TripletLoss)


@pytest.mark.parametrize("frozen", [{"backbone_lr": 0}, {"warmup_epochs": 9}])
@pytest.mark.parametrize("norm", [nn.BatchNorm1d(8), nn.BatchNorm1d(8, momentum=None),
                                  nn.utils.spectral_norm(nn.Linear(8, 8))])  # fmt: skip
def test_frozen_backbone_stands_still_with_all_its_statistics(frozen, norm):
    X, y = make()
    module = nn.Sequential(nn.Linear(5, 8), norm, nn.Dropout(0.5))
    embedder = quick(module, n_components=3, **frozen).fit(X, y)
    for name, value in embedder.net_.module_.backbone.state_dict().items():
        assert torch.equal(value, module.state_dict()[name]), name
    unfrozen = quick(module, n_components=3).fit(X, y).net_.module_.backbone.state_dict()
    assert any(not torch.equal(v, module.state_dict()[k]) for k, v in unfrozen.items())


def test_warm_up_counts_the_epochs_of_a_fit():
    X, y = make()
    embedder = quick(**START, warmup_epochs=1).fit(X, y)
    for _ in range(2):
        history = recorded(embedder.fit(X, y)).backbone_
        assert torch.equal(history[0]["4.weight"], history[1]["4.weight"])
        assert not torch.equal(history[1]["4.weight"], history[2]["4.weight"])


def test_device_is_followed_after_fit():
    X, y = make()
    embedder = quick().fit(X, y)
    Z = embedder.transform(X)
    np.testing.assert_array_equal(embedder.set_params(device="cpu:0").transform(X), Z)
    assert embedder.net_.device == "cpu:0"
    embedder.set_params(device="cuda:99")
    with pytest.raises(ValueError, match="device='cuda:99' cannot be used here"):
        embedder.transform(X)
    embedder.set_params(device="meta")
    embedder.net_.move("meta")
    assert all(p.device.type == "meta" for p in embedder.net_.module_.parameters())
