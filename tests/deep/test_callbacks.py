"""Every callback of skorch has an effect in an embedder, or is an error that says what to use."""

import io
import sys
import threading
import types

import numpy as np
import pytest
import skorch.callbacks
import torch
from helpers.embedders import Rates, assert_same_weights, make, quick, state_of, weights
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    MlflowLogger,
    NeptuneLogger,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    Unfreezer,
    WandbLogger,
    WarmRestartLR,
)

from metriclearn.metrics import make_retrieval_scorer


def fit(*callbacks, **params):
    X, y = make(apart=0.8)
    return quick(callbacks=list(callbacks), **params).fit(X, y)


# One test for each of skorch's callbacks: its effect, or the refusal


class Locked:
    """What loggers hold: it cannot be copied, and counts what is asked of it."""

    def __init__(self):
        self.lock, self.calls = threading.Lock(), []
        self.run_id = "run"
        self.config = self.info = self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.calls.append(name)


class Run(Locked):
    """A run of Neptune: a mapping of series."""

    def __getitem__(self, name):
        return self

    def __setitem__(self, name, value):
        self.calls.append(name)


def batch_scoring(tmp_path, capsys):
    def spread(net, X, y):
        assert len(X) == len(y)
        return float(net.transform(X).std())

    embedder = fit(BatchScoring(spread, name="spread", on_train=True))
    assert 0 < embedder.history_[-1]["spread"] < 1
    # Embedding within an epoch leaves the training as it was.
    assert_same_weights(embedder, fit())
    refused("give on_train=True, or use EpochScoring", BatchScoring(spread))


def callback(tmp_path, capsys):
    seen = []

    class Watching(Callback):
        def notify(self, *args, **kwargs):
            pass

    for name in ("train_begin", "epoch_begin", "batch_begin", "grad_computed", "batch_end",
                 "epoch_end", "train_end"):  # fmt: skip
        setattr(Watching, f"on_{name}", lambda self, net, *args, name=name, **kw: seen.append(name))
    fit(Watching(), max_epochs=1)
    assert seen[:5] == ["train_begin", "epoch_begin", "batch_begin", "grad_computed", "batch_end"]
    assert seen[-2:] == ["epoch_end", "train_end"]


def checkpoint(tmp_path, capsys):
    folder = str(tmp_path / "best")
    fit(Checkpoint(dirname=folder), validation="stratified")
    assert {path.name for path in (tmp_path / "best").iterdir()} >= {"params.pt", "history.json"}
    # Without validation the best epoch is that of the least training loss.
    embedder = fit(Checkpoint(f_pickle="net.pkl", dirname=folder), max_epochs=3)
    assert [row["event_cp"] for row in embedder.history_] == [
        row["train_loss_best"] for row in embedder.net_.history
    ]
    loaded = fit(Checkpoint(dirname=folder, monitor=None, load_best=True))
    assert loaded.transform(make()[0]).shape == (120, 64)


def early_stopping(tmp_path, capsys):
    never = {"patience": 2, "threshold": 10}
    assert fit(EarlyStopping(**never), max_epochs=9).n_iter_ == 3
    stopped = fit(EarlyStopping(**never), max_epochs=9, validation="stratified", patience=None)
    assert stopped.n_iter_ == 3
    assert state_of(stopped, "EarlyStopping").monitor == "valid_recall_at_1"
    assert not state_of(stopped, "EarlyStopping").lower_is_better
    # One epoch of partial_fit validates nothing.
    assert stopped.partial_fit(*make(apart=0.8)).n_iter_ == 4
    assert state_of(stopped, "EarlyStopping").monitor == "train_loss"
    refused("monitor='valid_recall_at_1', but this run has no valid", EarlyStopping(
        "valid_recall_at_1", lower_is_better=False))  # fmt: skip


def epoch_scoring(tmp_path, capsys):
    scoring = make_retrieval_scorer("recall_at_1")
    embedder = fit(
        EpochScoring(scoring, name="train", on_train=True, lower_is_better=False),
        EpochScoring(scoring, name="valid", lower_is_better=False),
        validation="stratified",
    )
    X, y = make(apart=0.8)
    last = embedder.history_[embedder.best_epoch_ - 1]
    held = embedder.net_.history[0]
    assert 0 < last["valid"] <= 1
    assert last["train"] == pytest.approx(scoring(embedder, X, y), abs=0.2)
    assert held["train_best"]
    refused("has no validation to score", EpochScoring(scoring, name="valid"))
    for scoring in ("accuracy", None):
        refused("predicted labels, and an embedder has none", EpochScoring(scoring))


def epoch_timer(tmp_path, capsys):
    assert all(row["dur"] > 0 for row in fit(EpochTimer()).history_)


def freezer(tmp_path, capsys):
    start, frozen = fit(max_epochs=1, lr=1e-30), fit(Freezer("backbone*weight"))
    for name, value in weights(frozen).items():
        is_weight = name.startswith("backbone") and name.endswith("weight")
        if is_weight or name.endswith(("head.linear.weight", "bias")):
            assert np.array_equal(value, weights(start)[name]) == is_weight, name


