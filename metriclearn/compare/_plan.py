"""All that was asked of a comparison, checked once."""

from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from metriclearn._text import option
from metriclearn._types import is_whole
from metriclearn._validation import as_count
from metriclearn.compare._amount_roster import amount_learners
from metriclearn.compare._arguments import MOST_RUNS
from metriclearn.compare._effort import find_effort
from metriclearn.compare._fitting import DEFAULT, Rules
from metriclearn.compare._judged._measure import HEADLINES, measure_name
from metriclearn.compare._judged._roster import judged_learners
from metriclearn.compare._judged._splits import judged_splits
from metriclearn.compare._learners._spaces import as_spaces
from metriclearn.compare._measuring._amounts import amount_splits, given_amount_split
from metriclearn.compare._measuring._given_split import draws_classes, given_splits
from metriclearn.compare._measuring._splits import make_splits
from metriclearn.compare._roster import for_rows, resolve_learners
from metriclearn.compare._running._curves import Curves, curve_tasks, make_curves
from metriclearn.compare._running._protocol import Task
from metriclearn.compare._sources._rows import Source
from metriclearn.compare._tuning._strategies import make_tuning

_N_FOLDS = 5


@dataclass(frozen=True)
class Plan:
    """What is compared, on what, and how.

    Attributes
    ----------
    source : Source or None
        None until the data are known, see ``on``.
    learners : tuple of Learner
    asked : None, str, list or dict
        What was asked for, as learners of amounts have it by other names.
    n_folds : int
        Folds of each protocol.
    rules : Rules
        How each learner is tuned.
    curves : Curves
    seed : int
        Of all splits and learners.
    seeds : int
        How many times each fold is run, with other weights and batches.
    repeats : int
        How many times the folds are drawn.
    seconds : float or None
        Time within which the run has to end.
    spaces : dict or None
        Search spaces by the name of a learner.
    """

    learners: tuple
    asked: object = None
    n_folds: int = _N_FOLDS
    rules: Rules = DEFAULT
    curves: Curves = field(default_factory=Curves)
    seed: int = 0
    seeds: int = 1
    repeats: int = 1
    seconds: float | None = None
    spaces: dict | None = None
    source: Source | None = None

    @classmethod
    def make(
        cls,
        *,
        learners=None,
        n_folds=_N_FOLDS,
        tune=None,
        tune_budget=None,
        search_spaces=None,
        rows=None,
        dimensions=None,
        shift=None,
        effort=None,
        time=None,
        seeds=1,
        repeats=1,
        random_state=0,
    ):
        """Check the arguments of ``compare``, which documents them.

        Returns
        -------
        Plan
        """
        if not is_whole(random_state) or not 0 <= random_state < 2**32:
            raise ValueError(
                f"random_state={random_state!r} must be a whole number from 0 to 2**32 - 1: it "
                f"seeds every split and learner"
            )
        as_count(n_folds, "n_folds", least=2)
        for name, value in (("seeds", seeds), ("repeats", repeats)):
            as_count(value, name, most=MOST_RUNS)
        seconds = None if time is None else make_seconds(time)
        if seconds is not None and (rows or dimensions or shift):
            raise ValueError("time is of the comparison itself; leave rows, dimensions, shift out")
        if effort is None:
            effort = "normal" if time is None else "quick"
        search_spaces = as_spaces(search_spaces)
        tuning = make_tuning(tune, tune_budget, search_spaces)
        return cls(
            learners=resolve_learners(learners, search_spaces),
            asked=learners,
            n_folds=int(n_folds),
            rules=Rules(tuning, find_effort(effort)),
            curves=make_curves(rows, dimensions, shift),
            seed=int(random_state),
            seeds=int(seeds),
            repeats=int(repeats),
            seconds=seconds,
            spaces=search_spaces,
        )

    def on(self, source):
        """Return the plan for these data, on which the measure and who takes part depend."""
        n_folds = self.n_folds
        if source.parts is not None:
            draws = draws_classes(source.parts) and source.task == "classes"
            self._check_split_alone(draws)
            n_folds = self.n_folds if draws else 1
        if source.task == "amounts":
            return self._on_amounts(source, n_folds)
        if source.task == "judgments":
            return self._on_judgments(source)
        measures = dict(self.rules.measures)
        if any(finding.kind == "imbalance" for finding in source.findings):
            measures["closed"] = "balanced_accuracy"
        rules = replace(self.rules, measures=tuple(measures.items()))
        is_table = source.kind == "tabular"
        is_wide = is_table and source.X.shape[1] > len(source.y)
        learners = tuple(
            for_rows(each, source.kind)
            for each in self.learners
            if (is_wide or not each.needs_wide)
            and (each.reads is None or hasattr(source.X, each.reads))
            and (source.kind == "embeddings" or not each.of_embeddings)
        )
        if not learners:
            names = ", ".join(each.key for each in self.learners)
            raise ValueError(
                f"learners: {names} cannot take part on these rows; give features, or others"
            )
        return replace(self, source=source, rules=rules, learners=learners, n_folds=n_folds)

    def _on_amounts(self, source, n_folds):
        if self.curves.shift:
            raise ValueError("shift: it is between classes, and the target holds amounts")
        learners = amount_learners(self.asked, self.spaces)
        learners = tuple(for_rows(each, source.kind) for each in learners)
        rules = replace(self.rules, measures=(("closed", "r2"),))
        return replace(self, source=source, rules=rules, learners=learners, n_folds=n_folds)

    def _on_judgments(self, source):
        asked = {
            "rows": self.curves.rows,
            "shift": self.curves.shift,
            "tune": self.rules.tuning.is_search,
            "search_spaces": self.spaces,
        }
        if others := [name for name, value in asked.items() if value]:
            raise ValueError(
                f"constraints: judgments are compared with the few settings of each learner; leave "
                f"{', '.join(others)} out, which is for labeled rows"
            )
        judged = source.y
        learners = judged_learners(self.asked, judged.kind)
        learners = tuple(for_rows(each, source.kind) for each in learners)
        measure = HEADLINES[judged.kind]
        measures = tuple((p, measure_name(measure, p)) for p in ("closed", "open"))
        return replace(
            self, source=source, rules=replace(self.rules, measures=measures), learners=learners
        )

    def _check_split_alone(self, draws):
        """Check that nothing else was asked for that draws splits, where the given one does not."""
        asked = {
            option("n_folds").rstrip("="): self.n_folds != _N_FOLDS and not draws,
            "repeats": self.repeats != 1 and not draws,
            "shift": self.curves.shift,
        }
        if others := [name for name, value in asked.items() if value]:
            raise ValueError(
                f"split is the one split there is; leave {', '.join(others)} out, which draws "
                f"others (seeds runs the split several times)"
            )

    def _splits(self, codes):
        source, splits = self.source, []
        if source.parts is not None and source.task == "amounts":
            return given_amount_split(codes, source.parts, groups=source.groups)
        if source.parts is not None:
            return given_splits(
                codes,
                source.parts,
                groups=source.groups,
                queries=source.queries,
                n_open=self.n_folds * self.repeats * self.rules.effort.n_open,
                seed=self.seed,
            )
        for repeat in range(self.repeats):
            drawn, notes = self._draw_splits(codes, self.seed + repeat)
            before = {p: sum(s.protocol == p for s in splits) for p in ("closed", "open")}
            splits += [replace(s, fold=s.fold + before[s.protocol]) for s in drawn]
        return splits, notes

    def _draw_splits(self, codes, seed):
        source = self.source
        if source.task == "amounts":
            return amount_splits(codes, self.n_folds, seed, groups=source.groups)
        if source.task == "judgments":
            return judged_splits(codes, self.n_folds, seed)
        return make_splits(
            codes,
            self.n_folds,
            seed,
            groups=source.groups,
            queries=source.queries,
            n_open=self.n_folds * self.rules.effort.n_open,
        )

    def schedule(self):
        """Lay out the work.

        Returns
        -------
        Schedule
        """
        source = self.source
        class_names, codes = (), source.y
        if source.task == "classes":
            class_names, codes = np.unique(source.y, return_inverse=True)
        splits, notes = self._splits(codes)
        tasks = [
            Task(
                learner,
                split,
                task_seed(self.seed, split.fold, repeat),
                self.rules,
                split.fold == 0 and repeat == 0,
                source.image_shape,
                repeat=repeat,
            )
            for learner in self.learners
            for split in splits
            for repeat in range(self.seeds)
            if split.protocol in learner.protocols
        ]
        tasks.sort(key=_turn)
        of_curves, axes = curve_tasks(self.curves, tasks, source.X, codes, source.groups)
        protocols = tuple(sorted({split.protocol for split in splits}))
        names = tuple(str(name) for name in class_names)
        return Schedule((*tasks, *of_curves), source.X, codes, names, protocols, notes, axes)


