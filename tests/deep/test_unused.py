"""Arguments of an embedder that do nothing beside the others are named by a warning."""

import inspect

import numpy as np
import pytest
import torch
from helpers.embedders import make, quick
from helpers.unused import outcome, unsaid
from torch import nn

from metriclearn.constraints import Pairs
from metriclearn.deep import DeepEmbedder, TwoTowerEmbedder
from metriclearn.deep import samplers as S
from metriclearn.verification import PairNetwork

#: What says nothing of the result, or what the rows are, or limits that are not always reached.
OF_THE_RUN = {
    "callbacks", "checkpoint", "chunk_size", "compile", "device", "image_shape", "patience",
    "random_state", "verbose", "warm_start",
}  # fmt: skip
OTHER = {
    "augment": lambda batch: batch * 1.5,
    "backbone_lr": 0.02,
    "batch_size": 12,
    "ema_decay": 0.5,
    "freeze_batch_norm": True,
    "head_params": {"layer_norm": True},
    "image_size": 8,
    "loss": "contrastive",
    "loss_params": {"margin": 0.3},
    "lr": 0.05,
    "max_epochs": 3,
    "miner": "batch_hard",
    "miner_params": {"margin": 0.01},
    "module": "linear",
    "module_params": {"hidden_units": 8},
    "n_components": 3,
    "optimizer": "sgd",
    "optimizer_params": {"weight_decay": 0.3},
    "precision": "bfloat16",
    "proxy_lr": 0.3,
    "sampler": "unbalanced",
    "sampler_params": {"samples_per_class": 2},
    "schedule": "constant",
    "schedule_params": {"step_size": 2},
    "validation": "stratified",
    "validation_fraction": 0.4,
    "warmup_epochs": 1,
}
#: Of networks on two rows, where it is another than that of an embedder.
OTHER_OF_PAIRS = {
    "document_module": "linear",
    "document_module_params": {"hidden_units": 9},
    "head_params": {"layer_norm": True},
    "hidden_units": 7,
    "module_params": {"hidden_units": 8},
    "pos_label": False,
    "shared": True,
    "symmetric": False,
    "temperature": 0.5,
    "weight_decay": 0.5,
    "wiring": "siamese",
}
BARE = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
SETTINGS = [
    {},
    {"loss": "proxy_anchor", "validation": "stratified"},
    {"module": BARE, "sampler": "random"},
    {"module": BARE, "backbone_lr": 0.01, "miner": None},
    {"module": nn.Flatten(), "n_components": 3, "schedule": "step"},
    {"constraints": True, "loss": "margin"},
]


def fitted(X, y, constraints=False, **settings):
    pairs = Pairs(np.arange(60).reshape(30, 2), np.arange(30) % 3 == 0)
    given = {"constraints": pairs} if constraints else {"y": y}
    return quick(**{"max_epochs": 2, **settings}).fit(X, **given).transform(X)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_argument_of_an_embedder_acts_or_is_named(setting):
    X, y = make(n_rows=10)
    before = fitted(X, y, **setting)
    ignored = []
    for name in set(inspect.signature(DeepEmbedder).parameters) - OF_THE_RUN - set(setting):
        changed = {**setting, name: OTHER[name]}
        after, text = outcome(lambda changed=changed: fitted(X, y, **changed))
        if unsaid(name, before, after, text):
            ignored.append(name)
    assert not ignored


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ({"patience": 3}, "patience"),
        ({"validation_fraction": 0.4}, "validation_fraction"),
        ({"validation_fraction": 0.4, "validation": [1, 2, 3]}, "validation_fraction"),
        ({"proxy_lr": 0.1}, "proxy_lr"),
        ({"module": nn.Flatten(), "n_components": 3, "backbone_lr": 0.1}, "backbone_lr"),
        ({"module": nn.Flatten(), "n_components": 3, "warmup_epochs": 1}, "warmup_epochs"),
        ({"module": BARE, "backbone_lr": 0.1, "lr": 0.5}, "lr"),
        ({"module": BARE, "freeze_batch_norm": True}, "freeze_batch_norm"),
        ({"constraints": True, "loss": "contrastive", "sampler": "random"}, "sampler"),
        ({"constraints": True, "loss": "contrastive", "miner_params": {"a": 1}}, "miner_params"),
    ],
)
def test_an_argument_without_effect_is_named(setting, name):
    with pytest.warns(UserWarning, match=rf"DeepEmbedder: {name}=.* no effect here, it is only"):
        fitted(*make(n_rows=10), **{"max_epochs": 1, **setting})