def unfreezer(tmp_path, capsys):
    callbacks = Freezer("backbone*"), Unfreezer("backbone*", at=3)
    for warmup_epochs in (0, 1):
        embedder = fit(*callbacks, warmup_epochs=warmup_epochs)
        start = fit(*callbacks, warmup_epochs=warmup_epochs, max_epochs=2)
        fresh = fit(max_epochs=1, lr=1e-30)
        name = "backbone.4.weight"
        assert np.array_equal(weights(start)[name], weights(fresh)[name])
        assert not np.array_equal(weights(embedder)[name], weights(fresh)[name])


def gradient_norm_clipping(tmp_path, capsys):
    for precision in ("float32", "float16"):
        settings = {"precision": precision, "optimizer": "sgd", "lr": 0.1}
        plain = fit(**settings)
        assert_same_weights(plain, fit(GradientNormClipping(1000.0), **settings))
        clipped = fit(GradientNormClipping(1e-6), **settings)
        start = fit(**{**settings, "lr": 1e-30})
        moved = [
            np.abs(weights(e)["head.linear.weight"] - weights(start)["head.linear.weight"]).max()
            for e in (plain, clipped)
        ]
        assert moved[1] < 1e-4 < moved[0]


def initializer(tmp_path, capsys):
    set_to_one = Initializer("head.linear.bias", fn=torch.nn.init.ones_)
    embedder = fit(set_to_one, max_epochs=1, lr=1e-30)
    assert (weights(embedder)["head.linear.bias"] == 1).all()


def param_mapper(tmp_path, capsys):
    double = ParamMapper("head.linear.weight", fn=lambda p: p.data.mul_(2), at=2)
    before, after = fit(max_epochs=1, lr=1e-30), fit(double, max_epochs=3, lr=1e-30)
    name = "head.linear.weight"
    np.testing.assert_allclose(weights(after)[name], 2 * weights(before)[name])


def input_shape_setter(tmp_path, capsys):
    refused("give module as a class with an argument in_features", InputShapeSetter())


def lr_scheduler(tmp_path, capsys):
    steps = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1)
    embedder = fit(steps, Rates(), schedule="constant")
    used = sorted(set(state_of(embedder, "Rates").used_), reverse=True)
    np.testing.assert_allclose(used, [1e-3, 1e-4, 1e-5, 1e-6])
    np.testing.assert_allclose([row["event_lr"] for row in embedder.history_], used)
    for monitor in ("train_loss", "valid_loss"):
        plateau = LRScheduler("ReduceLROnPlateau", monitor, patience=0, threshold=9, factor=0.5)
        for params in ({}, {"validation": "stratified"}):
            embedder = fit(plateau, Rates(), schedule="constant", **params)
            assert min(state_of(embedder, "Rates").used_) < 1e-3
    cyclic = LRScheduler(
        "CyclicLR", step_every="batch", base_lr=1e-4, max_lr=1e-3, cycle_momentum=False
    )
    embedder = fit(cyclic, Rates(), schedule="constant")
    assert len(set(state_of(embedder, "Rates").used_)) > 4
    refused("schedule='constant' to leave them to the callback", steps)


def load_init_state(tmp_path, capsys):
    saving = TrainEndCheckpoint(dirname=str(tmp_path / "run"))
    first = fit(saving)
    loading = LoadInitState(saving)
    taken_up = fit(saving, loading, max_epochs=1, schedule=lambda done: 0, random_state=5)
    name = "head.linear.weight"
    assert np.array_equal(weights(taken_up)[name], weights(first)[name])
    assert taken_up.n_iter_ == 5


def train_end_checkpoint(tmp_path, capsys):
    embedder = fit(TrainEndCheckpoint(dirname=str(tmp_path)), validation="stratified")
    saved = torch.load(tmp_path / "train_end_params.pt", weights_only=True)
    for name, value in embedder.net_.module_.state_dict().items():
        assert torch.equal(saved[name], value)


def logger(make_logger, expected):
    def check(tmp_path, capsys):
        shared = Run()
        file = types.SimpleNamespace(from_content=lambda text, extension: text)
        fakes = {
            "neptune": types.SimpleNamespace(__version__="1"),
            "neptune.types": types.SimpleNamespace(File=file),
        }
        with pytest.MonkeyPatch.context() as patched:
            for name, fake in fakes.items():
                patched.setitem(sys.modules, name, fake)
            embedder = fit(make_logger(shared))
        assert expected <= set(shared.calls)
        assert np.isfinite(embedder.transform(make()[0])).all()

    return check


def tensor_board(tmp_path, capsys):
    writer = Locked()
    embedder = fit(TensorBoard(writer, close_after_train=True))
    assert writer.calls.count("add_scalar") >= 4 * 3
    assert writer.calls[-1] == "close"
    assert state_of(embedder, "TensorBoard").writer is writer


def passthrough_scoring(tmp_path, capsys):
    embedder = fit(PassthroughScoring("train_batch_size", on_train=True))
    assert 24 <= embedder.history_[-1]["train_batch_size"] <= 32
    refused("give on_train=True", PassthroughScoring("train_loss"))


