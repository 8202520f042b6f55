"""ITML, LSML, SCML, SDML and MMC beside metric-learn on the same constraints of digits.

    OMP_NUM_THREADS=1 python benchmarks/constraint_solvers.py peers
    OMP_NUM_THREADS=1 python benchmarks/constraint_solvers.py certificate

``peers``: 1,257 standardized rows of 64 features. Both packages get the same pairs,
bounds, quadruplets, triplets, bases and prior, drawn before the clock starts, and one
function of this file evaluates both results. CPU seconds, the median of five where
that is under a second, and the MB that a fit adds to the peak of its own process.
metric-learn is on its defaults but for what makes the problem the same, so that ITML
has gamma=1; its SDML, which fails on digits with its defaults, gets a balance for
which the problem is bounded. The last two columns stop at a tolerance
that reaches metric-learn's objective. Objectives are minimized, but MMC's: the sum of
the distances of dissimilar pairs where the squared distances of similar pairs sum to one.

``certificate``: MMC on random pairs, beside the semidefinite program by clarabel.
"""

import argparse
import functools
import multiprocessing
import resource
import time
import warnings

import numpy as np
import peers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from metriclearn import ITML, LSML, MMC, SCML, SDML
from metriclearn.constraints import (
    Pairs,
    pairs_from_labels,
    quadruplets_from_labels,
    triplets_from_labels,
)

TOLERANCES = (1, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)


def measured(fit):
    """Return the metric that ``fit`` learns, CPU seconds, and MB added to the peak of a process.

    Fits of under a second are run five times there, for the median.
    """
    receive, send = multiprocessing.Pipe(duplex=False)

    def work():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        learner, seconds = timed(fit)
        added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        if seconds < 1:
            seconds = np.median([seconds, *(timed(fit)[1] for _ in range(4))])
        send.send((learner.get_mahalanobis_matrix(), seconds, added / 1024))

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    send.close()
    result = receive.recv()
    process.join()
    return result


def timed(fit):
    start = time.process_time()
    learner = fit()
    return learner, time.process_time() - start


def log_det_divergence(M):
    return np.trace(M) - np.linalg.slogdet(M)[1] - len(M)


def squared_distances(M, X, first, second):
    V = X[first] - X[second]
    return np.einsum("ij,ij->i", V @ M, V)


# Each of these returns three functions: fit ours with limits, fit metric-learn's, and
# the objective of a matrix, the smaller the better.


def itml(X, y):
    pairs = pairs_from_labels(y, random_state=0)
    bounds = ITML(random_state=0).fit(X, constraints=pairs).bounds_
    signs, points = np.where(pairs.similar, 1, -1), X[pairs.indices]

    def objective(M):
        ratio = squared_distances(M, X, *pairs.indices.T) / np.where(pairs.similar, *bounds)
        broken = np.where(pairs.similar, ratio > 1, ratio < 1)
        return log_det_divergence(M) + np.sum((ratio - np.log(ratio) - 1)[broken])

    def ours(**limits):
        return ITML(1.0, bounds=bounds, **limits).fit(X, constraints=pairs)

    def peer():
        return peers.metric_learn().ITML(gamma=1.0).fit(points, signs, bounds=list(bounds))

    return ours, peer, objective


def lsml(X, y):
    quadruplets = quadruplets_from_labels(y, random_state=0)
    points = X[quadruplets.indices]
    i, j, k, l = quadruplets.indices.T

    def objective(M):
        near, far = squared_distances(M, X, i, j), squared_distances(M, X, k, l)
        return log_det_divergence(M) + np.mean(np.maximum(np.sqrt(near) - np.sqrt(far), 0) ** 2)

    def ours(**limits):
        return LSML(**limits).fit(X, constraints=quadruplets)

    def peer():
        return peers.metric_learn().LSML().fit(points)

    return ours, peer, objective


def scml(X, y):
    beta, triplets = 1e-5, triplets_from_labels(y, X)
    bases = SCML(max_iter=1, random_state=0).fit(X, y).bases_
    points = X[triplets.indices]
    a, p, n = triplets.indices.T

    def objective(M):
        lacking = 1 + squared_distances(M, X, a, p) - squared_distances(M, X, a, n)
        # Bases have length one where all features vary alike, as they do here.
        return np.maximum(lacking, 0).mean() + beta * np.trace(M)

    def ours(**limits):
        return SCML(beta, basis=bases, **limits).fit(X, constraints=triplets)

    def peer():
        learner = peers.metric_learn().SCML(beta=beta)
        learner.random_state, learner.preprocessor_ = 0, None
        # Its fit refuses an array of bases; what it calls does not.
        return learner._fit(points, bases, len(bases))

    return ours, peer, objective


