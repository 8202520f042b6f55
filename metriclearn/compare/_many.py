"""Several data sets: learners ranked on each, and whether their mean ranks differ."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from metriclearn._extras import require
from metriclearn._files import check_writable, write_text
from metriclearn.compare._measure import HEADLINE
from metriclearn.compare._significance import SIGNIFICANT
from metriclearn.compare._words import rank_question_text, ranking_text
from metriclearn.metrics._ranks import (
    critical_difference,
    friedman_test,
    not_told_apart,
    rank_scores,
)

FORMAT = "metriclearn ranking 1"


@dataclass(repr=False)
class RankedComparison:
    """The same learners compared on several data sets.

    Attributes
    ----------
    comparisons : list of ComparisonResult
        One for each data set.
    """

    comparisons: list

    def __repr__(self):
        names = ", ".join(comparison.data["name"] for comparison in self.comparisons)
        return "\n".join([f"RankedComparison on {names}", *self.sentences()])

    @property
    def learners(self):
        """The learners, as of each comparison."""
        return self.comparisons[0].learners

    @property
    def interrupted(self):
        """What stopped the last comparison early, if anything."""
        return self.comparisons[-1].interrupted

    @property
    def protocols(self):
        """The protocols that at least one data set has."""
        return [p for p in ("closed", "open") if any(p in c.protocols for c in self.comparisons)]

    def ranks(self, measure="accuracy"):
        """Mean ranks of the learners, and which of them can be told apart.

        Parameters
        ----------
        measure : {"accuracy", "recall_at_1", "r_precision", "map_at_r"}, default="accuracy"

        Returns
        -------
        dict or None
            ``datasets`` (those that have the measure), ``learners`` (dicts of ``name,
            family, mean_rank, scores``, best first; a score is None where the learner failed, and
            counts as last), ``critical_difference`` (Nemenyi, at 5%), ``friedman``
            (``chi2, F, p_value``; None for fewer than three learners) and
            ``groups`` (names that cannot be told apart). None for fewer than two
            data sets or learners.
        """
        compared = [c for c in self.comparisons if measure in c.measures]
        if len(compared) < 2 or len(self.learners) < 2:
            return None
        means = [{row["key"]: row[measure] for row in c.rows()} for c in compared]
        scores = [[means_of[learner["key"]] for learner in self.learners] for means_of in means]
        scores = np.array(scores, dtype=np.float64)  # None becomes NaN
        mean_ranks = rank_scores(scores).mean(axis=0)
        n_datasets, n_learners = scores.shape
        difference = critical_difference(n_learners, n_datasets, SIGNIFICANT)
        friedman = None
        if n_learners >= 3:
            friedman = {name: float(value) for name, value in friedman_test(scores).items()}
        names = [learner["name"] for learner in self.learners]
        return {
            "measure": measure,
            "datasets": [c.data["name"] for c in compared],
            "learners": [
                {
                    **self.learners[i],
                    "mean_rank": float(mean_ranks[i]),
                    "scores": [None if np.isnan(s) else float(s) for s in scores[:, i]],
                }
                for i in np.argsort(mean_ranks, kind="stable")
            ],
            "critical_difference": difference,
            "friedman": friedman,
            "groups": [
                [names[i] for i in group] for group in not_told_apart(mean_ranks, difference)
            ],
        }

    def deep_or_linear(self, measure="accuracy"):
        """Compare the mean rank of the best deep learner with that of the best that is not deep.

        Parameters
        ----------
        measure : str, default="accuracy"

        Returns
        -------
        dict or None
            ``deep``, ``linear`` (names), ``ranks`` (of both), ``lead`` (of the deep one, in
            ranks), ``beyond_noise`` (at least the critical difference). None unless there are
            ranks, and both kinds among them.
        """
        ranking = self.ranks(measure)
        if ranking is None:
            return None
        learners = ranking["learners"]
        deep = next((each for each in learners if each["family"] == "deep"), None)
        linear = next((each for each in learners if each["family"] in ("linear", "baseline")), None)
        if deep is None or linear is None:
            return None
        lead = linear["mean_rank"] - deep["mean_rank"]
        return {
            "measure": measure,
            "deep": deep["name"],
            "linear": linear["name"],
            "ranks": {"deep": deep["mean_rank"], "linear": linear["mean_rank"]},
            "lead": lead,
            "beyond_noise": abs(lead) >= ranking["critical_difference"],
        }

    def sentences(self):
        """The findings in plain words, one for each protocol and one on deep or linear."""
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

    def to_frame(self, measure="accuracy"):
        """Return scores by data set and mean ranks as a pandas DataFrame, best learner first.

        Parameters
        ----------
        measure : str, default="accuracy"

        Returns
        -------
        pandas.DataFrame
        """
        pandas = require("pandas", "cli")
        ranking = self.ranks(measure)
        if ranking is None:
            raise ValueError(f"measure={measure!r} is there for fewer than two data sets")
        return pandas.DataFrame(
            [
                {
                    "learner": learner["name"],
                    "mean_rank": learner["mean_rank"],
                    **dict(zip(ranking["datasets"], learner["scores"], strict=True)),
                }
                for learner in ranking["learners"]
            ]
        )

    def plot(self, measure="accuracy", *, ax=None):
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

    def to_html(self, path):
        """Write one self-contained HTML report of the ranks and of every data set's table.

        Parameters
        ----------
        path : str or path
        """
        from metriclearn.compare._report._page import render_ranks

        check_writable(path, "to_html:")
        write_text(path, render_ranks(self))

    def to_json(self, path):
        """Write every number, whole or not at all.

        Parameters
        ----------
        path : str or path
        """
        document = {
            "format": FORMAT,
            "comparisons": [asdict(c) | {"summary": c.summary()} for c in self.comparisons],
            "ranks": {HEADLINE[p]: self.ranks(HEADLINE[p]) for p in self.protocols},
            "sentences": self.sentences(),
        }
        check_writable(path, "to_json:")
        write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def compare_sources(compare_one, sources):
    """Compare on each source; an interrupt keeps what is finished.

    Parameters
    ----------
    compare_one : callable
        ``compare_one(source) -> ComparisonResult``
    sources : list of Source

    Returns
    -------
    RankedComparison
    """
    names = [source.name for source in sources]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ValueError(f"datasets has {double!r} twice; give each its own name")
    comparisons = []
    for source in sources:
        try:
            comparisons.append(compare_one(source))
        except KeyboardInterrupt:
            if not comparisons:
                raise
            comparisons[-1].interrupted = f"interrupted before {source.name}"
        if comparisons[-1].interrupted:
            break
    return RankedComparison(comparisons)
