"""compare(): every learner on every split, in parallel, with nothing lost on the way."""

import time
import warnings

import numpy as np

from metriclearn.compare._cells import CellStore, NoStore
from metriclearn.compare._curves import Curves, curve_tasks, is_whole, make_curves
from metriclearn.compare._environment import environment
from metriclearn.compare._fitting import DEFAULT
from metriclearn.compare._lineup import resolve_learners
from metriclearn.compare._many import compare_sources
from metriclearn.compare._progress import NoProgress, RichProgress
from metriclearn.compare._protocol import Task, cell_of, make_splits, run_task
from metriclearn.compare._result import ComparisonResult
from metriclearn.compare._sources._load import load_source
from metriclearn.compare._sources._rows import as_source
from metriclearn.compare._tuning._budget import make_tuning
from metriclearn.compare._workers import DaskWorkers, Processes, WorkersLostError

NO_CURVES = Curves()
ONE_PROCESS = Processes()


def compare(
    learners=None,
    X=None,
    y=None,
    *,
    datasets=None,
    name="data",
    image_shape=None,
    n_folds=5,
    tune=None,
    tune_budget=None,
    search_spaces=None,
    rows=None,
    dimensions=None,
    shift=None,
    random_state=0,
    n_jobs=None,
    client=None,
    resume=None,
    verbose=0,
    command=None,
):
    """Compare metrics on labeled rows: linear and deep, on known and on unseen classes.

    Each learner is fitted on the training part of each fold, tuned a little on
    validation data inside that part, and scored on the rest: 3-nearest-neighbor
    accuracy over stratified folds (closed set), and Recall@1, R-precision and
    MAP@R on classes never seen in training (open set; six classes or more).

    Parameters
    ----------
    learners : None, list or dict, default=None
        None for the default line-up; a list of its names and of transformers
        (estimators with ``fit`` and ``transform``), or a dict of display name
        to either. Transformers of your own are used as they are, not
        scaled, and tuned only over a search space that you give.
    X : array-like of shape (n, n_features), (n, height, width) or (n, height, width, channels)
        More than two axes are images: deep learners then use a ConvNet, linear
        ones see flattened pixels.
    y : array-like of shape (n,)
        Class labels, at least 3 rows of each.
    datasets : dict or list, default=None
        Several data sets in place of ``X`` and ``y``: a dict of name to ``(X, y)``, or a
        list of what the command takes (built-in names, ``.npz`` files, folders of
        images). Learners are then ranked over them.
    name : str, default="data"
        What the report calls the data.
    image_shape : tuple, default=None
        Shape of one image where the rows of ``X`` are flattened images.
    n_folds : int, default=5
        Folds of each protocol, at least 2.
    tune : {None, False, "grid", "random", "halving"}, default=None
        None tries the two settings or so that the line-up has for a learner, False
        takes the first of them. The others search ``SEARCH_SPACES`` with
        scikit-learn's searches: every setting (a draw of them where they are
        more than the budget), a draw, or successive halving over rows. Settings are
        judged on a validation part of the training rows: other rows for the
        closed set, other classes for the open set.
    tune_budget : int or str, default=None
        What a search may spend on each learner in each fold: a number of fits
        (20 by default; of halving, fits on part of the rows count in part), or
        seconds, as in ``"90s"``. The numbers then depend on the machine.
    search_spaces : dict of str to dict, default=None
        Learner to (parameter to list of values or scipy distribution), in place
        of the learner's own search space.
    rows : list of int, default=None
        Learning curves: every learner once more on so many rows of each training
        part, which are the gallery of the closed set as well.
    dimensions : list of int, default=None
        Curves over the dimension of the learned space, e.g. ``[64, 128, 512]``; learners
        that cannot choose it are followed by PCA. Linear ones have no more than
        the rows have features.
    shift : int, default=None
        A curve over so many class-disjoint splits of growing Fréchet distance
        between train and test classes, from easy to hard (seven classes or more).
    random_state : int, default=0
        Seed of all splits and learners.
    n_jobs : int, default=None
        Processes; None means 1, -1 all cores. The numbers do not depend on it.
    client : dask.distributed.Client, default=None
        Run the fits on this Dask cluster instead; the numbers are the same. Give its
        workers one thread each: a process runs one fit at a time.
    resume : str or path, default=None
        A folder in which every finished fit is kept. A comparison that was killed
        goes on from there; fits of other data, learners or settings are not
        taken for its own.
    verbose : int, default=0
        1 shows a progress bar.
    command : str, default=None
        What reproduces the result, for the report.

    Returns
    -------
    ComparisonResult
        With ``to_frame()``, ``plot()``, ``to_html(path)`` and ``to_json(path)``.
        A learner that failed is a row that says why. After an interrupt it
        holds what was finished, and ``interrupted`` says so.
        With ``datasets`` a ``RankedComparison``: mean ranks, Friedman test, critical
        difference, and one ``ComparisonResult`` for each data set in ``comparisons``.

    Raises
    ------
    ValueError
        If the data or the learners cannot be compared; before any work.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from metriclearn.compare import compare
    >>> result = compare(["euclidean", "mahalanobis"], *load_wine(return_X_y=True))
    >>> result.to_frame()[["learner", "accuracy"]].round(2)
           learner  accuracy
    0  Mahalanobis      0.91
    1    Euclidean      0.67
    """
    learners = resolve_learners(learners, search_spaces)
    tuning = make_tuning(tune, tune_budget, search_spaces)
    curves = make_curves(rows, dimensions, shift)
    workers = make_workers(n_jobs, client)

    def compare_one(source):
        return compare_source(
            learners,
            source,
            n_folds=n_folds,
            tuning=tuning,
            curves=curves,
            random_state=random_state,
            workers=workers,
            resume=resume,
            verbose=verbose,
            command=command or f"metriclearn.compare.compare(..., random_state={random_state})",
        )

    if datasets is not None:
        if X is not None or y is not None:
            raise ValueError("datasets and X, y are two answers to one question; give one")
        return compare_sources(compare_one, _sources_of(datasets))
    if X is None or y is None:
        raise ValueError("X and y are both needed: compare(learners, X, y)")
    return compare_one(as_source(X, y, name=name, image_shape=image_shape))


