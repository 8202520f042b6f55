"""Averaged weights, batches embedded in chunks, schedules with parameters."""

import pickle

import numpy as np
import pytest
import torch
from helpers.embedders import Kill, assert_same_weights, make, quick, weights
from scipy.spatial.distance import cdist
from skorch.callbacks import Callback
from torch import nn

from metriclearn.deep import DeepEmbedder
from metriclearn.deep.losses import LOSSES
from metriclearn.deep.training._average import WeightAverage
from metriclearn.deep.training._chunks import Chunks, buffers_kept
from metriclearn.deep.training._recipe import Schedule

PLAIN = {"hidden_units": 16, "batch_norm": False, "noise": 0}
AVERAGED = {"ema_decay": 0.9, "lr": 1e-2}


class Steps(Callback):
    """Keep the trained weights after each step."""

    def on_train_begin(self, net, **kwargs):
        self.seen_ = [self.look(net)]

    def on_batch_end(self, net, **kwargs):
        self.seen_.append(self.look(net))

    def look(self, net):
        return {name: value.clone() for name, value in net.module_.state_dict().items()}


# The average of the weights


def test_average_is_the_sum_of_its_closed_form():
    rng = torch.Generator().manual_seed(0)
    module = nn.BatchNorm1d(3).double()
    average = WeightAverage(module, 0.8)
    shares, values = [1.0], [torch.zeros(3, dtype=torch.float64) + module.weight.detach()]
    for t in range(1, 60):
        with torch.no_grad():
            module.weight.copy_(torch.randn(3, generator=rng, dtype=torch.float64))
        module.num_batches_tracked += 1
        average.update(module)
        decay = min(0.8, (1 + t) / (10 + t))
        shares = [share * decay for share in shares] + [1 - decay]
        values.append(module.weight.detach().clone())
    assert sum(shares) == pytest.approx(1)
    average.swap(module)
    expected = sum(share * value for share, value in zip(shares, values, strict=True))
    torch.testing.assert_close(module.weight.detach(), expected, rtol=1e-10, atol=1e-10)
    assert module.num_batches_tracked == 59


@pytest.mark.parametrize("validation", [None, "stratified"])
def test_embedder_is_the_average_of_what_was_trained(validation):
    X, y = make(apart=0.8)
    embedder = quick(**AVERAGED, validation=validation, patience=None, callbacks=[Steps()])
    seen = dict(embedder.fit(X, y).net_.callbacks_)["Steps"].seen_
    plain = quick(lr=1e-2, validation=validation, patience=None, callbacks=[Steps()]).fit(X, y)
    per_epoch = (len(seen) - 1) // 4
    mean = seen[0]
    for t, step in enumerate(seen[1 : 1 + per_epoch * embedder.best_epoch_], 1):
        decay = min(0.9, (1 + t) / (10 + t))
        mean = {k: decay * mean[k] + (1 - decay) * step[k] for k in mean}
    for name, value in weights(embedder).items():
        if not name.startswith("criterion") and value.dtype == np.float32:
            np.testing.assert_allclose(value, mean[name], atol=1e-6, err_msg=name)
    # What is trained is not changed by it, and is what training goes on from.
    for name, value in dict(plain.net_.callbacks_)["Steps"].seen_[-1].items():
        assert torch.equal(value, seen[-1][name]), name


def test_validation_is_of_the_average():
    X, y = make(apart=0.4)
    embedder = quick(**AVERAGED, validation=np.arange(60), max_epochs=1).fit(X, y)
    Z = embedder.transform(X)
    distances = cdist(Z[:60], Z) + np.diag(np.full(120, np.inf))[:60]
    expected = np.mean(y[distances.argmin(1)] == y[:60])
    assert embedder.history_[0]["valid_recall_at_1"] == pytest.approx(expected)
    plain = quick(lr=1e-2, validation=np.arange(60), max_epochs=1).fit(X, y)
    assert plain.history_[0]["valid_recall_at_1"] != pytest.approx(expected)


