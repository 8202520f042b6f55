"""Several data sets: learners ranked on each, and whether their mean ranks differ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from metriclearn._extras import require
from metriclearn._files import check_writable, write_text
from metriclearn._types import FilePath
from metriclearn.compare._documents import read_document, write_document
from metriclearn.compare._mean_ranks import make_ranking
from metriclearn.compare._measuring._measure import HEADLINE
from metriclearn.compare._plain import to_plain
from metriclearn.compare._report._notebook import notebook_html
from metriclearn.compare._result import ComparisonResult
from metriclearn.compare._verdict._conclusions import RankQuestion
from metriclearn.compare._words import rank_question_text, ranking_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from metriclearn.compare._verdict._conclusions import Ranking


@dataclass(frozen=True, repr=False)
class RankedComparison:
    """The same learners compared on several data sets.

    Parameters
    ----------
    comparisons : tuple of ComparisonResult
        One for each data set.

    See Also
    --------
    ComparisonResult : What is found on one of the data sets.
    metriclearn.metrics.rank_scores : The ranks themselves.

    Examples
    --------
    >>> from sklearn.datasets import load_iris, load_wine
    >>> from metriclearn.compare import RankedComparison, compare
    >>> names = ["euclidean", "standardized", "lda"]
    >>> loaders = load_iris, load_wine
    >>> results = [compare(*load(return_X_y=True), learners=names) for load in loaders]
    >>> len(RankedComparison(tuple(results)).comparisons)
    2
    """

    comparisons: tuple[ComparisonResult, ...]

    def __repr__(self):
        names = ", ".join(comparison.data.name for comparison in self.comparisons)
        return "\n".join([f"RankedComparison on {names}", *self.sentences()])

    def _repr_html_(self):
        names = ", ".join(comparison.data.name for comparison in self.comparisons)
        return notebook_html(f"Ranks on {names}", self.sentences(), *self.comparisons)

    def with_command(self, command: str) -> RankedComparison:
        """Return the same result with the command that reproduces it.

        Parameters
        ----------
        command : str

        Returns
        -------
        RankedComparison
        """
        return replace(self, comparisons=tuple(c.with_command(command) for c in self.comparisons))

    @property
    def learners(self) -> tuple[Any, ...]:
        """The learners, the same of each comparison."""
        return self.comparisons[0].learners

    @property
    def interrupted(self) -> str | None:
        """What stopped the last comparison early, if anything."""
        return self.comparisons[-1].interrupted

    @property
    def protocols(self) -> list[str]:
        """The protocols that at least one data set has."""
        return [p for p in ("closed", "open") if any(p in c.protocols for c in self.comparisons)]

    def ranks(self, measure: str = "accuracy") -> Ranking | None:
        """Return mean ranks of the learners, and which of them can be told apart.

        Parameters
        ----------
        measure : {"accuracy", "recall_at_1", "r_precision", "map_at_r"}, default="accuracy"

        Returns
        -------
        Ranking or None
            None for fewer than two data sets or learners.
        """
        compared = [c for c in self.comparisons if measure in c.measures]
        if len(compared) < 2 or len(self.learners) < 2:
            return None
        means = [{row.key: row.mean(measure) for row in c.rows()} for c in compared]
        scores = [[means_of[learner.key] for learner in self.learners] for means_of in means]
        scores = np.array(scores, dtype=np.float64)  # None becomes NaN
        return make_ranking(measure, [c.data.name for c in compared], self.learners, scores)

    def deep_or_linear(self, measure: str = "accuracy") -> RankQuestion | None:
        """Compare the mean rank of the best deep learner with that of the best that is not deep.

        Parameters
        ----------
        measure : str, default="accuracy"

        Returns
        -------
        RankQuestion or None
            ``beyond_noise`` where they are at least the critical difference apart. None unless
            there are ranks, and both kinds among them.
        """
        ranking = self.ranks(measure)
        if ranking is None:
            return None
        learners = ranking.learners
        deep = next((each for each in learners if each.family == "deep"), None)
        linear = next((each for each in learners if each.family in ("linear", "baseline")), None)
        if deep is None or linear is None:
            return None
        lead = linear.mean_rank - deep.mean_rank
        return RankQuestion(
            measure=measure,
            deep=deep.name,
            linear=linear.name,
            deep_rank=deep.mean_rank,
            linear_rank=linear.mean_rank,
            lead=lead,
            beyond_noise=abs(lead) >= ranking.critical_difference,
        )

    def sentences(self) -> list[str]:
        """Return the findings in plain words: one a protocol, one on deep or linear.

        Returns
        -------
        list of str
        """
        lines = []
        for protocol in self.protocols:
            ranking = self.ranks(HEADLINE[protocol])
            if ranking is not None:
                lines.append(f"{protocol.capitalize()} set: {ranking_text(ranking)}")
        for protocol in self.protocols:
            question = self.deep_or_linear(HEADLINE[protocol])
            if question is not None:
                where = "known classes" if protocol == "closed" else "unseen classes"
                lines.append(f"Deep or linear, on {where}: {rank_question_text(question)}")
        return lines

    def to_frame(self, measure: str = "accuracy") -> pd.DataFrame:
        """Return scores by data set and mean ranks as a pandas DataFrame, best learner first.

        Parameters
        ----------
        measure : str, default="accuracy"

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ValueError
            If fewer than two data sets have the measure.
        """
        pandas = require("pandas", "cli")
        ranking = self.ranks(measure)
        if ranking is None:
            raise ValueError(f"measure={measure!r} is there for fewer than two data sets")
        return pandas.DataFrame(
            [
                {
                    "learner": learner.name,
                    "mean_rank": learner.mean_rank,
                    **dict(zip(ranking.datasets, learner.scores, strict=True)),
                }
                for learner in ranking.learners
            ]
        )

    def plot(self, measure: str = "accuracy", *, ax: Axes | None = None) -> Any:
        """Draw the critical-difference diagram.

        Parameters
        ----------
        measure : str, default="accuracy"
        ax : matplotlib.axes.Axes, default=None

        Returns
        -------
        CriticalDifferenceDisplay
        """
        from metriclearn.plots._critical_difference import CriticalDifferenceDisplay

        frame = self.to_frame(measure)
        scores = frame.drop(columns=["learner", "mean_rank"]).to_numpy(dtype=float).T
        return CriticalDifferenceDisplay.from_scores(scores, list(frame["learner"]), ax=ax)

    def show(self) -> None:
        """Print the table of every data set, and the mean ranks over them."""
        from metriclearn.compare._terminal import show_ranks

        show_ranks(self)

    def to_html(self, path: FilePath) -> None:
        """Write one self-contained HTML report of the ranks and of every data set's table.

        Parameters
        ----------
        path : str or path
        """
        from metriclearn.compare._report._page import render_ranks

        check_writable(path, "to_html:")
        write_text(path, render_ranks(self))

    def to_json(self, path: FilePath) -> None:
        """Write every number, whole or not at all.

        Parameters
        ----------
        path : str or path
        """
        ranks = {HEADLINE[p]: self.ranks(HEADLINE[p]) for p in self.protocols}
        document = {
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "ranks": to_plain(ranks),
            "sentences": self.sentences(),
        }
        write_document(path, document)

    @classmethod
    def from_json(cls, path: FilePath) -> RankedComparison:
        """Read what ``to_json`` wrote, in this or an earlier version.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        RankedComparison

        Raises
        ------
        ValueError
            If the file is something else, or a field is missing.
        """
        document = read_document(path)
        if not isinstance(document.get("comparisons"), list) or not document["comparisons"]:
            raise ValueError(f"{path}: holds no comparisons; use ComparisonResult.from_json")
        return cls(
            tuple(
                ComparisonResult.from_dict(comparison, f"{path}: comparisons[{i}]")
                for i, comparison in enumerate(document["comparisons"])
            )
        )
