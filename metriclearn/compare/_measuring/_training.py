"""How long a learner is trained: until validation rows get no better.

One rule for solvers and networks. What was ended by a limit is tried again with a higher one, as
long as validation rows get better; a learner is cut short where the last limit still ended it.

A solver is ended by ``max_iter`` where it warns that it did not converge. A network of few rows
has too few to hold out for a stop after each epoch: it is trained to the end of its schedule for
200 updates, then for 400, and so on. With many rows one run is stopped by rows held out of it.
The setting that is chosen is then trained as long on all training rows.
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
    """The rule for the learners of one fold.

    Attributes
    ----------
    protocol : {"closed", "open", "amounts", "judgments"}
        What is held out where many rows are: rows of each class, whole classes, or nothing.
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
            A single empty one for learners without a limit.
        """
        prefix = embedder_prefix(estimator)
        if prefix is None:
            name, limit = iteration_limit(estimator)
            longer = range(1, self.effort.n_longer + 1) if name else ()
            return [{}, *({name: limit * 2**i} for i in longer)]
        if self.protocol in ("closed", "open") and STOPPING_PART * n_rows >= ENOUGH_STOPPING_ROWS:
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

    def result(self, estimator, *, warned):
        """Return how long a fitted learner was trained, and whether a limit ended it.

        Parameters
        ----------
        estimator : fitted transformer
        warned : bool
            Whether its fit warned that it did not converge.

        Returns
        -------
        length : int or None
            Epochs that a network was best after; the limit of a solver's iterations.
        is_limited : bool
        """
        prefix = embedder_prefix(estimator)
        if prefix is None:
            return iteration_limit(estimator)[1], warned
        embedder = estimator[prefix.removesuffix("__")] if prefix else estimator
        epochs = int(embedder.best_epoch_)
        return epochs, embedder.validation is None or epochs > 0.9 * embedder.max_epochs

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

    def final(self, estimator, length):
        """Return the settings of the fit on all training rows, trained as long as was best."""
        if length is None:
            return {}
        prefix = embedder_prefix(estimator)
        if prefix is None:
            name, limit = iteration_limit(estimator)
            return {} if length == limit else {name: length}
        return {f"{prefix}validation": None, f"{prefix}max_epochs": length}

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


def iteration_limit(estimator):
    """Return the name and value of what ends a learner's solver; None twice where nothing does.

    Examples
    --------
    >>> from metriclearn import NCA
    >>> iteration_limit(Pipeline([("metric", NCA(max_iter=50))])), iteration_limit(Pipeline([]))
    (('metric__max_iter', 50), (None, None))
    """
    prefix = ""
    if isinstance(estimator, Pipeline):
        if not estimator.steps:
            return None, None
        name, estimator = estimator.steps[-1]
        prefix = f"{name}__"
    limit = getattr(estimator, "max_iter", None)
    return (None, None) if limit is None else (f"{prefix}max_iter", limit)


def is_embedder(estimator):
    """Whether an estimator is a ``DeepEmbedder``, found out without loading torch."""
    bases = {(base.__module__, base.__name__) for base in type(estimator).__mro__}
    return ("metriclearn.deep._embedder", "DeepEmbedder") in bases
