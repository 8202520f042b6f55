"""skorch callbacks of our own; any of skorch's may be given to the embedder as well."""

import copy
import inspect

from skorch.callbacks import Callback

__all__ = ["BestWeights", "ProgressBar"]


def check_callbacks(callbacks):
    """Refuse what skorch cannot take for a callback.

    Parameters
    ----------
    callbacks : list or None
        Callbacks, classes of them, or pairs (name, callback).
    """
    for given in callbacks or []:
        callback = given[1] if isinstance(given, tuple) and len(given) == 2 else given
        kind = callback if inspect.isclass(callback) else type(callback)
        if not issubclass(kind, Callback):
            raise ValueError(
                f"callbacks has {given!r}, which is not a skorch.callbacks.Callback; derive from it"
            )


class BestWeights(Callback):
    """Keep the weights of the best epoch and put them back at the end; stop when no better comes.

    Module, criterion and optimizer are kept together, so that training
    continued later goes on from one consistent state. Of epochs that score
    the same the last counts: a score near its ceiling ties often, and the
    longer-trained weights generalize better.

    Parameters
    ----------
    monitor : str, default="valid_recall_at_1"
        Column of the history, larger is better.
    patience : int or None, default=None
        Epochs without a score as good as the best before training stops; None
        never stops.

    Attributes
    ----------
    best_epoch_ : int
        Its number in the history, from 1.
    """

    # What a checkpoint has to keep of it.
    state = ("best_epoch_", "_best_score", "_weights")

    def __init__(self, monitor="valid_recall_at_1", patience=None):
        self.monitor = monitor
        self.patience = patience

    def on_train_begin(self, net, **kwargs):
        """Forget the best of an earlier run."""
        self.best_epoch_ = None
        self._best_score = None
        self._weights = None

    def on_epoch_end(self, net, **kwargs):
        """Compare with the best so far."""
        row = net.history[-1]
        score = row[self.monitor]
        if self._best_score is None or score >= self._best_score:
            self.best_epoch_, self._best_score = row["epoch"], score
            self._weights = snapshot(net)
        elif self.patience is not None and row["epoch"] - self.best_epoch_ >= self.patience:
            net.stop_training_ = True

    def on_train_end(self, net, **kwargs):
        """Put the best weights back."""
        if self._weights is not None and net.history[-1]["epoch"] != self.best_epoch_:
            restore(net, self._weights)
        self._weights = None


def snapshot(net):
    """Copy the state of a net's module, criterion, optimizer and gradient scaler."""
    return [copy.deepcopy(part.state_dict()) for part in _parts(net)]


def restore(net, weights):
    """Put a :func:`snapshot` back."""
    for part, state in zip(_parts(net), weights, strict=True):
        part.load_state_dict(state)


def _parts(net):
    return net.module_, net.criterion_, net.optimizer_, net.scaler_


class ProgressBar(Callback):
    """Report each epoch to a progress bar.

    Parameters
    ----------
    advance : callable
        ``advance(status)`` moves the bar by one epoch.
    """

    def __init__(self, advance):
        self.advance = advance

    def on_epoch_end(self, net, **kwargs):
        """Move the bar."""
        row = net.history[-1]
        status = f"loss {row['train_loss']:.4f}"
        if "valid_recall_at_1" in row:
            status += f"  Recall@1 {row['valid_recall_at_1']:.3f}"
        self.advance(f"{status}  {row['rows_per_second']:,.0f} rows/s")