@pytest.mark.parametrize("dumped", [False, True])
def test_training_goes_on_from_the_trained_weights_and_their_average(dumped):
    X, y = make(apart=0.8)
    settings = {**AVERAGED, "schedule": "constant", "loss": "proxy_anchor"}
    whole = quick(**settings, max_epochs=4).fit(X, y)
    halves = quick(**settings, max_epochs=2, warm_start=True).fit(X, y)
    if dumped:
        halves = pickle.loads(pickle.dumps(halves))
    assert_same_weights(halves.fit(X, y), whole)
    last = halves.transform(X)
    halves.set_params(ema_decay=None).fit(X, y)
    assert halves.net_.module_average_ is None
    assert not np.array_equal(last, halves.transform(X))


def test_killed_run_ends_with_the_same_average(tmp_path):
    X, y = make(apart=0.8)
    settings = {**AVERAGED, "validation": "stratified", "patience": None}
    whole = quick(**settings).fit(X, y)
    with pytest.raises(KeyboardInterrupt):
        quick(**settings, checkpoint=tmp_path, callbacks=[Kill(3)]).fit(X, y)
    assert_same_weights(quick(**settings, checkpoint=tmp_path).fit(X, y), whole)


def test_saved_embedder_has_the_average(tmp_path):
    X, y = make()
    embedder = quick(**AVERAGED).fit(X, y)
    embedder.save(tmp_path / "embedder")
    loaded = DeepEmbedder.load(tmp_path / "embedder")
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))
    assert loaded.ema_decay == 0.9
    loaded.set_params(warm_start=True).fit(X, y)


def test_frozen_backbone_is_its_own_average_and_a_ruined_epoch_leaves_the_last():
    X, y = make()
    module = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8))
    embedder = quick(module, n_components=3, backbone_lr=0, **AVERAGED).fit(X, y)
    for name, value in embedder.net_.module_.backbone.state_dict().items():
        assert torch.equal(value, module.state_dict()[name]), name
    good = quick(**AVERAGED, schedule="constant", max_epochs=2).fit(X, y)
    bad = quick(**AVERAGED, schedule=lambda done: 1.0 if done < 0.5 else float("inf"))
    with pytest.raises(FloatingPointError, match="lower"):
        bad.fit(X, y)
    np.testing.assert_array_equal(bad.transform(X), good.transform(X))


# Batches in chunks


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_in_chunks_is_that_of_the_whole_batch(loss):
    torch.manual_seed(0)
    made = LOSSES[loss]()
    made.build(n_classes=4, embedding_dim=6, n_samples=24)
    made = made.double()
    network = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 6)).double()
    X, y = torch.randn(24, 5, dtype=torch.float64), torch.arange(24) % 4
    labels = torch.randn(24, dtype=torch.float64) if made.continuous_labels else y
    given = {"indices": torch.arange(24)} if made.needs_indices else {}
    state = {name: value.clone() for name, value in made.state_dict().items()}
    torch.manual_seed(1)
    made(network(X), labels, **given).backward()
    parameters = [*network.parameters(), *made.parameters()]
    whole = [None if p.grad is None else p.grad.clone() for p in parameters]
    made.load_state_dict(state)
    for parameter in parameters:
        parameter.grad = None
    torch.manual_seed(1)
    chunks = Chunks(network, X, 5)
    made(*chunks.outputs, labels, **given).backward()
    chunks.backward()
    for parameter, expected in zip(parameters, whole, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-10, atol=1e-10)


CHUNKED = {
    "pairs": {},
    "proxies": {"loss": "proxy_anchor"},
    "two views": {"loss": "two_views", "augment": nn.Identity()},
    "features": {"loss": "self_distillation", "loss_params": {"loss": "supcon"}},
    "activations": {"loss": "boosted", "loss_params": {"activation": 0.5}},
    "frozen": {"loss": "supcon", "backbone_lr": 0, "module_params": {**PLAIN, "batch_norm": True}},
}


@pytest.mark.parametrize("params", CHUNKED.values(), ids=CHUNKED)
def test_fit_in_chunks_is_the_fit_at_once(params):
    X, y = make(apart=0.8)
    settings = {"module_params": PLAIN, "max_epochs": 2, "optimizer": "sgd", "lr": 1e-2, **params}
    once, parts = quick(**settings).fit(X, y), quick(**settings, chunk_size=7).fit(X, y)
    for name, value in weights(once).items():
        np.testing.assert_allclose(weights(parts)[name], value, atol=2e-6, err_msg=name)


