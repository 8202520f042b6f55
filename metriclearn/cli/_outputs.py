"""What ``metriclearn compare`` writes: checked before the work; each is whole or not there."""

import os
import sys
import warnings

from metriclearn._extras import require
from metriclearn._text import printable
from metriclearn.cli._errors import EXIT_INTERRUPTED, BadInputError
from metriclearn.cli._model import check_apart, check_beside

_FINE_TUNED = "finetune"
_AS_A_GRAPH = (
    "a fine-tuned network cannot be kept as a folder; --save-learner keeps another, and in Python "
    "result.fit_best(photos, None)[-1].to_onnx(path) writes it"
)


class Outputs:
    """Files that are written one after the other, whatever becomes of the others.

    Parameters
    ----------
    writers : dict of str to callable
        What writes each file, called with its path; None in place of a path for none.
    """

    def __init__(self, writers):
        self._left = {path: write for path, write in writers.items() if path}
        self._written, self._faults, self._is_stopped = [], [], False

    def write(self):
        """Write what is left; an interrupt or an error is kept for later."""
        try:
            for path in list(self._left):
                try:
                    self._left[path](path)
                    self._written.append(path)
                except BadInputError as error:
                    self._faults.append(str(error))
                except (OSError, ValueError) as error:
                    said = "" if self._faults else "the result could not be written: "
                    self._faults.append(f"{said}{error}")
                del self._left[path]
        except KeyboardInterrupt:
            self._is_stopped = True

    def interrupted(self):
        """Write what can be, say so, and return the exit code of an interrupt."""
        self.write()
        self.said()
        return EXIT_INTERRUPTED

    def said(self):
        """Say what was written and what was not; return the exit code, 0 where all was."""
        for path in self._written:
            print(f"wrote {printable(path)}")
        left = ", ".join(map(printable, self._left))
        if self._faults:
            more = [f"not written: {left}"] if left else []
            raise BadInputError("; ".join([*self._faults, *more]))
        if self._is_stopped:
            print(f"metriclearn: interrupted; not written: {left}", file=sys.stderr)
        return EXIT_INTERRUPTED if self._is_stopped else 0


def check_outputs(options):
    """Find out before the work whether what is asked for can be written."""
    outputs = {"--report": options.report, "--json": options.json}
    try:
        require("rich", "cli")
        if options.report is not None:
            require("jinja2", "cli")
            require("PIL", "cli")
        from metriclearn._files import check_writable

        others = {"--resume": options.resume, "--save": options.save}
        check_apart({**outputs, **others}, options.sources)
        if options.save is not None:
            require("skops", "skops")
            if len(options.sources) > 1:
                raise ValueError("--save keeps the winner on one source; there are several")
            from metriclearn.persistence._model import check_place

            check_place(options.save, "--save")
            if options.save_learner is not None:
                _check_kept(options)
        elif options.save_learner is not None:
            raise ValueError("--save-learner needs --save DIR")
        for argument, path in outputs.items():
            if path is not None:
                check_writable(path, argument)
                check_beside(argument, path, options.save or os.devnull)
    except (ValueError, ImportError, OSError) as error:
        raise BadInputError(error) from None


def _check_kept(options):
    """Find out whether the learner to keep takes part."""
    from metriclearn.compare._plan import known_before_reading

    if options.save_learner.startswith(_FINE_TUNED):
        raise ValueError(f"--save-learner {options.save_learner}: {_AS_A_GRAPH}")
    asked = options.learners or ("features" if options.features else None)
    kind = "pairs" if options.pairs else "triplets" if options.triplets else None
    there = known_before_reading(asked, kind)
    keys = [each.key for each in there]
    if options.save_learner not in [*keys, *(each.name for each in there)]:
        raise ValueError(
            f"--save-learner {options.save_learner} takes no part; there are "
            f"{', '.join(dict.fromkeys(keys))}, or add it to --learners"
        )


def save_winner(result, options, folder, constraints=None):
    """Fit the winner on all rows, and keep it with a model card.

    Parameters
    ----------
    result : ComparisonResult
    options : Namespace
    folder : str
    constraints : Pairs or Triplets, default=None
    """
    from metriclearn import save

    key = options.save_learner
    kept = key or getattr(result.verdict(result.headline(result.protocols[0])), "key", "")
    if kept.startswith(_FINE_TUNED):
        raise BadInputError(f"--save {folder}: {_AS_A_GRAPH}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = result.fit_best(
                options.sources[0], options.target, learner=key, constraints=constraints
            )
        save(model, folder, card=_card(result, key))
    except (ValueError, OSError, ImportError) as error:
        raise BadInputError(f"--save {folder}: {error}") from None


def _card(result, key):
    """Say where a model comes from."""
    from metriclearn.compare._words import size_text

    data = result.data
    names = {row.key: row for row in result.rows()}
    kept = names.get(key)
    scores = [
        f"{measure}: {getattr(kept, 'scores', {}).get(measure)}" for measure in result.measures
    ]
    return {
        "Name": f"{kept.name if kept else 'The winner'} on {data.name}",
        "Data": [
            f"{data.name}: {data.n_rows:,} rows, {data.n_features:,} features",
            size_text(result)
            if data.judgments
            else f"{data.n_classes:,} classes: {', '.join(map(str, data.class_names[:50]))}",
        ],
        "Findings": [finding.text for finding in result.findings] or ["none"],
        "What the comparison said": list(result.sentences()),
        **({"Scores": scores} if kept else {}),
        "Command": result.run.command or "compare()",
    }
