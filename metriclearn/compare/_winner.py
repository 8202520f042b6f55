"""The winner as an estimator: the pipeline and the settings that validation chose."""

from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline

from metriclearn._extras import require
from metriclearn._sklearn import safe_indexing
from metriclearn.compare._amount_roster import AMOUNT_ROSTER
from metriclearn.compare._effort import find_effort
from metriclearn.compare._judged._roster import judged_learners
from metriclearn.compare._judged._run import fit_items
from metriclearn.compare._learners._learner import Setting
from metriclearn.compare._measuring._images import ImageRows, PhotoReader
from metriclearn.compare._plain import to_plain
from metriclearn.compare._roster import ROSTER
from metriclearn.compare._sources._load import load_source
from metriclearn.compare._sources._target import split_off
from metriclearn.compare._sources._unlabeled import read_rows
from metriclearn.compare._tables._cleaning import TableReader
from metriclearn.compare._tables._labels import as_frame, check_order, read_amounts, read_labels
from metriclearn.compare._verdict._table import records_of
from metriclearn.images._features import Features


def make_estimator(result, key, protocol):
    """Make the unfitted pipeline of a learner with the settings that were chosen most often.

    Parameters
    ----------
    result : ComparisonResult
    key : str
    protocol : {"closed", "open"}
        Whose settings.

    Returns
    -------
    Pipeline or transformer
    """
    records = records_of(result, protocol, key)
    if not records:
        raise ValueError(f"learner {key!r} has no finished fit in the {protocol} set")
    learner, record = _learner_of(result, key), _most_chosen(records)
    estimator, grid = learner.make(_setting_of(result, record))
    estimator.set_params(**_real_params(record.params, grid))
    seeds = {
        name: result.run.seed
        for name, value in estimator.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    estimator.set_params(**seeds)
    reading = _reading_step(result, learner)
    if reading is None:
        return estimator
    steps = estimator.steps if isinstance(estimator, Pipeline) else [("metric", estimator)]
    return Pipeline([reading, *steps])


def _learner_of(result, key):
    learners = AMOUNT_ROSTER if result.data.amounts else ROSTER
    if result.data.judgments is not None:
        learners = {each.key: each for each in judged_learners("all", result.data.judgments.kind)}
    learners = {**learners, **{each.key: each for each in result.roster}}
    if key not in learners:
        raise ValueError(
            f"learner {key!r} is your own, which a file does not keep; call make_estimator on the "
            f"result of compare"
        )
    return learners[key]


def _setting_of(result, record):
    """Return what the learner was made for where a record was measured."""
    return Setting(
        record.n_train if result.data.judgments is None else result.data.n_rows,
        record.n_features,
        result.data.n_classes,
        min(result.data.class_counts, default=2),
        result.data.image_shape,
        find_effort(result.run.effort),
        form=result.data.kind,
    )


def _reading_step(result, learner):
    """Return the step that makes numbers of the rows as they were given, None where they are."""
    if result.backbone is not None and learner.reads is None:  # which makes vectors of photos
        return "features", Features(result.backbone)
    if result.data.kind == "photos" and learner.reads is None:
        height, width, *colors = result.data.image_shape
        return "read", PhotoReader((height, width), "RGB" if colors else "L")
    names = result.data.feature_names
    if result.data.kind == "image" and names is None:
        return "read", ImageRows(result.data.image_shape)
    # What learns from pixels or vectors takes arrays, which are made of columns that have names.
    has_columns = names is not None and result.data.kind != "tabular"
    if not (has_columns or result.data.is_read):
        return None
    notes = {note.column: (note.kind, note.text) for note in result.data.columns}
    return "read", TableReader(columns=list(names), notes=notes)


def rows_to_fit(result, X, y):
    """Return rows, or photos, and labels as the estimator of a result takes them.

    Parameters
    ----------
    result : ComparisonResult
    X, y
        What ``compare`` takes: also the name of a source, and of its label column.

    Returns
    -------
    X, y
    """
    if isinstance(X, (str, Path)):
        return _rows_of_file(result, X, y)
    if isinstance(y, str):
        X, y = split_off(X, y)
    elif (frame := as_frame(X)) is not None:
        X = frame
    y = getattr(X, "labels", None) if y is None else y
    if y is None:
        raise ValueError("y is needed beside X: the labels to fit on")
    check_order(X, y, "y")
    labels = read_amounts(y) if result.data.amounts else read_labels(y)
    labels.check_rows(len(X))
    if len(labels.rows) < len(X):  # some have none
        X = safe_indexing(X, labels.rows)
    return X, labels.y


def _rows_of_file(result, file, target):
    features = result.backbone
    if features is None and result.data.kind == "embeddings":
        features = True
    names = result.data.feature_names
    source = load_source(file, target, features=features, only=names)
    rows = getattr(source.X, "files", source.X)
    if names is None:
        return rows, source.y
    if source.feature_names != list(names):
        raise ValueError(f"{file}: holds images, and the comparison was by columns of a table")
    if result.data.kind == "tabular" and Path(file).suffix.lower() != ".npz":
        # Fitted with the names of the columns, which new rows may have in another order.
        rows = require("pandas", "cli").DataFrame(rows, columns=list(names), copy=False)
    return rows, source.y


def fit_as_compared(result, estimator, X, y, constraints=None):
    """Fit an estimator on what a result was compared on, given as to ``compare``."""
    if result.data.judgments is None:
        if constraints is not None:
            raise ValueError("constraints: labels were compared on; give them as y")
        X, y = rows_to_fit(result, X, y)
        return estimator.fit(X, y)
    if constraints is None or y is not None:
        raise ValueError("judgments were compared on; give them as constraints, and no y")
    items = items_to_fit(result, X)
    constraints.check_rows(len(items))
    return fit_items(estimator, items, constraints)


def items_to_fit(result, X):
    """Return items as the estimator of a result takes them; X is as of ``compare``."""
    names = result.data.feature_names
    if isinstance(X, (str, Path)):
        X = read_rows(X, as_table=names is not None).X
    frame = as_frame(X)
    if frame is not None and names is not None:
        X = frame[list(names)]
        return X if result.data.is_read else X.astype(float)  # with the names of its columns
    X = np.asarray(X)
    return X.reshape(len(X), -1)


def _most_chosen(records):
    """Return a record with the settings that most folds chose; of ties, the best validated."""
    texts = [repr(_without_epochs(record.params)) for record in records]
    counts = Counter(texts)
    most = max(counts.values())
    chosen = [r for r, text in zip(records, texts, strict=True) if counts[text] == most]
    return max(chosen, key=lambda record: record.validation or 0.0)


def _without_epochs(params):
    return {k: v for k, v in params.items() if not k.endswith("max_epochs")}


def _real_params(plain, grid):
    """Return parameters whose values may be estimators, which JSON keeps by their repr."""
    known = {
        (name, repr(to_plain(value))): value for params in grid for name, value in params.items()
    }
    return {
        name: known.get((name, repr(value)), tuple(value) if isinstance(value, list) else value)
        for name, value in plain.items()
    }