def _sources_of(datasets):
    if hasattr(datasets, "items"):
        sources = [_source_of(name, pair) for name, pair in datasets.items()]
    elif isinstance(datasets, str) or not hasattr(datasets, "__iter__"):
        raise ValueError(f"datasets must be a dict of name to (X, y) or a list, got {datasets!r}")
    else:
        sources = [load_source(dataset) for dataset in datasets]
    if len(sources) < 2:
        raise ValueError(f"datasets has {len(sources)}; ranks need at least 2")
    return sources


def _source_of(name, pair):
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise ValueError(f"datasets[{name!r}] must be a pair (X, y)")
    return as_source(*pair, name=str(name), target_name=f"datasets[{name!r}]: y")


def compare_source(
    learners,
    source,
    *,
    n_folds=5,
    tuning=DEFAULT,
    curves=NO_CURVES,
    random_state=0,
    workers=ONE_PROCESS,
    resume=None,
    verbose=0,
    command="",
):
    """``compare`` on what ``resolve_learners`` and ``load_source`` return."""
    if not is_whole(random_state) or not 0 <= random_state < 2**32:
        raise ValueError(
            f"random_state={random_state!r} must be a whole number from 0 to 2**32 - 1: it seeds "
            f"every split and learner"
        )
    if not is_whole(n_folds):
        raise ValueError(f"n_folds={n_folds!r} must be a whole number, at least 2")
    if n_folds < 2:
        raise ValueError(f"n_folds={n_folds} is too few: 2 are needed to tell signal from noise")
    class_names, codes = np.unique(source.y, return_inverse=True)
    splits, protocol_notes = make_splits(codes, n_folds, random_state)
    tasks = [
        Task(learner, split, random_state, tuning, split.fold == 0, source.image_shape)
        # Fold by fold, the slow learners of a fold first: an interrupt leaves
        # whole folds behind, and no long task is left for the end.
        for split in sorted(splits, key=lambda split: split.fold)
        for learner in sorted(learners, key=lambda learner: -learner.cost)
    ]
    more_tasks, axes = curve_tasks(curves, tasks, source.X, codes)
    tasks += more_tasks
    start = time.time()
    store = NoStore() if resume is None else CellStore(resume, learners, source.X, codes)
    kept = {i: record for i, task in enumerate(tasks) if (record := store.load(task))}
    left = [task for i, task in enumerate(tasks) if i not in kept]
    bar = NoProgress()
    if verbose:
        bar = RichProgress(left, len(workers), n_before=len(kept))
    with bar:
        records, interrupted = _run_all(left, source.X, codes, workers, bar, store)
    records += kept.values()
    if interrupted and not records:
        raise KeyboardInterrupt
    records.sort(key=lambda r: (r["protocol"], r["fold"], r["learner"], r["place"] or 0))
    result = ComparisonResult(
        learners=[{"key": r.key, "name": r.name, "family": r.family} for r in learners],
        records=[record for record in records if record["axis"] is None],
        curve_records=[record for record in records if record["axis"] is not None],
        data={
            "name": source.name,
            "kind": source.kind,
            "n_rows": len(source.X),
            "n_features": source.X.shape[1],
            "n_classes": len(class_names),
            "class_names": [str(label) for label in class_names],
            "feature_names": source.feature_names,
            "image_shape": source.image_shape and list(source.image_shape),
            "notes": [*source.notes, *([store.failure] if store.failure else [])],
        },
        run={
            "command": command,
            "seed": random_state,
            "n_folds": n_folds,
            "tuning": tuning.to_dict(),
            "n_tasks": len(tasks),
            "n_resumed": len(kept),
            "protocols": sorted({split.protocol for split in splits}),
            "axes": axes,
            "protocol_notes": protocol_notes,
            "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(start)),
            "seconds": time.time() - start,
            "n_jobs": len(workers),
            **environment(),
        },
        interrupted=interrupted,
    )
    if interrupted:
        warnings.warn(
            f"{interrupted}: {len(records)} of {len(tasks)} fits were finished and are kept",
            UserWarning,
            stacklevel=3,
        )
    return result


def make_workers(n_jobs=None, client=None):
    """Choose where the fits are run.

    Parameters
    ----------
    n_jobs : int, default=None
    client : dask.distributed.Client, default=None

    Raises
    ------
    ValueError
        If both are given, or the client cannot be used.
    """
    if client is None:
        return Processes(n_jobs)
    if n_jobs is not None:
        raise ValueError(f"n_jobs={n_jobs} and client are two answers to one question; give one")
    return DaskWorkers(client)


def _run_all(tasks, X, codes, workers, bar, store):
    """Run the tasks; return the finished records and what stopped the rest, if anything."""
    records = []
    by_cell = {task.cell: task for task in tasks}
    finished = workers.run(run_task, tasks, X, codes, bar)
    try:
        for record in finished:
            store.save(by_cell[cell_of(record)], record)
            records.append(record)
            bar.finished(record)
    except KeyboardInterrupt:
        return records, "interrupted"
    except WorkersLostError as error:
        return records, f"a worker process died, perhaps for want of memory ({error})"
    finally:
        finished.close()
    return records, None
