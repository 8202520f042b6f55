"""Rows by the million, columns by the ten thousand, classes by the ten thousand.

``python benchmarks/scale.py rows|columns|classes``: CPU seconds (medians of three, one
process, one thread) and peak memory by tracemalloc. Ratios: to the bare product ``XᵀX`` of
the same rows; to the same learner fitted to the rotated rows plus one eigendecomposition of
their Gram matrix.
"""

import argparse
import time
import tracemalloc
import warnings

import numpy as np
from scipy import linalg
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from metriclearn import (
    GMML,
    ITML,
    LFDA,
    LMNN,
    LSML,
    MCML,
    MLKR,
    MMC,
    NCA,
    POLA,
    RCA,
    SDML,
    Covariance,
    MahalanobisLearner,
)
from metriclearn.constraints import pairs_from_labels

SEEDED = {"random_state": 0}


def cpu_seconds(call, repeats=3):
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = call()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds)), result


def peak_bytes(call):
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def rows():
    """Measure a million rows of fifty features against the bare scatter."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 1_000_000)
    X = rng.standard_normal((1_000_000, 50))
    X[:, 0] += y
    bare, _ = cpu_seconds(lambda: X.T @ X)
    print(f"bare scatter {bare:.3f} s")
    for learner in (Covariance(), RCA(), GMML(), ITML(**SEEDED), SDML(**SEEDED)):
        seconds, _ = cpu_seconds(lambda learner=learner: clone(learner).fit(X, y))
        peak = peak_bytes(lambda learner=learner: clone(learner).fit(X, y))
        name = type(learner).__name__
        print(f"{name:12s} {seconds:.2f} s, {seconds / bare:.1f} x, {peak / 2**20:.0f} MB")


def columns():
    """Measure two hundred rows of ten thousand features against the rotated rows."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 50)
    F = rng.standard_normal((200, 20))
    F[np.arange(200), y] += 2
    X = F @ rng.standard_normal((20, 10_000)) / 2 + rng.standard_normal((200, 10_000))

    def rotated():
        centered = X - X.mean(axis=0)
        values, vectors = linalg.eigh(centered @ centered.T)
        return vectors[:, 1:] * np.sqrt(values[1:])

    gram, Z = cpu_seconds(rotated)
    axes, centered = rng.standard_normal((199, 200)), X - X.mean(axis=0)
    back, _ = cpu_seconds(lambda: axes @ centered)
    print(f"Gram eigendecomposition {gram:.3f} s, product back to the features {back:.3f} s")
    learners = (
        Covariance(),
        RCA(),
        LFDA(),
        POLA(**SEEDED),
        NCA(),
        MLKR(),
        MCML(),
        LSML(**SEEDED),
        ITML(**SEEDED),
        GMML(),
        MMC(**SEEDED),
        LMNN(),
        MahalanobisLearner(**SEEDED),
    )
    for learner in learners:
        target = F[:, 0] if isinstance(learner, MLKR) else y
        narrow, other = cpu_seconds(lambda a=learner, t=target: clone(a).fit(Z, t))
        wide, found = cpu_seconds(lambda a=learner, t=target: clone(a).fit(X, t))
        peak = peak_bytes(lambda a=learner, t=target: clone(a).fit(X, t))
        d, e = found.pairwise_distances(X), other.pairwise_distances(Z)
        difference = np.linalg.norm(d - e) / np.linalg.norm(e)
        print(
            f"{type(learner).__name__:20s} {wide:.3f} s, rotated {narrow:.3f} s, ratio "
            f"{wide / (narrow + gram):.2f} (product alone {1 + back / (narrow + gram):.2f}), "
            f"distances {difference:.0e}, "
            f"peak {peak / X.nbytes:.1f} copies of X"
        )


def classes():
    """Measure fifty thousand rows of ten thousand classes."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(10_000), 5))
    X = rng.standard_normal((10_000, 64))[y] + rng.standard_normal((50_000, 64))
    calls = {"pairs_from_labels": lambda: pairs_from_labels(y, **SEEDED)}
    for learner in (ITML, LSML, SDML, POLA, MahalanobisLearner):
        calls[learner.__name__] = lambda learner=learner: learner(**SEEDED).fit(X, y)
    for name, call in calls.items():
        seconds, _ = cpu_seconds(call)
        print(f"{name:20s} {seconds:.2f} s, {peak_bytes(call) / 2**20:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["rows", "columns", "classes"])
    warnings.simplefilter("ignore", ConvergenceWarning)
    {"rows": rows, "columns": columns, "classes": classes}[parser.parse_args().what]()