def _turn(task):
    """Return what puts a task before others: soon there is something to see.

    What is free comes first; then one fold of everyone, so that an interrupt leaves a score of
    each; then learner by learner, the cheap ones first.
    """
    learner, split = task.learner, task.split
    place = split.fold, split.protocol, learner.cost, learner.key, task.repeat
    if learner.family in ("reference", "baseline"):
        return 0, *place
    return (1, *place) if split.fold == 0 else (2, learner.cost, learner.key, *place)


def known_before_reading(asked, kind=None):
    """Return the learners of which some take part, whatever the data turn out to be.

    Parameters
    ----------
    asked : None, str, list or dict
        What ``resolve_learners`` takes.
    kind : {"pairs", "triplets"}, default=None
        Of the judgments to compare on; None for labels, which may be classes or amounts.

    Returns
    -------
    tuple of Learner
    """
    if kind is not None:
        return judged_learners(asked, kind)
    learners = resolve_learners(asked)
    with suppress(ValueError):  # what was asked for learns from classes only
        learners += amount_learners(asked)
    return learners


def make_seconds(time):
    """Return a time in seconds.

    Examples
    --------
    >>> make_seconds("10m"), make_seconds(90)
    (600.0, 90.0)
    """
    units = {"s": 1, "m": 60, "h": 3600}
    text = str(time).strip()
    try:
        seconds = float(text[:-1]) * units[text[-1]] if text[-1:] in units else float(text)
    except ValueError:
        seconds = 0.0
    if isinstance(time, bool) or not 0 < seconds < float("inf"):
        raise ValueError(f"time={time!r} must be seconds, or as in '90s', '10m' or '1h'")
    return seconds


def task_seed(seed, fold, repeat):
    """Return the seed of a learner on a fold: another one on each, the same for all learners."""
    return int(np.random.SeedSequence([seed, fold, repeat]).generate_state(1)[0])


@dataclass(frozen=True)
class Schedule:
    """The work of a plan.

    Attributes
    ----------
    tasks : tuple of Task
    X : ndarray of shape (n, n_features) or DataFrame
    codes : ndarray of shape (n,)
        Class of each row, as an index of ``class_names``; or its amount; or ``Judged`` items.
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
