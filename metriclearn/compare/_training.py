"""How long a network is trained: until validation rows get no better.

With few rows, a part of them that says after each epoch when to stop is too small to say it:
such networks are trained to the end of their schedule for 200 updates, then for 400, and so on,
as long as validation rows get better. With many rows one run is stopped by rows held out of it.
The setting that is chosen is then trained as many epochs on all training rows.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.pipeline import Pipeline

from metriclearn.compare._effort import NORMAL, Effort

# Share of the rows that say when to stop, and the fewest that can.
STOPPING_PART = 0.15
ENOUGH_STOPPING_ROWS = 500
BATCH_SIZE = 128
MAX_EPOCHS = 400


@dataclass(frozen=True)
class Training:
    """The rule for the networks of one fold.

    Attributes
    ----------
    protocol : {"closed", "open"}
        What is held out where many rows are: rows of each class, or whole classes.
    effort : Effort
    is_image : bool
    """

    protocol: str = "closed"
    effort: Effort = NORMAL
    is_image: bool = False

    def stages(self, estimator, n_rows):
        """Return settings of training to try in turn, as long as each is better than the last.

        Parameters
        ----------
        estimator : transformer
            Unfitted.
        n_rows : int
            That it will be fitted on.

        Returns
        -------
        list of dict
            A single empty one for learners that are no networks.
        """
        prefix = embedder_prefix(estimator)
        if prefix is None:
            return [{}]
        if STOPPING_PART * n_rows >= ENOUGH_STOPPING_ROWS:
            held_out = "stratified" if self.protocol == "closed" else "class_disjoint"
            return [
                {
                    f"{prefix}validation": held_out,
                    f"{prefix}validation_fraction": STOPPING_PART,
                    f"{prefix}max_epochs": self.effort.epochs,
                    f"{prefix}patience": max(3, self.effort.epochs // 5),
                }
            ]
        updates = self.effort.image_updates if self.is_image else self.effort.updates
        epochs = sorted({_epochs(count, n_rows) for count in updates})
        return [{f"{prefix}validation": None, f"{prefix}max_epochs": count} for count in epochs]

    def result(self, estimator):
        """Return the epochs that a fitted network was best after, and whether it was the last."""
        prefix = embedder_prefix(estimator)
        if prefix is None:
            return None, False
        embedder = estimator[prefix.removesuffix("__")] if prefix else estimator
        epochs = int(embedder.best_epoch_)
        is_stopped = embedder.validation is not None
        return epochs, is_stopped and epochs > 0.9 * embedder.max_epochs

    def reached(self, estimator, score):
        """Return epochs and what validation rows scored after them.

        Parameters
        ----------
        estimator : fitted transformer
        score : float
            On validation rows, where none were held out of the fit.

        Returns
        -------
        list of (int, float)
        """
        prefix = embedder_prefix(estimator)
        if prefix is None:
            return []
        embedder = estimator[prefix.removesuffix("__")] if prefix else estimator
        if embedder.validation is None:
            return [(int(embedder.n_iter_), float(score))]
        return [
            (epoch["epoch"], epoch["valid_recall_at_1"])
            for epoch in embedder.history_
            if "valid_recall_at_1" in epoch
        ]

    def final(self, estimator, epochs):
        """Return the settings of the fit on all training rows."""
        prefix = embedder_prefix(estimator)
        if prefix is None or epochs is None:
            return {}
        return {f"{prefix}validation": None, f"{prefix}max_epochs": epochs}

    def untried(self, estimator, n_rows):
        """Return settings for a fit without any trial."""
        prefix = embedder_prefix(estimator)
        if prefix is None:
            return {}
        updates = self.effort.image_updates if self.is_image else self.effort.updates
        return self.final(estimator, _epochs(updates[len(updates) // 2], n_rows))


def _epochs(updates, n_rows):
    return int(np.clip(np.ceil(updates * BATCH_SIZE / n_rows), 4, MAX_EPOCHS))


def training_losses(estimator):
    """Return the training loss of each epoch of a fitted network; () where there is none."""
    prefix = embedder_prefix(estimator)
    if prefix is None:
        return ()
    embedder = estimator[prefix.removesuffix("__")] if prefix else estimator
    return tuple(float(f"{epoch['train_loss']:.4g}") for epoch in embedder.history_)


def embedder_prefix(estimator):
    """Return the prefix of a deep embedder's parameters; None where there is none.

    Examples
    --------
    >>> from metriclearn.deep import DeepEmbedder
    >>> embedder_prefix(Pipeline([("metric", DeepEmbedder())])), embedder_prefix(DeepEmbedder())
    ('metric__', '')
    """
    if isinstance(estimator, Pipeline):
        names = [name for name, step in estimator.steps if is_embedder(step)]
        return f"{names[0]}__" if names else None
    return "" if is_embedder(estimator) else None


def is_embedder(estimator):
    """Whether an estimator is a ``DeepEmbedder``, found out without loading torch."""
    bases = {(base.__module__, base.__name__) for base in type(estimator).__mro__}
    return ("metriclearn.deep._embedder", "DeepEmbedder") in bases