def print_log(tmp_path, capsys):
    fit(PrintLog())
    printed = capsys.readouterr().out
    assert "train_loss" in printed
    assert len(printed.splitlines()) == 2 + 4
    fit(EarlyStopping(patience=1, threshold=10))
    assert capsys.readouterr().out == ""  # verbose=0, and nothing else asked for print


def progress_bar(tmp_path, capsys):
    embedder = fit(ProgressBar(detect_notebook=False))
    assert state_of(embedder, "ProgressBar").pbar_.n == len(embedder.net_.history[-1]["batches"])


def warm_restart(tmp_path, capsys):
    refused("not a skorch.callbacks.Callback", WarmRestartLR)
    embedder = fit(LRScheduler("WarmRestartLR", max_lr=0.01), Rates(), schedule="constant")
    assert max(state_of(embedder, "Rates").used_) == pytest.approx(0.01)


def refused(message, *callbacks):
    embedder = quick(callbacks=list(callbacks))
    with pytest.raises(ValueError) as error:  # noqa: PT011
        embedder.fit(*make())
    assert message in str(error.value)
    assert not hasattr(embedder, "net_")


CASES = {
    "BatchScoring": batch_scoring,
    "Callback": callback,
    "Checkpoint": checkpoint,
    "EarlyStopping": early_stopping,
    "EpochScoring": epoch_scoring,
    "EpochTimer": epoch_timer,
    "Freezer": freezer,
    "GradientNormClipping": gradient_norm_clipping,
    "Initializer": initializer,
    "InputShapeSetter": input_shape_setter,
    "LRScheduler": lr_scheduler,
    "LoadInitState": load_init_state,
    "MlflowLogger": logger(
        lambda run: MlflowLogger(run=run, client=run), {"log_metric", "set_terminated"}
    ),
    "NeptuneLogger": logger(
        lambda run: NeptuneLogger(run, close_after_train=False), {"append", "config/lr"}
    ),
    "ParamMapper": param_mapper,
    "PassthroughScoring": passthrough_scoring,
    "PrintLog": print_log,
    "ProgressBar": progress_bar,
    "TrainEndCheckpoint": train_end_checkpoint,
    "TensorBoard": tensor_board,
    "SacredLogger": logger(SacredLogger, {"log_scalar"}),
    "Unfreezer": unfreezer,
    "WandbLogger": logger(lambda run: WandbLogger(run, save_model=False), {"watch", "log"}),
    "WarmRestartLR": warm_restart,
}


@pytest.mark.parametrize("name", skorch.callbacks.__all__)
def test_callback_has_an_effect_or_is_refused_by_name(name, tmp_path, capsys):
    CASES[name](tmp_path, capsys)


# What holds for all of them


class Counting(Callback):
    """Holds something, and counts batches."""

    def __init__(self, held=None):
        self.held = held
        self.n_batches_ = 0

    def on_batch_end(self, net, **kwargs):
        self.n_batches_ += 1


HELD = [threading.Lock, lambda: open(__file__), object]  # noqa: SIM115


@pytest.mark.parametrize("hold", HELD)
def test_state_of_a_callback_is_in_the_net_and_the_given_one_is_left_alone(hold):
    held = hold()
    given = Counting(held)
    try:
        embedder = fit(("mine", given), Counting(held))
    finally:
        if isinstance(held, io.IOBase):
            held.close()
    for name in ("mine", "Counting"):
        assert state_of(embedder, name).n_batches_ == 4 * 4
    assert given.n_batches_ == 0


@pytest.mark.parametrize("held", [None, threading.Lock()], ids=["nothing", "a lock"])
def test_what_callbacks_share_they_share_in_their_copies(held):
    first, second = Counting(held), Counting()
    second.held = first
    embedder = fit(("first", first), ("second", second))
    assert state_of(embedder, "second").held is state_of(embedder, "first") is not first


class Averaged(Callback):
    """Average of the weights, put in place at the end."""

    def on_train_begin(self, net, **kwargs):
        self.average_ = torch.optim.swa_utils.AveragedModel(net.module_)

    def on_batch_end(self, net, training=True, **kwargs):
        self.average_.update_parameters(net.module_)

    def on_train_end(self, net, **kwargs):
        net.module_.load_state_dict(self.average_.module.state_dict())


@pytest.mark.parametrize("validation", [None, "stratified", "class_disjoint"])
def test_weights_that_a_callback_sets_at_the_end_stay(validation):
    embedder = fit(Averaged(), validation=validation, max_epochs=6, patience=None)
    average = state_of(embedder, "Averaged").average_.module.state_dict()
    for name, value in embedder.net_.module_.state_dict().items():
        assert torch.equal(value, average[name]), name


def test_embedding_within_an_epoch_does_not_leave_the_training_mode():
    class Embeds(Callback):
        def on_batch_end(self, net, batch=None, **kwargs):
            net.forward(batch[0])
            assert not net.module_.training

    assert_same_weights(fit(), fit(Embeds()))
