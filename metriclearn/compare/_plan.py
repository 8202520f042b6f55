"""All that was asked of a comparison, checked once."""

from dataclasses import dataclass, field, replace

import numpy as np

from metriclearn.compare._curves import Curves, curve_tasks, is_whole, make_curves
from metriclearn.compare._protocol import Task
from metriclearn.compare._records import Tuning
from metriclearn.compare._roster import resolve_learners
from metriclearn.compare._sources._rows import Source
from metriclearn.compare._splits import make_splits
from metriclearn.compare._tuning._budget import make_tuning


@dataclass(frozen=True)
class Plan:
    """What is compared, on what, and how.

    Attributes
    ----------
    source : Source or None
        None until the data are known, see ``on``.
    learners : tuple of Learner
    n_folds : int
        Folds of each protocol.
    tuning : Tuning
    curves : Curves
    seed : int
        Of all splits and learners.
    """

    learners: tuple
    n_folds: int = 5
    tuning: Tuning = field(default_factory=Tuning)
    curves: Curves = field(default_factory=Curves)
    seed: int = 0
    source: Source | None = None

    @classmethod
    def make(
        cls,
        *,
        learners=None,
        n_folds=5,
        tune=None,
        tune_budget=None,
        search_spaces=None,
        rows=None,
        dimensions=None,
        shift=None,
        random_state=0,
    ):
        """Check the arguments of ``compare``, which documents them.

        Returns
        -------
        Plan

        Raises
        ------
        ValueError
        """
        if not is_whole(random_state) or not 0 <= random_state < 2**32:
            raise ValueError(
                f"random_state={random_state!r} must be a whole number from 0 to 2**32 - 1: it "
                f"seeds every split and learner"
            )
        if not is_whole(n_folds):
            raise ValueError(f"n_folds={n_folds!r} must be a whole number, at least 2")
        if n_folds < 2:
            raise ValueError(
                f"n_folds={n_folds} is too few: 2 are needed to tell signal from noise"
            )
        return cls(
            learners=resolve_learners(learners, search_spaces),
            n_folds=int(n_folds),
            tuning=make_tuning(tune, tune_budget, search_spaces),
            curves=make_curves(rows, dimensions, shift),
            seed=int(random_state),
        )

    def on(self, source):
        """Return the same plan for these data."""
        return replace(self, source=source)

    def schedule(self):
        """Lay out the work.

        Returns
        -------
        Schedule

        Raises
        ------
        ValueError
            If the data have too few rows or classes for what is asked.
        """
        source = self.source
        class_names, codes = np.unique(source.y, return_inverse=True)
        splits, notes = make_splits(
            codes, self.n_folds, self.seed, groups=source.groups, queries=source.queries
        )
        tasks = [
            Task(learner, split, self.seed, self.tuning, split.fold == 0, source.image_shape)
            # Fold by fold, the slow learners of a fold first: an interrupt leaves
            # whole folds behind, and no long task is left for the end.
            for split in sorted(splits, key=lambda split: split.fold)
            for learner in sorted(self.learners, key=lambda learner: -learner.cost)
        ]
        of_curves, axes = curve_tasks(self.curves, tasks, source.X, codes, source.groups)
        protocols = tuple(sorted({split.protocol for split in splits}))
        names = tuple(str(name) for name in class_names)
        return Schedule((*tasks, *of_curves), source.X, codes, names, protocols, notes, axes)


@dataclass(frozen=True)
class Schedule:
    """The work of a plan.

    Attributes
    ----------
    tasks : tuple of Task
    X : ndarray of shape (n, n_features) or DataFrame
    codes : ndarray of shape (n,)
        Class of each row, as an index of ``class_names``.
    class_names : tuple of str
    protocols : tuple of str
    notes : dict of str to str
        What is remarkable about a protocol, or why it was left out.
    axes : dict of str to tuple of float
        The places of each curve.
    """

    tasks: tuple
    X: object
    codes: np.ndarray
    class_names: tuple
    protocols: tuple
    notes: dict
    axes: dict
