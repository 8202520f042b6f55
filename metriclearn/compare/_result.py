"""What a comparison found: every number, the ranking, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from metriclearn._files import check_writable, write_text
from metriclearn._types import FilePath
from metriclearn.compare import _documents
from metriclearn.compare._mean_ranks import rank_places
from metriclearn.compare._measuring._measure import HEADLINE, MEASURES, protocol_of
from metriclearn.compare._measuring._pictures import lay_out_maps
from metriclearn.compare._plain import from_plain, to_plain
from metriclearn.compare._records import DataFacts, FoldRecord, LearnerFacts, RunFacts
from metriclearn.compare._report._notebook import notebook_html
from metriclearn.compare._verdict._answers import (
    ALL_QUESTIONS,
    contest_of,
    find_answer,
    find_verdict,
)
from metriclearn.compare._verdict._conclusions import Answer, Ranking, Summary, Verdict
from metriclearn.compare._verdict._table import curves_along, failed_points, fold_means, table_rows
from metriclearn.compare._winner import fit_as_compared, make_estimator
from metriclearn.compare._words import headline, sentences_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from metriclearn.constraints import Pairs, Triplets


@dataclass(frozen=True, repr=False)
class ComparisonResult:
    """Scores of every learner on every fold, and what follows from them.

    Parameters
    ----------
    learners : tuple of LearnerFacts
        ``key``, ``name`` and ``family`` of each learner compared.
    records : tuple of FoldRecord
        One for each finished learner and fold: scores, seconds, parameters, notes, error.
    data : DataFacts
        What was compared on.
    run : RunFacts
        Command, seed, versions, protocol and time.
    interrupted : str or None
        What stopped the comparison early.
    curve_records : tuple of FoldRecord
        The like of ``records`` for the points of curves: with ``axis`` and ``place``.
    roster : tuple of Learner
        How the learners are made; not written to files.
    backbone : str, module, callable or None
        What made vectors of photos; not written to files.
    samples : Samples or None
        Rows that the report can show; written to the report only.

    See Also
    --------
    compare : Makes it.
    RankedComparison : Several results, over data sets.
    """

    learners: tuple[LearnerFacts, ...]
    records: tuple[FoldRecord, ...]
    data: DataFacts
    run: RunFacts
    interrupted: str | None = None
    curve_records: tuple[FoldRecord, ...] = ()
    roster: tuple = field(default=(), compare=False, repr=False, metadata={"kept": False})
    backbone: object = field(default=None, compare=False, repr=False, metadata={"kept": False})
    samples: Any = field(default=None, compare=False, repr=False, metadata={"kept": False})

    def __repr__(self):
        return "\n".join([f"ComparisonResult of {headline(self)}", *self.sentences()])

    def _repr_html_(self):
        return notebook_html(headline(self), self.sentences(), self)

    def with_command(self, command: str) -> ComparisonResult:
        """Return the same result with the command that reproduces it."""
        return replace(self, run=replace(self.run, command=command))

    def stopped(self, reason: str) -> ComparisonResult:
        """Return the same result as one that was stopped early."""
        return replace(self, interrupted=reason)

    @cached_property
    def _drawn(self):
        """The same result with its maps laid out, which no table needs."""
        return replace(self, records=lay_out_maps(self.records))

    @property
    def findings(self) -> tuple[Any, ...]:
        """What is remarkable about the data, and what was done about it."""
        return self.data.findings

    @property
    def protocols(self) -> list[str]:
        """The protocols that were run, closed set first."""
        return [p for p in ("closed", "open") if p in self.run.protocols]

    @property
    def measures(self) -> list[str]:
        """The measures of these protocols, in the order of the table."""
        return [measure for protocol in self.protocols for measure in self.measures_of(protocol)]

    def measures_of(self, protocol: str) -> list[str]:
        """Return the measures of a protocol: the one that settles the winner first if closed."""
        measures = [m for m in MEASURES[protocol] if any(m in r.scores for r in self.records)]
        if protocol == "open":
            return measures
        return sorted(measures, key=lambda measure: measure != self.headline(protocol))

    def headline(self, protocol: str) -> str:
        """Return the measure that settles the winner of a protocol.

        In the closed set it is the accuracy, or, where classes are of unequal size, its mean
        over the classes.
        """
        return self.run.measures.get(protocol, HEADLINE[protocol])

    @property
    def is_search(self) -> bool:
        """Whether settings were searched for, beyond the roster's few."""
        return self.run.tuning.is_search

    def fold_scores(self, key: str, measure: str) -> dict[Any, float]:
        """Return scores of one learner, ``{fold: score}``, of the folds that it finished."""
        protocol_of(measure)
        return fold_means([r for r in self.records if r.learner == key and not r.error], measure)

    def curve(self, axis: str, measure: str) -> list[Any]:
        """Return scores of every learner along an axis.

        Parameters
        ----------
        axis : {"rows", "dimensions", "shift"}
        measure : {"accuracy", "recall_at_1", "r_precision", "map_at_r"}

        Returns
        -------
        list of Curve
            Of each learner that has any points, best first at the last place; places are
            rows, dimensions or Fréchet distances.

        Raises
        ------
        ValueError
            If the comparison has no such axis, or there is no such measure.
        """
        if axis not in self.run.axes:
            raise ValueError(
                f"axis={axis!r} was not compared over; there are: "
                f"{', '.join(self.run.axes) or 'none'}"
            )
        return curves_along(self, axis, measure)

    def ranks(self, axis: str = "dimensions", measure: str | None = None) -> Ranking | None:
        """Rank the learners over the places of a curve, each of them one experiment.

        Parameters
        ----------
        axis : {"rows", "dimensions", "shift"}, default="dimensions"
        measure : str, default=None
            That of the open set that settles the winner, or else of the closed set, by default.

        Returns
        -------
        Ranking or None
            None for fewer than two places or learners.
        """
        measure = measure or self.headline(self.protocols[-1])
        return rank_places(axis, measure, self.curve(axis, measure))

    def curve_notes(self) -> list[str]:
        """Say which points of the curves are missing, and why: one line a learner and axis."""
        return failed_points(self.curve_records, self.learners)

    def rows(self) -> list[Any]:
        """Return the rows of the table, best first: by accuracy, then by MAP@R; failures last.

        Returns
        -------
        list of Row
        """
        return table_rows(self)

    def verdict(self, measure: str) -> Verdict | None:
        """Say who wins a measure, and from whom the winner cannot be told apart.

        The winner is the best on validation rows (or classes). Each other learner is tested
        against it with the corrected resampled t-test (Nadeau & Bengio, 2003) on common folds, at
        5%, adjusted for their number (Holm, 1979); fewer than five folds tell nothing apart.

        Parameters
        ----------
        measure : str
            One of ``measures``: of classes ``"accuracy"``, ``"map_at_r"`` and others, of amounts
            ``"r2"``, of judgments ``"agreement"`` or ``"pair_auc"``, ``"new_"`` of new items.

        Returns
        -------
        Verdict or None
            None if no learner has a score, or the run was stopped before every family had one.
        """
        contest = contest_of(self, measure)
        return None if contest is None else find_verdict(contest)

    def answer(self, question: str, measure: str | None = None) -> Answer | None:
        """Answer a question of the first card.

        Parameters
        ----------
        question : {"scaling", "learning", "deep", "linear_on_deep", "frozen", "fine_tuning"}
            Is scaling enough? Is learning a metric worth it? Is a deep one worth it over a linear
            one? Is a linear one on the embedding of a deep one? Of features of a network: is
            training worth it over frozen features? Is fine-tuning over a linear map?
        measure : str, default=None
            See ``verdict``; the one that settles the winner of the closed set by default.

        Returns
        -------
        Answer or None
            None unless both sides have scores.

        Raises
        ------
        ValueError
            If there is no such question or measure.
        """
        if question not in ALL_QUESTIONS:
            raise ValueError(f"question={question!r} is not one of {', '.join(ALL_QUESTIONS)}")
        contest = contest_of(self, measure or self.headline(self.protocols[0]))
        return None if contest is None else find_answer(contest, question)

    def deep_or_linear(self, measure: str | None = None) -> Answer | None:
        """Compare the best deep learner with the best that is linear or learns nothing.

        Parameters
        ----------
        measure : str, default=None

        Returns
        -------
        Answer or None
            None unless both kinds have scores.
        """
        return self.answer("deep", measure)

    def answers(self, protocol: str) -> tuple[Answer, ...]:
        """Return the answers of the first card that a protocol has."""
        contest = contest_of(self, self.headline(protocol))
        if contest is None:
            return ()
        answers = [find_answer(contest, question) for question in contest.questions]
        return tuple(answer for answer in answers if answer is not None)

    def sentences(self, *, with_answers: bool = True) -> list[str]:
        """Return what was found in plain words: who wins, and the answers of the first card.

        Parameters
        ----------
        with_answers : bool, default=True

        Returns
        -------
        list of str
        """
        return sentences_of(self, with_answers)

    def to_frame(self, *, per_fold: bool = False, curve: str | None = None) -> pd.DataFrame:
        """Return the table as a pandas DataFrame, best learner first.

        Parameters
        ----------
        per_fold : bool, default=False
            One row for each learner, protocol and fold instead.
        curve : {"rows", "dimensions", "shift"}, default=None
            One row for each learner, measure and place of this curve instead.

        Returns
        -------
        pandas.DataFrame
        """
        whole = _documents.fold_frame if per_fold else _documents.learner_frame
        return whole(self) if curve is None else _documents.curve_frame(self, curve)

    def make_estimator(
        self, learner: str | None = None, *, protocol: str | None = None
    ) -> BaseEstimator:
        """Make the winner, or another learner, with the settings that validation chose.

        Parameters
        ----------
        learner : str, default=None
            Key or name of a learner; the winner by default.
        protocol : {"closed", "open"}, default=None
            For known or for unseen classes; the first that was run by default.

        Returns
        -------
        Pipeline or transformer
            Unfitted. It takes the rows as they were given to ``compare``, and its ``transform``
            leads to the space where Euclidean distance is the metric. Fitted, it is what
            ``--save`` keeps, to the bit if the rows lie in memory in the same order.

        Raises
        ------
        ValueError
            If there is no such learner, or no winner.

        See Also
        --------
        fit_best : The same, fitted.
        """
        protocol = protocol or self.protocols[0]
        if learner is None:
            verdict = self.verdict(self.headline(protocol))
            if verdict is None:
                raise ValueError("there is no winner; name a learner")
            learner = verdict.key
        keys = {name: each.key for each in self.learners for name in (each.key, each.name)}
        if learner not in keys:
            raise ValueError(f"learner={learner!r} is not one of {', '.join(keys)}")
        return make_estimator(self, keys[learner], protocol)

    def fit_best(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        learner: str | None = None,
        *,
        protocol: str | None = None,
        constraints: Pairs | Triplets | None = None,
    ) -> BaseEstimator:
        """Fit the winner, or another learner, on rows as they were given to ``compare``.

        Parameters
        ----------
        X, y
            What ``compare`` takes: also the name of a source and of its label column.
        learner, protocol : str, default=None
            See ``make_estimator``.
        constraints : Pairs or Triplets, default=None
            In place of ``y`` where these were compared on.

        Returns
        -------
        Pipeline or transformer
            Fitted. It takes rows as they were given, and finds the columns that were compared by
            among them.

        Examples
        --------
        >>> from sklearn.datasets import load_wine
        >>> from metriclearn.compare import compare
        >>> X, y = load_wine(return_X_y=True)
        >>> result = compare(X, y, learners="euclidean,standardized,lda")
        >>> result.fit_best(X, y).transform(X[:2]).shape
        (2, 2)
        """
        estimator = self.make_estimator(learner, protocol=protocol)
        return fit_as_compared(self, estimator, X, y, constraints)

    def plot(self) -> Figure:
        """Draw scores with their spread, Recall@k curves and score against fit time.

        Returns
        -------
        matplotlib.figure.Figure
            In a notebook shown once, as what a cell ends with.
        """
        from metriclearn.compare._report._figure import draw

        return draw(self)

    def show(self) -> None:
        """Print the table and the findings."""
        from metriclearn.compare._terminal import show

        show(self)

    def to_html(self, path: FilePath, *, rows: bool = True) -> None:
        """Write one self-contained HTML report that needs no network.

        Parameters
        ----------
        path : str or path
        rows : bool, default=True
            Show values, or thumbnails, of some rows of the data; False for their numbers alone.
        """
        from metriclearn.compare._report._page import render

        check_writable(path, "to_html:")
        write_text(path, render(self._drawn if rows else replace(self._drawn, samples=None)))

    def summary(self) -> Summary:
        """Return the rows of the table and the verdicts, as they go into the JSON file."""
        return Summary(
            rows=tuple(self.rows()),
            verdicts={measure: self.verdict(measure) for measure in self.measures},
            answers={protocol: self.answers(protocol) for protocol in self.protocols},
            sentences=tuple(self.sentences()),
            curves={
                axis: {measure: tuple(self.curve(axis, measure)) for measure in self.measures}
                for axis in self.run.axes
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what ``to_json`` writes, without the name of the format."""
        return {**to_plain(self._drawn), "summary": to_plain(self.summary())}

    def to_json(self, path: FilePath) -> None:
        """Write every number, whole or not at all.

        The fields of the file are those of the records; ``docs/comparison.schema.json`` is
        its JSON schema.

        Parameters
        ----------
        path : str or path
        """
        _documents.write_document(path, self.to_dict())

    @classmethod
    def from_json(cls, path: FilePath) -> ComparisonResult:
        """Read what ``to_json`` wrote, in this or an earlier version.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        ComparisonResult

        Raises
        ------
        ValueError
            If the file is something else, or a field is missing.
        """
        document = _documents.read_document(path)
        if "comparisons" in document:
            raise ValueError(f"{path}: holds several data sets; use RankedComparison.from_json")
        return cls.from_dict(document, path)

    @classmethod
    def from_dict(cls, document: dict[str, Any], where: str = "the document") -> ComparisonResult:
        """Build what ``to_dict`` took apart."""
        return from_plain(cls, document, str(where))