def test_random_layers_see_the_same_numbers_both_times_and_statistics_move_once():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(5, 8), nn.BatchNorm1d(8, momentum=None), nn.Dropout(), nn.Linear(8, 3)
    )
    X = torch.randn(20, 5)
    calls = []

    def network(rows):
        calls.append(module(rows))
        return calls[-1]

    with buffers_kept(module):
        chunks = Chunks(network, X, 6)
    assert module[1].num_batches_tracked == 0
    chunks.outputs[0].square().sum().backward()
    before = torch.get_rng_state()
    chunks.backward()
    assert torch.equal(torch.get_rng_state(), before)
    assert module[1].num_batches_tracked == 4
    first, second = torch.cat(calls[:4]), torch.cat(calls[4:])
    assert torch.equal(first, second)
    assert [len(call) for call in calls[:4]] == [5, 5, 5, 5]


@pytest.mark.parametrize("chunk_size", [1, 2])
def test_chunk_of_one_row_is_named_where_batches_are_normalized(chunk_size):
    X, y = make(n_rows=3)
    settings = {"chunk_size": chunk_size, "batch_size": 15, "sampler": "unbalanced"}
    with pytest.raises(ValueError, match=f"chunk_size={chunk_size} leaves batch normalization"):
        quick(**settings).fit(X[:15], y[:15])
    assert quick(**settings, module_params=PLAIN).fit(X[:15], y[:15]).n_iter_ == 4


def test_float16_and_averages_work_in_chunks():
    X, y = make()
    embedder = quick(chunk_size=8, precision="float16", ema_decay=0.9).fit(X, y)
    assert np.isfinite(embedder.transform(X)).all()


# Parameters of the schedule


class Rates(Callback):
    def on_train_begin(self, net, **kwargs):
        self.used_ = []

    def on_epoch_begin(self, net, **kwargs):
        self.used_.append([])

    def on_grad_computed(self, net, **kwargs):
        self.used_[-1].append(net.optimizer_.param_groups[0]["lr"])


def test_steps_are_counted_in_epochs():
    X, y = make()
    settings = {"schedule": "step", "lr": 1.0, "optimizer": "sgd", "callbacks": [Rates()]}
    params = {"step_size": 2, "gamma": 0.25}
    embedder = quick(**settings, schedule_params=params, max_epochs=5).fit(X, y)
    used = dict(embedder.net_.callbacks_)["Rates"].used_
    assert [sorted(set(epoch)) for epoch in used] == [[1.0], [1.0], [0.25], [0.25], [0.0625]]
    assert embedder.set_params(schedule__gamma=0.5).schedule_params == {**params, "gamma": 0.5}
    assert embedder.get_params()["schedule__step_size"] == 2


@pytest.mark.parametrize("epochs", [3, 7, 10, 49])
def test_step_is_that_of_torch(epochs):
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    steps = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)
    schedule = Schedule("step", {"step_size": 3, "gamma": 0.5})
    for epoch in range(epochs):
        done = (epoch / epochs, (epoch + 1) / epochs)
        for batch in range(7):
            share = done[0] + (done[1] - done[0]) * batch / 7
            assert schedule.factor(share, epochs) == pytest.approx(steps.get_last_lr()[0])
        optimizer.step()
        steps.step()


def test_own_schedule_takes_its_parameters():
    assert Schedule(lambda done, power: (1 - done) ** power, {"power": 2}).factor(0.5, 9) == 0.25


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"schedule": "step", "schedule_params": {"step": 2}}, "did you mean 'step_size'"),
        ({"schedule_params": {"gamma": 2}}, "schedule_params has 'gamma', which cosine does not"),
        ({"schedule": "step", "schedule_params": {"gamma": 0}}, "gamma=0; give one greater than 0"),
        ({"schedule": "step", "schedule_params": {"step_size": "2"}}, "step_size='2'; give one"),
        ({"schedule": "step", "schedule_params": {"step_size": True}}, "step_size=True; give one"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"chunk_size": 0}, "chunk_size"),
    ],
)
def test_wrong_arguments_are_named(params, message):
    with pytest.raises(ValueError, match=message):
        quick(**params).fit(*make())