def sdml(X, y):
    pairs = pairs_from_labels(y, random_state=0)
    inverse_prior = np.cov(X.T, bias=True) + 0.1 * np.eye(X.shape[1])
    eta = SDML(0.5, prior=np.linalg.inv(inverse_prior)).fit(X, constraints=pairs).balance_
    signs = np.where(pairs.similar, 1, -1)
    V = X[pairs.indices[:, 0]] - X[pairs.indices[:, 1]]
    n = pairs.similar.sum()
    P = inverse_prior + eta / n * (V.T * signs) @ V
    # In features scaled to P_ii = 1 the two packages have the same penalty.
    scales = np.sqrt(np.diag(P))
    X, P = X / scales, P / np.outer(scales, scales)
    prior = np.linalg.inv(inverse_prior / np.outer(scales, scales))
    points = X[pairs.indices]

    def objective(M):
        off_diagonal = np.abs(M).sum() - np.abs(np.diag(M)).sum()
        return np.sum(M * P) - np.linalg.slogdet(M)[1] + 0.01 * off_diagonal

    def ours(**limits):
        return SDML(0.5, 0.01, prior=prior, **limits).fit(X, constraints=pairs)

    def peer():
        learner = peers.metric_learn().SDML(eta / n, sparsity_param=0.01, prior=prior)
        return learner.fit(points, signs)

    return ours, peer, objective


def mmc(X, y):
    pairs = pairs_from_labels(y, random_state=0)
    signs, points = np.where(pairs.similar, 1, -1), X[pairs.indices]

    def objective(M):
        d2 = squared_distances(M, X, *pairs.indices.T)
        return -np.sum(np.sqrt(d2[~pairs.similar])) / np.sqrt(np.sum(d2[pairs.similar]))

    def ours(**limits):
        return MMC(**limits).fit(X, constraints=pairs)

    def peer():
        return peers.metric_learn().MMC(random_state=0).fit(points, signs)

    return ours, peer, objective


def beside_metric_learn():
    X, y = load_digits(return_X_y=True)
    X, _, y, _ = train_test_split(X, y, train_size=1257, stratify=y, random_state=0)
    X = StandardScaler().fit_transform(X)
    print("| | s | MB | objective | metric-learn s | MB | objective | ratio | s to it | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, problem in (
        ("ITML", itml),
        ("LSML", lsml),
        ("SCML", scml),
        ("SDML", sdml),
        ("MMC", mmc),
    ):
        ours, peer, objective = problem(X, y)
        ours()  # imports are no part of a fit
        M, seconds, megabytes = measured(ours)
        peer_M, peer_seconds, peer_megabytes = measured(peer)
        value, peer_value = objective(M), objective(peer_M)
        for tol in TOLERANCES:
            early_M, early_seconds, _ = measured(functools.partial(ours, tol=tol))
            if objective(early_M) <= peer_value:
                break
        print(
            f"| {name} | {seconds:.3f} | {megabytes:.0f} | {abs(value):.5g} "
            f"| {peer_seconds:.2f} | {peer_megabytes:.0f} | {abs(peer_value):.5g} "
            f"| {peer_seconds / seconds:.0f} | {early_seconds:.3f} "
            f"| {peer_seconds / early_seconds:.0f} |",
            flush=True,
        )


def certificate():
    """Random pairs of two kinds: similar ones short in half of the directions."""
    print("| features | pairs of each kind | s | gap | clarabel s | its objective, relative |")
    print("|---|---|---|---|---|---|")
    for d, n in ((10, 1000), (20, 1000), (50, 1000), (50, 5000), (100, 5000)):
        rng = np.random.RandomState(0)
        width = np.r_[np.ones(d - d // 2), np.full(d // 2, 0.3)]
        X = np.r_[np.zeros((1, d)), rng.randn(n, d) * width, rng.randn(n, d)]
        indices = np.column_stack([np.zeros(2 * n, int), np.arange(1, 2 * n + 1)])
        pairs = Pairs(indices, np.arange(2 * n) < n)
        learner, seconds = timed(functools.partial(MMC().fit, X, constraints=pairs))
        row = f"| {d} | {n:,} | {seconds:.3f} | {learner.duality_gap_:.0e} "
        if d > 20:
            print(f"{row}| refused | |", flush=True)
            continue
        exact, seconds = timed(functools.partial(MMC(solver="sdp").fit, X, constraints=pairs))
        relative = exact.objective_ / learner.objective_ - 1
        print(f"{row}| {seconds:.2f} | {relative:+.0e} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", choices=["peers", "certificate"])
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    peers.metric_learn()
    {"peers": beside_metric_learn, "certificate": certificate}[args.table]()


if __name__ == "__main__":
    main()
