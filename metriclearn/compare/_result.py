"""What a comparison found: every number, the ranking, and how sure it is."""

from dataclasses import dataclass, fields, replace

import numpy as np

from metriclearn._extras import require
from metriclearn._files import check_writable, write_text
from metriclearn.compare._documents import read_document, write_document
from metriclearn.compare._measure import HEADLINE, MEASURES, protocol_of
from metriclearn.compare._plain import from_plain, to_plain
from metriclearn.compare._records import (
    DataFacts,
    DeepOrLinear,
    FoldRecord,
    Lead,
    LearnerFacts,
    RunFacts,
    Summary,
    Verdict,
)
from metriclearn.compare._significance import SIGNIFICANT, corrected_resampled_t_test
from metriclearn.compare._table import best_first, curve_of, table_row
from metriclearn.compare._words import headline, question_text, verdict_text


@dataclass(frozen=True, repr=False)
class ComparisonResult:
    """Scores of every learner on every fold, and what follows from them.

    Attributes
    ----------
    learners : tuple of LearnerFacts
        ``key``, ``name`` and ``family`` of each learner compared.
    records : tuple of FoldRecord
        One for each finished learner and fold: scores, seconds, parameters
        chosen, notes, error.
    data : DataFacts
        What was compared on.
    run : RunFacts
        Command, seed, versions, protocol and time.
    interrupted : str or None
        What stopped the comparison early.
    curve_records : tuple of FoldRecord
        The like of ``records`` for the points of curves: with ``axis`` and ``place``.
    """

    learners: tuple[LearnerFacts, ...]
    records: tuple[FoldRecord, ...]
    data: DataFacts
    run: RunFacts
    interrupted: str | None = None
    curve_records: tuple[FoldRecord, ...] = ()

    def __repr__(self):
        return "\n".join([f"ComparisonResult of {headline(self)}", *self.sentences()])

    def with_command(self, command):
        """Return the same result with the command that reproduces it."""
        return replace(self, run=replace(self.run, command=command))

    def stopped(self, reason):
        """Return the same result as one that was stopped early."""
        return replace(self, interrupted=reason)

    @property
    def findings(self):
        """What is remarkable about the data, and what was done about it."""
        return self.data.findings

    @property
    def protocols(self):
        """The protocols that were run, closed set first."""
        return [p for p in ("closed", "open") if p in self.run.protocols]

    @property
    def measures(self):
        """The measures of these protocols, in the order of the table."""
        return [measure for protocol in self.protocols for measure in MEASURES[protocol]]

    @property
    def is_search(self):
        """Whether settings were searched for, beyond the roster's few."""
        return self.run.tuning.is_search

    def fold_scores(self, key, measure):
        """Return scores of one learner, ``{fold: score}``, of the folds that it finished."""
        protocol = protocol_of(measure)
        return {
            record.fold: record.scores[measure]
            for record in self.records
            if record.learner == key and record.protocol == protocol and not record.error
        }

    def curve(self, axis, measure):
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
        """
        if axis not in self.run.axes:
            raise ValueError(
                f"axis={axis!r} was not compared over; there are: "
                f"{', '.join(self.run.axes) or 'none'}"
            )
        protocol = protocol_of(measure)
        places = self.run.axes[axis] if axis == "shift" else None
        records = [
            record
            for record in self.curve_records
            if (record.axis, record.protocol) == (axis, protocol) and not record.error
        ]
        curves = [
            curve_of(learner, [r for r in records if r.learner == learner.key], measure, places)
            for learner in self.learners
        ]
        curves = [curve for curve in curves if curve.points]
        return sorted(curves, key=lambda curve: -curve.points[-1].mean)

    def curve_notes(self):
        """Say which points of the curves are missing, and why: one line a learner and axis."""
        failed = {}
        for record in self.curve_records:
            if record.error:
                failed.setdefault((record.learner, record.axis), []).append(record.error)
        names = {learner.key: learner.name for learner in self.learners}
        return [
            f"{names[key]}, curve over {axis}: {len(errors)} fits failed: {errors[0]}"
            for (key, axis), errors in sorted(failed.items())
        ]

    def rows(self):
        """Return the rows of the table, best first: by accuracy, then by MAP@R; failures last.

        Returns
        -------
        list of Row
        """
        rows = [
            table_row(
                learner,
                [record for record in self.records if record.learner == learner.key],
                self.measures,
                self.protocols,
            )
            for learner in self.learners
        ]
        return best_first(rows, self.protocols)

    def _ranked(self, measure):
        """Return the rows that have a measure, best first."""
        rows = [row for row in self.rows() if measure in row.scores]
        return sorted(rows, key=lambda row: -row.mean(measure))

    def verdict(self, measure):
        """Say who wins a measure, and by how much beyond the noise of the folds.

        Each other learner is tested against the winner with the corrected
        resampled t-test (Nadeau & Bengio, 2003) on the folds that both
        finished, at 5% and one by one: p-values are not adjusted for the number
        of learners.

        Parameters
        ----------
        measure : {"accuracy", "recall_at_1", "r_precision", "map_at_r"}

        Returns
        -------
        Verdict or None
            None if no learner has a score.
        """
        ranked = self._ranked(measure)
        if not ranked:
            return None
        winner, *others = ranked
        against = []
        for other in others:
            lead, p = self._test(winner.key, other.key, measure)
            against.append(Lead(other.name, lead, p, p < SIGNIFICANT))
        tied = tuple(entry.name for entry in against if not entry.beyond_noise)
        return Verdict(measure, winner.name, winner.mean(measure), tuple(against), tied)

    def deep_or_linear(self, measure):
        """Compare the best deep learner with the best that is not deep.

        Parameters
        ----------
        measure : {"accuracy", "recall_at_1", "r_precision", "map_at_r"}

        Returns
        -------
        DeepOrLinear or None
            None unless both kinds have scores.
        """
        rows = self._ranked(measure)
        deep = next((row for row in rows if row.family == "deep"), None)
        linear = next((row for row in rows if row.family in ("linear", "baseline")), None)
        if deep is None or linear is None:
            return None
        lead, p = self._test(deep.key, linear.key, measure)
        return DeepOrLinear(
            measure,
            deep.name,
            linear.name,
            lead,
            p,
            p < SIGNIFICANT,
            deep.fit_seconds,
            linear.fit_seconds,
        )

    def _test(self, key, other, measure):
        """Measure the lead of one learner over another on their common folds, with a p-value."""
        mine, theirs = self.fold_scores(key, measure), self.fold_scores(other, measure)
        folds = sorted(set(mine) & set(theirs))
        differences = np.array([mine[fold] - theirs[fold] for fold in folds])
        protocol = protocol_of(measure)
        ratios = [r.n_test / r.n_train for r in self.records if r.protocol == protocol]
        lead = float(differences.mean()) if len(differences) else 0.0
        return lead, float(corrected_resampled_t_test(differences, float(np.mean(ratios))))

    def sentences(self):
        """Return the findings in plain words: one a protocol, one on deep or linear."""
        lines = []
        for protocol in self.protocols:
            verdict = self.verdict(HEADLINE[protocol])
            if verdict is not None:
                lines.append(f"{protocol.capitalize()} set: {verdict_text(verdict)}")
        for protocol in self.protocols:
            question = self.deep_or_linear(HEADLINE[protocol])
            if question is not None:
                where = "known classes" if protocol == "closed" else "unseen classes"
                lines.append(f"Deep or linear, on {where}: {question_text(question)}")
        return lines

    def to_frame(self, *, per_fold=False, curve=None):
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
        pandas = require("pandas", "cli")
        if curve is not None:
            return pandas.DataFrame(
                [
                    {"learner": drawn.name, "measure": measure, **to_plain(point)}
                    for measure in self.measures
                    for drawn in self.curve(curve, measure)
                    for point in drawn.points
                ]
            )
        if per_fold:
            names = {learner.key: learner.name for learner in self.learners}
            kept = ("protocol", "fold", "fit_seconds", "tune_seconds", "dimension", "error")
            return pandas.DataFrame(
                [
                    {
                        "learner": names[record.learner],
                        **{name: getattr(record, name) for name in kept},
                        **record.scores,
                    }
                    for record in self.records
                ]
            )
        kept = ("fit_seconds", "tune_seconds", "n_tried", "dimension", "error")
        table = []
        for row in self.rows():
            line = {"learner": row.name, "family": row.family}
            for measure in self.measures:
                line |= {measure: row.mean(measure), f"{measure}_std": row.std(measure)}
            table.append(line | {name: getattr(row, name) for name in kept})
        return pandas.DataFrame(table)

    def plot(self):
        """Draw scores with their spread, Recall@k curves and score against fit time.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from metriclearn.compare._report._figure import draw

        return draw(self)

    def show(self):
        """Print the table and the findings."""
        from metriclearn.compare._terminal import show

        show(self)

    def to_html(self, path):
        """Write one self-contained HTML report that needs no network.

        Parameters
        ----------
        path : str or path
        """
        from metriclearn.compare._report._page import render

        check_writable(path, "to_html:")
        write_text(path, render(self))

    def summary(self):
        """Return the rows of the table and the verdicts, as they go into the JSON file.

        Returns
        -------
        Summary
        """
        return Summary(
            rows=tuple(self.rows()),
            verdicts={measure: self.verdict(measure) for measure in self.measures},
            deep_or_linear={measure: self.deep_or_linear(measure) for measure in self.measures},
            sentences=tuple(self.sentences()),
            curves={
                axis: {measure: tuple(self.curve(axis, measure)) for measure in self.measures}
                for axis in self.run.axes
            },
        )

    def to_dict(self):
        """Return what ``to_json`` writes, without the name of the format."""
        return {**to_plain(self), "summary": to_plain(self.summary())}

    def to_json(self, path):
        """Write every number, whole or not at all.

        The fields of the file are those of the records; ``docs/comparison.schema.json`` is
        its JSON schema.

        Parameters
        ----------
        path : str or path
        """
        write_document(path, self.to_dict())

    @classmethod
    def from_json(cls, path):
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
        document = read_document(path)
        if "comparisons" in document:
            raise ValueError(f"{path}: holds several data sets; use RankedComparison.from_json")
        return cls.from_dict(document, path)

    @classmethod
    def from_dict(cls, document, where="the document"):
        """Build what ``to_dict`` took apart."""
        known = {field.name for field in fields(cls)}
        return from_plain(cls, {k: v for k, v in document.items() if k in known}, str(where))
