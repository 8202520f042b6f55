"""Optimizers of the user, and the net that is trained."""

import functools
import pickle

import numpy as np
import pytest
import torch
from helpers.embedders import Rates, make, quick, state_of
from skorch.callbacks import (
    EpochScoring,
)

from metriclearn.deep import DeepEmbedder


def fit(**params):
    X, y = make(apart=0.8)
    return quick(**params).fit(X, y)


class TwoSteps(torch.optim.SGD):
    """Evaluates the loss twice a step, as sharpness-aware minimization does."""

    n_evaluations = 0

    def step(self, closure=None):
        assert closure is not None
        for _ in range(2):
            with torch.enable_grad():
                loss = closure()
            super().step()
            TwoSteps.n_evaluations += 1
        return loss


def test_optimizers_that_evaluate_the_loss_again_may():
    embedder = fit(optimizer=TwoSteps, max_epochs=2)
    assert TwoSteps.n_evaluations == 2 * 2 * 4
    assert len(embedder.net_.history[-1]["batches"]) == 4


@pytest.mark.parametrize(
    "optimizer",
    [
        functools.partial(torch.optim.AdamW, betas=(0.5, 0.9)),
        lambda groups, weight_decay=0.1: torch.optim.SGD(groups, weight_decay=weight_decay),
    ],
    ids=["partial", "function"],
)
def test_optimizers_may_be_functions(optimizer):
    embedder = fit(optimizer=optimizer, optimizer_params={"weight_decay": 0.2})
    assert all(group["weight_decay"] == 0.2 for group in embedder.net_.optimizer_.param_groups)
    with pytest.raises(ValueError, match="optimizer_params has 'weight_decy', which"):
        fit(optimizer=optimizer, optimizer_params={"weight_decy": 0.2})


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (torch.optim.LBFGS, "optimizer=LBFGS needs the loss of the whole training set"),
        (lambda groups: torch.optim.LBFGS(groups), "optimizer cannot be made: LBFGS doesn't supp"),
        (lambda: None, "optimizer cannot be made"),
    ],
    ids=["class", "made by a function", "no optimizer"],
)
def test_optimizers_that_do_not_fit_are_refused(optimizer, message):
    with pytest.raises(ValueError, match=message):
        fit(optimizer=optimizer)


# The net itself


def test_net_embeds_like_the_embedder_and_survives_what_skorch_offers(tmp_path):
    X, y = make()
    embedder = quick(validation="stratified").fit(X, y)
    Z = embedder.transform(X)
    net = embedder.net_
    assert net.initialize() is net
    for embedded in (net.predict(X), net.transform(X), net.predict_proba(X.astype(float))):
        np.testing.assert_array_equal(embedded, Z)
    np.testing.assert_array_equal(net.forward(torch.from_numpy(X)).numpy(), Z)
    net.save_params(f_params=tmp_path / "params.pt")
    net.load_params(f_params=tmp_path / "params.pt")
    np.testing.assert_array_equal(embedder.transform(X), Z)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).predict(X), Z)
    with pytest.raises(NotImplementedError, match=r"trained by DeepEmbedder\.fit and partial_fit"):
        net.fit(X, y)
    with pytest.raises(ValueError, match=r"X must be of shape \(n, 5\), got \(120, 4\)"):
        net.predict(X[:, :4])
    for name in ("module", "criterion__margin", "train_split", "optimizer"):
        with pytest.raises(ValueError, match=f"{name} cannot be set on a trained net"):
            net.set_params(**{name: 1})
    np.testing.assert_array_equal(embedder.transform(X), Z)


def test_rates_set_on_the_net_are_those_of_the_next_training():
    X, y = make()
    embedder = quick(callbacks=[Rates()], lr=1e-2).partial_fit(X, y)
    embedder.net_.set_params(lr=1e-4)
    embedder.partial_fit(X, y)
    assert set(state_of(embedder, "Rates").used_) == {1e-4}


def test_scores_of_epochs_go_on_in_partial_fit():
    """Each call trains one epoch more; a score is recorded for each, and the best among all."""
    X, y = make(apart=0.8)
    given = iter([0.1, 0.5, 0.3, 0.7])
    scored = EpochScoring(
        lambda net, X, y=None: next(given), lower_is_better=False, on_train=True, name="mine"
    )
    embedder = quick(callbacks=[scored], max_epochs=2).fit(X, y)
    embedder.partial_fit(X, y).partial_fit(X, y)
    rows = embedder.history_
    assert [row["mine"] for row in rows] == [0.1, 0.5, 0.3, 0.7]
    assert [row["mine_best"] for row in rows] == [True, True, False, True]


def test_network_cast_to_half_precision_still_embeds():
    X, y = make()
    embedder = quick().fit(X, y)
    Z = embedder.transform(X)
    embedder.net_.module_.half()
    assert embedder.transform(X).dtype == np.float32
    np.testing.assert_allclose(embedder.transform(X), Z, atol=0.02)


def test_images_may_be_embedded_by_the_net():
    X = np.random.RandomState(0).randint(256, size=(40, 6, 6, 3)).astype(np.uint8)
    embedder = DeepEmbedder("convnet", "contrastive", max_epochs=1, random_state=0)
    embedder.fit(X, np.arange(40) % 4)
    Z = embedder.transform(X)
    for given in (X, X.reshape(40, -1), X.astype(float)):
        np.testing.assert_allclose(embedder.net_.predict(given), Z, rtol=1e-6)
