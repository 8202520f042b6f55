"""Callbacks: which of skorch's the embedder takes, and two of our own.

============================  ================================================================
callback of skorch             in ``DeepEmbedder(callbacks=[...])``
============================  ================================================================
EarlyStopping, Checkpoint      taken; ``monitor="valid_loss"`` becomes what there is:
                               ``valid_recall_at_1``, or ``train_loss`` if nothing validates
TrainEndCheckpoint,            taken
LoadInitState
EpochScoring                   taken with a callable ``scoring(net, X, y)``, such as
                               ``make_retrieval_scorer("recall_at_5")``
BatchScoring,                  taken with ``on_train=True``: validation has no batches
PassthroughScoring
LRScheduler                    taken with ``schedule="constant"``; else two schedules would
                               move one rate
Freezer, Unfreezer,            taken; for the whole backbone there are ``backbone_lr=0`` and
ParamMapper, Initializer       ``warmup_epochs``
GradientNormClipping           taken, in any precision
EpochTimer, PrintLog,          taken
ProgressBar
TensorBoard, WandbLogger,      taken; what cannot be copied (a file, a lock) is shared with
NeptuneLogger, MlflowLogger,   the caller's callback
SacredLogger
InputShapeSetter               an error: a module class gets ``in_features``, ``in_channels``
WarmRestartLR                  an error: it is a scheduler, ``LRScheduler("WarmRestartLR")``
============================  ================================================================

Callbacks are copied, so that the caller's are not changed; after ``fit`` their state is in
``dict(embedder.net_.callbacks_)[name]``, where the name is that of the class or the one given.
Weights that a callback sets when training ends stay, though these are not the weights of
``best_epoch_`` then.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

from skorch import callbacks as skorch_callbacks
from skorch.callbacks import Callback

__all__ = ["BestWeights", "ProgressBar"]

RECALL, TRAIN_LOSS = "valid_recall_at_1", "train_loss"


def check_callbacks(callbacks, scheduled):
    """Check that the net can do what callbacks are there for.

    Parameters
    ----------
    callbacks : list or None
        Callbacks, classes of them, or pairs (name, callback).
    scheduled : bool
        Whether a schedule of the embedder moves the learning rates.
    """
    for given in callbacks or []:
        callback = given[1] if isinstance(given, tuple) and len(given) == 2 else given
        kind = callback if inspect.isclass(callback) else type(callback)
        if not issubclass(kind, Callback):
            raise ValueError(
                f"callbacks has {given!r}, which is not a skorch.callbacks.Callback; derive from it"
            )
        reason = _reason_against(callback, kind, scheduled)
        if reason:
            raise ValueError(f"callbacks has {kind.__name__}: {reason}")


def _reason_against(callback, kind, scheduled):
    """Say why a callback could do nothing, and our word for it; None where it can."""
    if issubclass(kind, skorch_callbacks.InputShapeSetter):
        return (
            "sizes are known when the module is made; give module as a class with an argument "
            "in_features or in_channels"
        )
    if issubclass(kind, skorch_callbacks.LRScheduler) and scheduled:
        return (
            "the learning rates follow schedule=; give a schedule by name or as a function of "
            "the share of the run that is done, or schedule='constant' to leave them to the "
            "callback"
        )
    if inspect.isclass(callback):
        return None
    batchwise = skorch_callbacks.BatchScoring, skorch_callbacks.PassthroughScoring
    if issubclass(kind, batchwise) and not callback.on_train:
        return "validation has no batches; give on_train=True, or use EpochScoring"
    scoring = skorch_callbacks.BatchScoring, skorch_callbacks.EpochScoring
    if issubclass(kind, scoring) and not callable(callback.scoring):
        return (
            f"scoring={callback.scoring!r} scores predicted labels, and an embedder has none; "
            f"give metriclearn.metrics.make_retrieval_scorer('recall_at_1'), or any function "
            f"scoring(net, X, y) of net.transform(X)"
        )
    return None


def copy_callbacks(callbacks):
    """Copy callbacks, in depth where that can be done.

    Parameters
    ----------
    callbacks : list or None

    Returns
    -------
    list or None
        A callback that holds a file, a lock or the like is copied but shares these. What
        several callbacks share they share in the copy.
    """
    memo, copies = {}, []
    for given in callbacks or []:
        named = isinstance(given, tuple)
        callback = given[1] if named else given
        attempt = dict(memo)
        try:
            copied = copy.deepcopy(callback, attempt)
            memo = attempt
        except Exception:  # what cannot be copied raises errors of many kinds
            copied = memo[id(callback)] = copy.copy(callback)
        copies.append((given[0], copied) if named else copied)
    return copies


def settle_monitors(callbacks, validates, whole):
    """Let callbacks that monitor ``valid_loss`` monitor what this run records.

    Parameters
    ----------
    callbacks : list of (str, Callback)
        Initialized.
    validates : bool
        Whether Recall@1 is measured.
    whole : bool
        Whether this is a ``fit``, rather than a ``partial_fit``, which never validates.
    """
    for name, callback in callbacks:
        settings = vars(callback)
        scores = isinstance(callback, skorch_callbacks.EpochScoring)
        if scores and not callback.on_train and whole and not validates:
            raise ValueError(
                f"callbacks has {name}, but this run has no validation to score; give "
                f"on_train=True, or validation='stratified' or 'class_disjoint'"
            )
        if "monitor" not in settings:
            continue
        # A later run may record something else.
        asked, lower = settings.setdefault(
            "asked_monitor_", (settings["monitor"], settings.get("lower_is_better"))
        )
        if asked in (RECALL, f"{RECALL}_best") and not validates:
            raise ValueError(
                f"callbacks has {name} with monitor={asked!r}, but this run has no validation; "
                f"give validation='stratified' or 'class_disjoint' to fit, or monitor='train_loss'"
            )
        if asked not in ("valid_loss", "valid_loss_best"):
            continue
        if isinstance(callback, skorch_callbacks.LRScheduler):
            callback.monitor = validation_error
        else:
            recorded = RECALL if validates else TRAIN_LOSS
            callback.monitor = recorded + asked.removeprefix("valid_loss")
            if lower is not None:
                callback.lower_is_better = not validates


def validation_error(net):
    """Return 1 - Recall@1 of the last epoch, or its training loss where nothing validates."""
    row = net.history[-1]
    return 1 - row[RECALL] if RECALL in row else row[TRAIN_LOSS]


class BestWeights(Callback):
    """Keep the weights of the best epoch and put them back at the end; stop when no better comes.

    Module, criterion and optimizer are kept together, so that training
    continued later goes on from one consistent state. Of epochs that score
    the same the last counts: a score near its ceiling ties often, and the
    longer-trained weights generalize better.

    Parameters
    ----------
    monitor : str, default="valid_recall_at_1"
        Column of the history; larger is better.
    patience : int or None, default=None
        Epochs without a score as good as the best before training stops; None
        never stops.
    start : float, default=None
        The score before the first epoch, where those weights count, too.

    Attributes
    ----------
    best_epoch_ : int
        Its number in the history, from 1; 0 where no epoch was as good as the start.

    See Also
    --------
    skorch.callbacks.EarlyStopping : Stops, but leaves the last weights.

    Examples
    --------
    >>> from metriclearn.deep import DeepEmbedder
    >>> embedder = DeepEmbedder(patience=5, validation="class_disjoint")  # makes one
    """

    # What a checkpoint has to keep of it.
    state = ("best_epoch_", "_best_score", "_weights")

    def __init__(
        self, monitor: str = RECALL, patience: int | None = None, start: float | None = None
    ) -> None:
        self.monitor = monitor
        self.patience = patience
        self.start = start
        self.on_train_begin(None)

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Forget the best of an earlier run."""
        self.best_epoch_ = None
        self._best_score = None
        self._weights = None
        if net is not None and self.start is not None:
            self.best_epoch_, self._best_score = 0, self.start
            self._weights = snapshot(net)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare with the best so far."""
        row = net.history[-1]
        score = row[self.monitor]
        if self._best_score is None or score >= self._best_score:
            self.best_epoch_, self._best_score = row["epoch"], score
            self._weights = snapshot(net)
        elif self.patience is not None and row["epoch"] - self.best_epoch_ >= self.patience:
            net.stop_training_ = True

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Put the best weights back."""
        if self._weights is not None and net.history[-1]["epoch"] != self.best_epoch_:
            restore(net, self._weights)
        self._weights = None


