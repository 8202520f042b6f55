"""``compare``: from what a caller gives to a plan, and from the plan to a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._text import option
from metriclearn._types import FilePath
from metriclearn._validation import as_count
from metriclearn.compare._arguments import check_choices, check_folder, check_name
from metriclearn.compare._judged._data import judged_source
from metriclearn.compare._learners._fine_tuned import FineTuning, is_fine_tuned
from metriclearn.compare._plan import Plan
from metriclearn.compare._ranking import RankedComparison
from metriclearn.compare._run import run
from metriclearn.compare._running._cells import CellStore, NoStore
from metriclearn.compare._running._progress import NoProgress, make_progress
from metriclearn.compare._running._workers import make_workers
from metriclearn.compare._sources._load import load_source
from metriclearn.compare._sources._photos import read_photos
from metriclearn.compare._sources._rows import as_source
from metriclearn.compare._sources._target import split_off
from metriclearn.compare._tables._labels import check_read
from metriclearn.images._paths import as_paths

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from metriclearn.compare._result import ComparisonResult
    from metriclearn.constraints import Pairs, Triplets


def compare(
    X: ArrayLike | pd.DataFrame | None = None,
    y: ArrayLike | None = None,
    *,
    learners: str | list[Any] | dict[str, Any] | None = None,
    groups: ArrayLike | None = None,
    split: ArrayLike | str | None = None,
    task: str | None = None,
    constraints: Pairs | Triplets | None = None,
    datasets: dict[str, Any] | list[Any] | None = None,
    name: str | None = None,
    image_shape: tuple[Any, ...] | None = None,
    drop: list[str] | str = (),
    keep: list[str] | str = (),
    min_rows: int | None = None,
    n_folds: int = 5,
    tune: str | None = None,
    tune_budget: int | str | None = None,
    search_spaces: dict[str, dict[str, Any]] | None = None,
    rows: list[int] | None = None,
    dimensions: list[int] | None = None,
    shift: int | None = None,
    effort: str | None = None,
    time: float | str | None = None,
    seeds: int = 1,
    repeats: int = 1,
    random_state: int = 0,
    n_jobs: int | None = None,
    client: Any = None,
    resume: FilePath | None = None,
    features: str | nn.Module | Callable[..., Any] | bool | None = None,
    finetune: bool | dict[str, Any] = False,
    verbose: int = 0,
) -> ComparisonResult | RankedComparison:
    """Compare metrics on labeled rows: linear and deep, on known and on unseen classes.

    Each learner is fitted on the training part of each fold, tuned a little on
    validation data inside that part, and scored on the rest: accuracy of the nearest
    neighbors over stratified folds (closed set; how many neighbors is tuned, too), and
    Recall@1, R-precision and MAP@R on classes never seen in training (open set; six classes
    or more). The learners form a ladder, from guessing and the distances that cost nothing to
    networks; the result says from which rung on climbing is no longer worth it.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n, n_features), image array, str or path
        More than two axes, (n, height, width) or (n, height, width, channels), are images:
        deep learners then use a ConvNet, linear ones see flattened pixels. A str or path is
        what the command takes: a built-in name, a file or a folder of images. Columns may hold
        what tables hold: categories, text, dates, numbers as text, gaps. They are made numbers
        inside each training part. The data are looked at first: ``result.findings``.
    y : array-like of shape (n,) or str
        Class labels; or the name of their column in ``X``. Rows without a label are left out.
    learners : str, list or dict, default=None
        None for the default ones; ``"all"``, ``"linear"``, ``"deep"``, a name, a path
        ``package.module:Class`` or several of these separated by commas; a list of names and
        of transformers (estimators with ``fit`` and ``transform``), or a dict of display name
        to either, or such pairs. Transformers of your own are used as they are, not scaled, and
        tuned only over a search space that you give. Their family is that of their last step: a
        :class:`~metriclearn.deep.DeepEmbedder` is deep, a learner of
        :mod:`metriclearn.mahalanobis` linear.
    groups : array-like of shape (n,) or str, default=None
        What each row is a measurement of (a person, a machine), or the name of that column of
        ``X``: rows of one group are never on both sides of a split.
    split : array-like of shape (n,) or str, default=None
        A split of your own, or the name of that column of ``X``: "train" and "test" of each row,
        or "query" and "gallery" with or without "train". It is the one fold there is, of known
        classes, of unseen ones or of both, as the labels say; one fold gives no verdict. Of
        photos ``"split"`` takes what their list or their folders say.
    task : {"classes", "amounts"}, default=None
        What ``y`` holds. Amounts (prices, ages, yields) are predicted by the mean of the nearest
        neighbors, scored by R² and the median absolute error, and learned from by MLKR and the
        losses of amounts. By default numbers of which most are there once or twice are amounts; a
        finding says so.
    constraints : Pairs or Triplets, default=None
        What was judged about the rows of ``X``, numbered by them, in place of ``y``: which two
        are similar, or which of two is nearer to a third. A metric is scored by its agreement
        with judgments that were held out: new ones of known items (closed set), and those of
        items that nothing was trained on (open set). ``groups`` are then of the items.
    datasets : dict or list, default=None
        Several data sets in place of ``X`` and ``y``: a dict of name to ``(X, y)``, or a
        list of what ``X`` may be as a str, each alone or in a pair with the name of its
        label column. Learners are then ranked over them.
    name : str, default=None
        What the report calls the data; by default what a file is called, or "data".
    image_shape : tuple, default=None
        Shape of one image where the rows of ``X`` are flattened images.
    drop, keep : list of str or str, default=()
        Columns to leave out, and columns to keep that would be left out (row numbers, ids, empty
        columns).
    min_rows : int, default=None
        Classes with fewer rows are searched, but not tested on; 5 by default, 3 where most rows
        are of small classes.
    n_folds : int, default=5
        Folds of each protocol, at least 2.
    tune : {None, False, "grid", "random", "halving"}, default=None
        None tries the two settings or so that the roster has for a learner, False
        takes the first of them. The others search a space of settings with
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
        Learning curves: every learner once more on this many rows of each training
        part, which are the gallery of the closed set as well.
    dimensions : list of int, default=None
        Curves over the dimension of the learned space, e.g. ``[64, 128, 512]``; learners
        that cannot choose it are followed by PCA. Linear ones have no more than
        the rows have features.
    shift : int, default=None
        A curve over this many class-disjoint splits of growing Fréchet distance
        between train and test classes, from easy to hard (seven classes or more).
    effort : {"quick", "normal", "thorough"}, default=None
        What may be spent on each learner ("normal" by default, "quick" with ``time``): how many
        settings are tried, and how long a network is trained while validation rows get better.
        A learner that it cut short is named in the verdict.
    time : float or str, default=None
        Seconds (or ``"90s"``, ``"10m"``, ``"1h"``) within which the whole run ends. The free
        baselines come first; the others start on few rows of one fold, and the time goes to those
        that can still win by validation. Who was still rising when the time was up is said. The
        numbers then depend on the machine.
    seeds : int, default=1
        How many times each fold is run, with other weights and batches, at most 1000; its score
        is their mean.
    repeats : int, default=1
        How many times the folds are drawn, at most 1000: more of them tell smaller leads.
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
    features : str, torch.nn.Module, callable or True, default=None
        Of photos: the backbone of :class:`~metriclearn.images.Features` that makes vectors of
        them, once, kept in its cache. True says that the rows of ``X`` are such vectors already.
        They are compared by their cosine first, and are not standardized; ``learners`` are then
        those that make sense on them.
    finetune : bool or dict, default=False
        Of photos with ``features``: train their network further, too, under two losses
        (Proxy-Anchor, multi-similarity), each a row of the comparison. A dict sets some of ``lr``,
        ``backbone_lr``, ``warmup_epochs``, ``freeze_batch_norm``, ``n_components``,
        ``batch_size``, ``optimizer``, ``augment``, ``precision``, ``image_size``, ``max_epochs``;
        the notes of the result say what was used. ``learners`` that name
        ``finetune_proxy_anchor`` or ``finetune_multi_similarity`` ask for these alone.
    verbose : int, default=0
        1 shows progress: a bar on a terminal, a line in a notebook, in a log a line for each fit.

    Returns
    -------
    ComparisonResult or RankedComparison
        With ``to_frame()``, ``plot()``, ``show()``, ``to_html(path)`` and ``to_json(path)``.
        A learner that failed is a row that says why. After an interrupt it
        holds what was finished, and ``interrupted`` says so.
        With ``datasets`` a ``RankedComparison``: mean ranks, Friedman test, critical
        difference, and one ``ComparisonResult`` for each data set in ``comparisons``.

    Raises
    ------
    ValueError
        If the data or the learners cannot be compared; before any work.

    See Also
    --------
    metriclearn.metrics.retrieve : The measures, for an embedding of your own.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from metriclearn.compare import compare
    >>> X, y = load_wine(return_X_y=True)
    >>> result = compare(X, y, learners=["euclidean", "standardized", "lda"])
    >>> result.to_frame()[["learner", "accuracy"]].round(2)
                      learner  accuracy
    0                     LDA      0.99
    1  Standardized Euclidean      0.96
    2               Euclidean      0.68
    >>> result.answer("learning").answer
    'not clearly'
    """
    as_count(int(verbose) if isinstance(verbose, bool) else verbose, "verbose", least=0)
    if min_rows is not None:
        min_rows = as_count(min_rows, "min_rows")
    if name is not None:
        name = check_name(name)
    drop, keep = check_choices(drop=drop, keep=keep, groups=groups, split=split)
    if learners is None and features is not None:
        learners = "features"
    plan = Plan.make(
        learners=learners,
        n_folds=n_folds,
        tune=tune,
        tune_budget=tune_budget,
        search_spaces=search_spaces,
        rows=rows,
        dimensions=dimensions,
        shift=shift,
        effort=effort,
        time=time,
        seeds=seeds,
        repeats=repeats,
        random_state=random_state,
    )
    if time is not None and resume is not None:
        raise ValueError("resume keeps whole fits, and time cuts fits short; give one of them")
    tuned = None
    if finetune is None or finetune is False:
        finetune = any(map(is_fine_tuned, plan.learners))  # by name
    if finetune is not False:
        tuned = FineTuning.make(features, finetune)
    workers = make_workers(n_jobs, client)
    store = NoStore() if resume is None else CellStore(check_folder(resume))
    make_bar = make_progress if verbose else NoProgress
    choices = {"drop": drop, "keep": keep, "groups": groups, "split": split, "task": task}
    choices |= {"image_shape": image_shape, "features": features}
    if datasets is None:
        choices |= {"min_rows": min_rows, "verbose": verbose}
        if constraints is None:
            source = _source_of(X, y, **choices)
        else:
            source = _judged_source_of(X, y, constraints, finetune=tuned, **choices)
        if name is not None:
            source = replace(source, name=name)
        if tuned is not None:
            plan, source = _with_fine_tuning(plan, source, tuned)
        results = [run(plan.on(source), workers, store, make_bar)]
    else:
        if X is not None or y is not None:
            raise ValueError("datasets and X, y are two answers to one question; give one")
        choices |= {"name": name, "constraints": constraints}
        if given := _given(choices):
            raise ValueError(
                f"datasets: {', '.join(given)} can be given for one data set only, with X and y"
            )
        results = _run_each(plan, _sources_of(datasets, min_rows), workers, store, make_bar)
    command = f"metriclearn.compare.compare(..., random_state={random_state})"
    result = results[0] if datasets is None else RankedComparison(tuple(results))
    return result.with_command(command)


def _with_fine_tuning(plan, source, tuned):
    """Let the network that made the features of photos take part, trained further."""
    if not hasattr(source.X, "files"):
        raise ValueError(
            f"finetune: {source.name} holds no photos, whose features a network could be trained to"
            f" make better"
        )
    if source.task == "amounts":
        raise ValueError(
            f"finetune: networks are trained to tell classes apart, and the labels of {source.name}"
            f" are amounts; give {option('task', 'classes')}, or leave finetune out"
        )
    plan = replace(plan, learners=tuned.join(plan.learners))
    return plan, replace(source, notes=(*source.notes, tuned.note))


def _run_each(plan, sources, workers, store, make_bar):
    """Run a plan on each source; an interrupt keeps what is finished."""
    results = []
    for source in sources:
        try:
            results.append(run(plan.on(source), workers, store, make_bar))
        except KeyboardInterrupt:
            if not results:
                raise
            results[-1] = results[-1].stopped(f"interrupted before {source.name}")
        if results[-1].interrupted:
            break
    return results


def _source_of(
    X, y, *, name="data", image_shape=None, target_name="y", features=None, verbose=0, **choices
):
    check_read(X, "X")
    if isinstance(X, str | PathLike):
        choices |= {"image_shape": image_shape, "features": features, "verbose": verbose}
        return load_source(X, y, **choices)
    if (images := _photos_of(X, y)) is not None:
        of_rows = {"image_shape": image_shape}
        of_rows |= {each: choices.get(each) for each in ("groups", "drop", "keep")}
        if given := _given(of_rows):
            raise ValueError(f"{', '.join(given)} cannot be given with image files; leave out")
        choices = {each: choices.get(each) for each in ("split", "min_rows", "task")}
        return read_photos(images, name, features=features, verbose=verbose, **choices)
    if features is not None and features is not True:
        raise ValueError(
            f"features={features!r}: X holds no photos; give features=True to say that its rows "
            f"are vectors that a network made"
        )
    choices["is_embedding"] = features is True
    if isinstance(y, str) and hasattr(X, "columns"):
        target_name, choices["target"] = f"column {y!r}", y
        X, y = split_off(X, y)
    if X is None or y is None:
        raise ValueError("X and y are both needed: compare(X, y)")
    return as_source(X, y, name=name, image_shape=image_shape, target_name=target_name, **choices)


def _judged_source_of(X, y, constraints, *, finetune, image_shape, **choices):
    """Read items with judgments; nothing that is of labels goes with them."""
    of_labels = {"y": y, "finetune": finetune}
    of_labels |= {each: choices[each] for each in ("split", "task", "min_rows")}
    if given := [each for each, value in of_labels.items() if value is not None]:
        raise ValueError(f"constraints take the place of labels; leave {', '.join(given)} out")
    if choices["features"] is not None and choices["features"] is not True:
        raise ValueError(
            "features: give True where the rows of X are vectors that a network made; photos "
            "become such by metriclearn.images.Features"
        )
    if X is None:
        raise ValueError("X is needed: compare(X, constraints=pairs)")
    return judged_source(
        X,
        constraints,
        image_shape=image_shape,
        is_embedding=choices["features"] is True,
        **{each: choices[each] for each in ("groups", "drop", "keep")},
    )


def _given(arguments):
    """Return the names of those that hold something."""
    return [
        name
        for name, value in arguments.items()
        if value is not None and not (isinstance(value, list) and not value)
    ]


def _photos_of(X, y):
    """Return image files with labels; None where X is something else."""
    images = as_paths(X)
    if images is None or images.ndim != 1:
        return None
    labels = images.labels if y is None else np.asarray(y)
    if labels is None:
        raise ValueError("X and y are both needed: compare(X, y)")
    if labels.shape != images.shape:
        raise ValueError(f"y must be of shape {images.shape}, as X is, got {labels.shape}")
    images = images[:]
    images.labels = labels
    return images


def _sources_of(datasets, min_rows=None):
    if hasattr(datasets, "items"):
        sources = [_source_from_pair(name, pair, min_rows) for name, pair in datasets.items()]
    elif isinstance(datasets, str) or not hasattr(datasets, "__iter__"):
        raise ValueError(f"datasets must be a dict of name to (X, y) or a list, got {datasets!r}")
    else:
        pairs = [each if isinstance(each, tuple) else (each, None) for each in datasets]
        for pair in pairs:
            if len(pair) != 2 or not isinstance(pair[0], str | PathLike):
                raise ValueError(
                    f"datasets holds {pair!r:.60}; a list has names and paths, each alone or in a "
                    f"pair with its label column; a dict has names of arrays (X, y)"
                )
        sources = [load_source(source, target, min_rows=min_rows) for source, target in pairs]
    if len(sources) < 2:
        raise ValueError(f"datasets has {len(sources)}; ranks need at least 2")
    if of_amounts := [source.name for source in sources if source.task == "amounts"]:
        raise ValueError(
            f"datasets: the target of {', '.join(of_amounts)} holds amounts; learners are ranked "
            f"over data sets of classes"
        )
    names = [source.name for source in sources]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ValueError(f"datasets has {double!r} twice; give each its own name")
    return sources


def _source_from_pair(name, pair, min_rows):
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise ValueError(f"datasets[{name!r}] must be a pair (X, y)")
    try:
        return _source_of(*pair, name=str(name), min_rows=min_rows)
    except ValueError as error:
        raise ValueError(f"datasets[{name!r}]: {error}") from None
