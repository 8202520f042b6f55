"""What share of a comparison's CPU is spent on measuring, and what on fits, pictures and the rest.

    OMP_NUM_THREADS=1 python benchmarks/compare_cost.py SOURCE [--effort normal] [--learners A,B]

One fold of each protocol, in this process. Measuring is all that scores a fitted learner: on
validation rows, to choose its settings, and on test rows.
"""

import argparse
import time
from collections import Counter
from unittest.mock import patch

from metriclearn.compare._plan import Plan
from metriclearn.compare._running import _protocol
from metriclearn.compare._sources._load import load_source
from metriclearn.compare._tuning import _search

PARTS = {
    "judging": (_search, "judge"),
    "fits to judge": (_search, "fit_capped"),
    "testing": (_protocol, "measure"),
    "classes": (_protocol, "tell_classes"),
    "growth": (_protocol, "growth_of"),
    "pictures": (_protocol, "find_rows"),
}


def timed(function, name, spent):
    """Return a function that adds its CPU seconds to what was spent under a name."""

    def run(*args, **kwargs):
        start = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            spent[name] += time.process_time() - start

    return run


def main():
    """Run one fold of each protocol, and print a row for each learner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--effort", default="normal")
    parser.add_argument("--learners", default="default")
    options = parser.parse_args()
    plan = Plan.make(learners=options.learners, effort=options.effort)
    schedule = plan.on(load_source(options.source)).schedule()
    total = Counter()
    print(f"| learner | set | score | CPU s | {' | '.join(PARTS)} |")
    print("|---" * (4 + len(PARTS)) + "|")
    for task in schedule.tasks:
        if task.split.fold:
            continue
        spent = Counter()
        patches = [
            patch.object(room, name, timed(getattr(room, name), part, spent))
            for part, (room, name) in PARTS.items()
        ]
        for each in patches:
            each.start()
        start = time.process_time()
        record = _protocol.run_task(task, schedule.X, schedule.codes)
        spent["all"] = time.process_time() - start
        for each in patches:
            each.stop()
        total += spent
        score = record.error or f"{100 * next(iter(record.scores.values())):.1f}"
        seconds = " | ".join(f"{spent[part]:.1f}" for part in PARTS)
        print(
            f"| {task.learner.name} | {task.split.protocol} | {score} | {spent['all']:.1f} | "
            f"{seconds} |",
            flush=True,
        )
    measuring = sum(total[part] for part in PARTS if part != "fits to judge")
    print(
        f"\nmeasuring {measuring:.1f} of {total['all']:.1f} CPU s: {measuring / total['all']:.1%}"
    )


if __name__ == "__main__":
    main()