def snapshot(net):
    """Copy the state of a net: module, criterion, optimizer, scaler, averaged weights."""
    return [copy.deepcopy(part.state_dict()) for part in _parts(net)]


def restore(net, weights):
    """Put a :func:`snapshot` back."""
    for part, state in zip(_parts(net), weights, strict=True):
        part.load_state_dict(state)


def _parts(net):
    parts = net.module_, net.criterion_, net.optimizer_, net.scaler_, net.module_average_
    return [part for part in parts if part is not None]


class ProgressBar(Callback):
    """Report each epoch to a progress bar.

    Parameters
    ----------
    advance : callable
        ``advance(status)`` moves the bar by one epoch.

    See Also
    --------
    skorch.callbacks.ProgressBar : A bar for the batches of an epoch.

    Examples
    --------
    >>> from metriclearn.deep import DeepEmbedder
    >>> embedder = DeepEmbedder(verbose=1)  # makes one
    """

    def __init__(self, advance: Callable[..., Any]) -> None:
        self.advance = advance

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Move the bar."""
        row = net.history[-1]
        status = f"loss {row['train_loss']:.4f}"
        if RECALL in row:
            status += f"  Recall@1 {row[RECALL]:.3f}"
        self.advance(f"{status}  {row['rows_per_second']:,.0f} rows/s")
