"""What a comparison found: every number, the ranking, and how sure it is."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from metriclearn._extras import require
from metriclearn._files import check_writable, write_text
from metriclearn.compare._measure import HEADLINE, MEASURES, protocol_of
from metriclearn.compare._significance import SIGNIFICANT, corrected_resampled_t_test
from metriclearn.compare._words import headline, question_text, verdict_text

FORMAT = "metriclearn comparison 2"


@dataclass(repr=False)
class ComparisonResult:
    """Scores of every learner on every fold, and what follows from them.

    Attributes
    ----------
    learners : list of dict
        ``key``, ``name`` and ``family`` of each learner compared.
    records : list of dict
        One for each finished learner and fold: scores, seconds, parameters
        chosen, notes, error.
    data : dict
        What was compared on.
    run : dict
        Command, seed, versions, protocol and time.
    interrupted : str or None
        What stopped the comparison early.
    curve_records : list of dict
        The like of ``records`` for the points of curves: with ``axis`` and ``place``.
    """

    learners: list
    records: list
    data: dict
    run: dict
    interrupted: str | None = None
    curve_records: list = field(default_factory=list)

    def __repr__(self):
        return "\n".join([f"ComparisonResult of {headline(self)}", *self.sentences()])

    @property
    def protocols(self):
        """The protocols that were run, closed set first."""
        return [p for p in ("closed", "open") if p in self.run["protocols"]]

    @property
    def measures(self):
        """The measures of these protocols, in the order of the table."""
        return [measure for protocol in self.protocols for measure in MEASURES[protocol]]

    @property
    def is_search(self):
        """Whether settings were searched for, beyond the line-up's few."""
        return self.run["tuning"]["method"] not in ("few", "off")

    def fold_scores(self, key, measure):
        """Scores of one learner, ``{fold: score}``, of the folds that it finished."""
        protocol = protocol_of(measure)
        return {
            record["fold"]: record["scores"][measure]
            for record in self.records
            if record["learner"] == key and record["protocol"] == protocol and not record["error"]
        }

    def curve(self, axis, measure):
        """Scores of every learner along an axis.

        Parameters
        ----------
        axis : {"rows", "dimensions", "shift"}
        measure : {"accuracy", "recall_at_1", "r_precision", "map_at_r"}

        Returns
        -------
        list of dict
            ``key, name, family`` of each learner that has any, best first at the
            last place; ``points``: a list of ``place`` (rows, dimensions, Fréchet
            distance), ``mean``, ``std`` (None of a single fold) and ``n_folds``.
        """
        if axis not in self.run["axes"]:
            raise ValueError(
                f"axis={axis!r} was not compared over; there are: "
                f"{', '.join(self.run['axes']) or 'none'}"
            )
        protocol = protocol_of(measure)
        scores = {}
        for record in self.curve_records:
            if (record["axis"], record["protocol"]) == (axis, protocol) and not record["error"]:
                place = record["place"]
                if axis == "shift":
                    place = self.run["axes"]["shift"][place]
                own = scores.setdefault(record["learner"], {})
                own.setdefault(place, []).append(record["scores"][measure])
        curves = []
        for learner in self.learners:
            points = [
                {
                    "place": place,
                    "mean": float(np.mean(folds)),
                    "std": float(np.std(folds, ddof=1)) if len(folds) > 1 else None,
                    "n_folds": len(folds),
                }
                for place, folds in sorted(scores.get(learner["key"], {}).items())
            ]
            if points:
                curves.append({**learner, "points": points})
        return sorted(curves, key=lambda curve: -curve["points"][-1]["mean"])

    def curve_notes(self):
        """Say which points of the curves are missing, and why: one line a learner and axis."""
        failed = {}
        for record in self.curve_records:
            if record["error"]:
                key = (record["learner"], record["axis"])
                failed.setdefault(key, []).append(record["error"])
        names = {learner["key"]: learner["name"] for learner in self.learners}
        return [
            f"{names[key]}, curve over {axis}: {len(errors)} fits failed: {errors[0]}"
            for (key, axis), errors in sorted(failed.items())
        ]

    def rows(self):
        """Rows of the table, best first: by accuracy, then by MAP@R; failures last.

        Returns
        -------
        list of dict
            ``key, name, family, fit_seconds, tune_seconds, n_tried, dimension, folds, notes,
            error``,
            and for each measure its mean and, under ``<measure>_std``, its
            standard deviation over the folds; None where there is none.
        """
        rows = [self._row(learner) for learner in self.learners]

        def rank(row):
            scores = [row[HEADLINE[protocol]] for protocol in self.protocols]
            return [-np.inf if score is None else score for score in scores]

        return sorted(rows, key=rank, reverse=True)

    def _row(self, learner):
        records = [r for r in self.records if r["learner"] == learner["key"]]
        done = [r for r in records if not r["error"]]
        row = dict(learner)
        for measure in self.measures:
            scores = list(self.fold_scores(learner["key"], measure).values())
            row[measure] = float(np.mean(scores)) if scores else None
            row[f"{measure}_std"] = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
        # The closed set's fits are the larger ones, and every comparison has them.
        timed = [r for r in done if r["protocol"] == "closed"] or done
        row["fit_seconds"] = float(np.mean([r["fit_seconds"] for r in timed])) if timed else None
        row["tune_seconds"] = float(np.mean([r["tune_seconds"] for r in timed])) if timed else None
        row["n_tried"] = float(np.mean([len(r["tuning"]) for r in done])) if done else None
        row["dimension"] = max((r["dimension"] for r in done), default=None)
        row["folds"] = {p: sum(r["protocol"] == p for r in done) for p in self.protocols}
        row["notes"] = sorted({note for r in done for note in r["notes"]})
        errors = [r["error"] for r in records if r["error"]]
        row["error"] = None
        if errors:
            row["error"] = errors[0]
            if done:
                row["error"] = f"failed in {len(errors)} of {len(records)} folds: {errors[0]}"
        elif not records:
            row["error"] = "not reached before the interrupt"
        return row

    def verdict(self, measure):
        """Who wins a measure, and by how much beyond the noise of the folds.

        Each other learner is tested against the winner with the corrected
        resampled t-test (Nadeau & Bengio, 2003) on the folds that both
        finished, at 5% and one by one: p-values are not adjusted for the number
        of learners.

        Parameters
        ----------
        measure : {"accuracy", "recall_at_1", "r_precision", "map_at_r"}

        Returns
        -------
        dict or None
            ``winner``, ``score``, ``against`` (a list of ``name, lead,
            p_value, beyond_noise``, nearest first), ``tied`` (names that
            cannot be told from the winner). None if no learner has a score.
        """
        ranked = [row for row in self.rows() if row[measure] is not None]
        ranked.sort(key=lambda row: -row[measure])
        if not ranked:
            return None
        winner, *others = ranked
        against = []
        for other in others:
            lead, p = self._test(winner["key"], other["key"], measure)
            beyond = p < SIGNIFICANT
            against.append(
                {"name": other["name"], "lead": lead, "p_value": p, "beyond_noise": beyond}
            )
        return {
            "measure": measure,
            "winner": winner["name"],
            "score": winner[measure],
            "against": against,
            "tied": [entry["name"] for entry in against if not entry["beyond_noise"]],
        }

    def deep_or_linear(self, measure):
        """Compare the best deep learner with the best that is not deep.

        Returns
        -------
        dict or None
            ``deep``, ``linear`` (names), ``lead`` (of the deep one), ``p_value``,
            ``beyond_noise``, ``fit_seconds`` (of both). None unless both kinds have scores.
        """
        rows = [row for row in self.rows() if row[measure] is not None]
        rows.sort(key=lambda row: -row[measure])
        deep = next((row for row in rows if row["family"] == "deep"), None)
        linear = next((row for row in rows if row["family"] in ("linear", "baseline")), None)
        if deep is None or linear is None:
            return None
        lead, p = self._test(deep["key"], linear["key"], measure)
        return {
            "measure": measure,
            "deep": deep["name"],
            "linear": linear["name"],
            "lead": lead,
            "p_value": p,
            "beyond_noise": p < SIGNIFICANT,
            "fit_seconds": {"deep": deep["fit_seconds"], "linear": linear["fit_seconds"]},
        }

    def _test(self, key, other, measure):
        """Lead of one learner over another on their common folds, and its p-value."""
        mine, theirs = self.fold_scores(key, measure), self.fold_scores(other, measure)
        folds = sorted(set(mine) & set(theirs))
        differences = np.array([mine[fold] - theirs[fold] for fold in folds])
        protocol = protocol_of(measure)
        ratios = [r["n_test"] / r["n_train"] for r in self.records if r["protocol"] == protocol]
        lead = float(differences.mean()) if len(differences) else 0.0
        return lead, float(corrected_resampled_t_test(differences, float(np.mean(ratios))))

    def sentences(self):
        """The findings in plain words, one for each protocol and one on deep or linear."""
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
                    {"learner": drawn["name"], "measure": measure, **point}
                    for measure in self.measures
                    for drawn in self.curve(curve, measure)
                    for point in drawn["points"]
                ]
            )
        names = {learner["key"]: learner["name"] for learner in self.learners}
        if per_fold:
            kept = ("protocol", "fold", "fit_seconds", "tune_seconds", "dimension", "error")
            flat = [
                {
                    "learner": names[record["learner"]],
                    **{key: record.get(key) for key in kept},
                    **record.get("scores", {}),
                }
                for record in self.records
            ]
            return pandas.DataFrame(flat)
        columns = ["name", "family"]
        for measure in self.measures:
            columns += [measure, f"{measure}_std"]
        columns += ["fit_seconds", "tune_seconds", "n_tried", "dimension", "error"]
        rows = self.rows()
        frame = pandas.DataFrame(
            [[row[column] for column in columns] for row in rows], columns=columns
        )
        return frame.rename(columns={"name": "learner"})

    def plot(self):
        """Draw scores with their spread, Recall@k curves and score against fit time.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from metriclearn.compare._report._figure import draw

        return draw(self)

    def to_html(self, path):
        """Write one self-contained HTML report that needs no network.

        Parameters
        ----------
        path : str or path
        """
        from metriclearn.compare._report._page import render

        check_writable(path, "to_html:")
        write_text(path, render(self))

    def to_json(self, path):
        """Write every number, whole or not at all.

        Parameters
        ----------
        path : str or path
        """
        document = {"format": FORMAT, **asdict(self), "summary": self.summary()}
        check_writable(path, "to_json:")
        write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def summary(self):
        """Rows of the table and verdicts, as they go into the JSON file."""
        verdicts = {measure: self.verdict(measure) for measure in self.measures}
        questions = {measure: self.deep_or_linear(measure) for measure in self.measures}
        return {
            "rows": self.rows(),
            "verdicts": verdicts,
            "deep_or_linear": questions,
            "sentences": self.sentences(),
            "curves": {
                axis: {measure: self.curve(axis, measure) for measure in self.measures}
                for axis in self.run["axes"]
            },
        }

    @classmethod
    def from_json(cls, path):
        """Read what ``to_json`` wrote.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        ComparisonResult

        Raises
        ------
        ValueError
            If the file is something else.
        """
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: not a JSON file ({error})") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"{path}: not a comparison that this version wrote ({FORMAT!r})")
        fields = ("learners", "records", "data", "run", "interrupted", "curve_records")
        return cls(**{field: document[field] for field in fields})