RNG = np.random.RandomState(0)
LEFT, SAME = RNG.randn(30, 4), RNG.rand(30) < 0.5
RIGHT = LEFT + np.where(SAME, 0.1, 1.0)[:, None] * RNG.randn(30, 4)


def scored(**settings):
    pairs = np.stack([LEFT, RIGHT], axis=1)
    return PairNetwork(**settings).fit(pairs, SAME).score_pairs(pairs)


def found(**settings):
    towers = TwoTowerEmbedder(**settings).fit(LEFT, RIGHT)
    return towers.transform(LEFT) @ towers.transform_documents(RIGHT).T


@pytest.mark.parametrize(
    ("kind", "call", "setting"),
    [
        (PairNetwork, scored, {}),
        (PairNetwork, scored, {"wiring": "pseudo_siamese"}),
        (TwoTowerEmbedder, found, {}),
        (TwoTowerEmbedder, found, {"document_module": "mlp", "chunk_size": 4}),
        (TwoTowerEmbedder, found, {"shared": True}),
    ],
)
def test_every_argument_of_networks_on_two_rows_acts_or_is_named(kind, call, setting):
    base = {"n_components": 6, "batch_size": 16, "max_epochs": 2, "random_state": 0, **setting}
    before, ignored = call(**base), []
    for name in set(inspect.signature(kind).parameters) - OF_THE_RUN - set(setting) - {"points"}:
        value = {**OTHER, **OTHER_OF_PAIRS}[name]
        after, text = outcome(lambda name=name, value=value: call(**{**base, name: value}))
        if unsaid(name, before, after, text):
            ignored.append(name)
    assert not ignored


CODES = np.repeat(np.arange(8), 6)
UNLABELED = np.where(np.arange(48) % 3, CODES, -1)
AMOUNTS = np.random.RandomState(0).rand(48, 2) * 360
FEW, MANY = {"batch_size": 12}, {"batch_size": 24}
TWO = {"samples_per_class": 2}
SAMPLERS = [
    (S.RandomSampler, CODES, MANY, FEW),
    *(
        (sampler, CODES, MANY, FEW | TWO)
        for sampler in (S.ClassBalancedSampler, S.ClusterSampler, S.UnbalancedSampler)
    ),
    (S.FixedTripletSampler, CODES, MANY, {"n_triplets": 50, **FEW}),
    (S.HierarchicalSampler, CODES, MANY, {"n_nearest": 1, **FEW, **TWO}),
    (
        S.HardNegativeSampler,
        CODES,
        {"n_candidates": 4, **MANY},
        {"n_candidates": 8, "skip_hardest": 1, "kind": "semi_hard", **FEW},
    ),
    (S.SemiSupervisedSampler, UNLABELED, MANY, {"share": 0.25, **FEW, **TWO}),
    (S.NearLabelSampler, AMOUNTS[:, 0], MANY, {"n_nearest": 2, "near": 30.0, **FEW}),
    (S.NearLabelSampler, AMOUNTS[:, 0], {"near": 30.0, **MANY}, {"n_nearest": 2}),
    (S.NearLabelSampler, AMOUNTS, {"near": 90.0, **MANY}, {"parts": [[0], [1]]}),
]


@pytest.mark.parametrize(("sampler", "labels", "base", "others"), SAMPLERS)
def test_every_argument_of_a_sampler_acts_or_is_named(sampler, labels, base, others):
    rows = torch.randn(48, 3, generator=torch.Generator().manual_seed(0))

    def drawn(given):
        made = sampler(**given)
        made.refresh(rows, labels)
        if hasattr(made, "follow"):
            made.follow(torch.arange(48) % 2)
        return np.array(repr([b.tolist() for b in made.epoch(labels, np.random.default_rng(0))]))

    before, error = outcome(lambda: drawn(base))
    assert before is not None, error
    for name, value in others.items():
        after, text = outcome(lambda name=name, value=value: drawn({**base, name: value}))
        assert not unsaid(name, before, after, text), name
