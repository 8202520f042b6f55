"""A plan becomes a result: every learner on every split, in parallel, nothing lost on the way."""

import time
import warnings
from dataclasses import replace

import numpy as np

from metriclearn.compare._records import DataFacts, JudgmentFacts, LearnerFacts, RunFacts
from metriclearn.compare._report._photos import places_shown
from metriclearn.compare._result import ComparisonResult
from metriclearn.compare._running._anytime import Deadline, run_in_time, sampled_tests
from metriclearn.compare._running._cells import environment
from metriclearn.compare._running._protocol import run_task
from metriclearn.compare._running._workers import WorkersLostError
from metriclearn.compare._samples import sample_rows

_LOST = "a worker process died, perhaps for want of memory ({})"

# Distances between test and training rows that a baseline may take before the clock is looked at.
AT_ONCE = 10_000_000
# Seconds of a fit on a thousand rows that count as nothing.
FREE = 0.01


def run(plan, workers, store, make_bar):
    """Run a plan.

    Parameters
    ----------
    plan : Plan
        With its data.
    workers : Processes or DaskWorkers
    store : CellStore or NoStore
    make_bar : callable
        ``make_bar(tasks, n_jobs, n_before) -> bar``

    Returns
    -------
    ComparisonResult
        After an interrupt, what was finished.
    """
    schedule = plan.schedule()
    start = time.time()
    n_found = store.open(plan.learners, schedule.X, schedule.codes)
    kept = {i: record for i, task in enumerate(schedule.tasks) if (record := store.load(task))}
    left = [task for i, task in enumerate(schedule.tasks) if i not in kept]
    with warnings.catch_warnings():
        # A worker that has grown is replaced between two fits: nothing is lost or to be done.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
        if plan.seconds is None:
            with make_bar(left, len(workers), len(kept)) as bar:
                records, interrupted = _run_all(left, schedule, workers, bar, store)
        else:
            records, interrupted = _run_until(plan, left, schedule, workers, make_bar)
    records += kept.values()
    if interrupted and not records:
        raise KeyboardInterrupt
    records.sort(key=lambda r: (r.protocol, r.fold, r.learner, r.place or 0, r.repeat))
    result = ComparisonResult(
        learners=tuple(LearnerFacts(each.key, each.name, each.family) for each in plan.learners),
        records=tuple(record for record in records if record.axis is None),
        curve_records=tuple(record for record in records if record.axis is not None),
        data=_data_facts(plan.source, schedule, store),
        run=RunFacts(
            command="",
            seed=plan.seed,
            n_folds=plan.n_folds,
            tuning=plan.rules.tuning,
            effort=plan.rules.effort.name,
            time=plan.seconds,
            repeats=plan.repeats,
            measures=dict(plan.rules.measures),
            n_tasks=len(schedule.tasks),
            n_resumed=len(kept),
            n_found=n_found,
            protocols=schedule.protocols,
            protocol_notes=schedule.notes,
            axes=schedule.axes,
            started=time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(start)),
            seconds=time.time() - start,
            n_jobs=len(workers),
            **environment(),
        ),
        interrupted=interrupted,
        roster=plan.learners,
        backbone=plan.source.backbone,
    )
    samples = sample_rows(plan.source, result.records, places_shown(result))
    result = replace(result, samples=samples)
    if interrupted:
        warnings.warn(
            f"{interrupted}: {len(records)} of {len(schedule.tasks)} fits were finished and are "
            f"kept",
            UserWarning,
            stacklevel=3,
        )
    return result


def _data_facts(source, schedule, store):
    is_amount, counts, judgments = source.task == "amounts", (), None
    if source.task == "classes":
        counts = tuple(np.bincount(schedule.codes).tolist())
    if source.task == "judgments":
        n_similar = int(source.y.similar.sum()) if source.y.kind == "pairs" else None
        judgments = JudgmentFacts(source.y.kind, len(source.y), n_similar)
    return DataFacts(
        name=source.name,
        kind=source.kind,
        n_rows=len(source.X),
        n_features=source.X.shape[1],
        class_counts=counts,
        judgments=judgments,
        amounts=tuple(np.quantile(source.y, (0, 0.25, 0.5, 0.75, 1)).tolist()) if is_amount else (),
        n_classes=len(schedule.class_names),
        class_names=schedule.class_names,
        feature_names=source.feature_names and tuple(source.feature_names),
        image_shape=source.image_shape and tuple(source.image_shape),
        notes=(*source.notes, *((store.failure,) if store.failure else ())),
        findings=source.findings,
        columns=source.columns,
        is_read=hasattr(source.X, "iloc")
        or bool(source.left_out)
        or any(note.text for note in source.columns),
    )


def _run_all(tasks, schedule, workers, bar, store):
    """Run the tasks; return the finished records and what stopped the rest, if anything."""
    records = []
    by_cell = {task.cell: task for task in tasks}
    finished = workers.run(run_task, tasks, schedule.X, schedule.codes, bar, together=True)
    try:
        for record in finished:
            store.save(by_cell[record.cell], record)
            records.append(record)
            bar.finished(record)
    except KeyboardInterrupt:
        return records, "interrupted"
    except WorkersLostError as error:
        return records, _LOST.format(error)
    finally:
        finished.close()
    return records, None


def _run_until(plan, tasks, schedule, workers, make_bar):
    """Run what there is time for; return the records and what stopped the rest, if anything."""
    start, records = time.monotonic(), {}
    tasks = [sampled_tests(task, _draw_of) for task in tasks]
    n_rows = max(len(task.split.train) for task in tasks)
    # One fold of what is free, here and at once: processes may take longer to start than there is.
    for task in filter(_is_at_once, tasks):
        try:
            records[task.cell] = run_task(task, schedule.X, schedule.codes)
        except KeyboardInterrupt:
            return [*records.values()], "interrupted"
    tasks = [task for task in tasks if task.cell not in records]

    def run_stage(stage):
        with make_bar(stage, len(workers)) as bar:
            finished = workers.run(run_task, stage, schedule.X, schedule.codes, bar)
            try:
                for record in finished:
                    bar.finished(record)
                    yield record
            finally:
                finished.close()

    deadline = Deadline(max(0.0, plan.seconds - (time.monotonic() - start)))
    try:
        with deadline:
            stages = run_in_time(tasks, n_rows, run_stage, len(workers), deadline)
            try:
                for record in stages:
                    records[record.cell] = record
            finally:
                stages.close()
    except KeyboardInterrupt:
        if not deadline.is_over:
            return [*records.values()], "interrupted"
    except WorkersLostError as error:
        return [*records.values()], _LOST.format(error)
    return [*records.values()], None


def _is_at_once(task):
    """Whether a task is the first fold of a free learner, and takes next to nothing."""
    split, learner = task.split, task.learner
    is_free = learner.family in ("reference", "baseline") and learner.cost <= FREE
    is_small = len(split.train) * len(split.test) <= AT_ONCE
    return is_free and is_small and split.fold == task.repeat == 0


def _draw_of(split):
    return np.random.RandomState(split.fold)
