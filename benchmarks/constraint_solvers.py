"""ITML, LSML and SCML beside metric-learn on the same constraints of digits.

    OMP_NUM_THREADS=1 python benchmarks/constraint_solvers.py

1,257 standardised rows of 64 features. Both packages get the same pairs, bounds,
quadruplets, triplets and bases, and one function of this package evaluates both
results. CPU seconds of one process; metric-learn on its defaults, so that ITML has
gamma=1. LSML is compared on its own objective with weights that sum to one;
metric-learn's gradient leaves the weights out. The last two columns stop as soon as
the objective is as good as metric-learn's.
"""

import argparse
import time
import warnings

import numpy as np
import peers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from metriclearn import ITML, LSML, SCML
from metriclearn.constraints import (
    pairs_from_labels,
    quadruplets_from_labels,
    triplets_from_labels,
)


def timed(fit):
    start = time.process_time()
    result = fit()
    return result, time.process_time() - start


def log_det_divergence(M):
    return np.trace(M) - np.linalg.slogdet(M)[1] - len(M)


def squared_distances(M, X, first, second):
    V = X[first] - X[second]
    return np.einsum("ij,ij->i", V @ M, V)


def itml(X, y, max_iter, **limits):
    pairs = pairs_from_labels(y, random_state=0)
    ours, seconds = timed(lambda: ITML(1.0, random_state=0, **limits).fit(X, constraints=pairs))
    signs = np.where(pairs.similar, 1, -1)
    peer = peers.metric_learn().ITML(gamma=1.0, max_iter=max_iter)
    points = X[pairs.indices]
    _, peer_seconds = timed(lambda: peer.fit(points, signs, bounds=list(ours.bounds_)))

    def objective(M):
        ratio = squared_distances(M, X, *pairs.indices.T) / np.where(pairs.similar, *ours.bounds_)
        broken = np.where(pairs.similar, ratio > 1, ratio < 1)
        return log_det_divergence(M) + np.sum((ratio - np.log(ratio) - 1)[broken])

    return ours, seconds, peer, peer_seconds, objective


def lsml(X, y, max_iter, **limits):
    quadruplets = quadruplets_from_labels(y, random_state=0)
    ours, seconds = timed(lambda: LSML(**limits).fit(X, constraints=quadruplets))
    peer = peers.metric_learn().LSML(max_iter=max_iter)
    points = X[quadruplets.indices]
    _, peer_seconds = timed(lambda: peer.fit(points))
    i, j, k, l = quadruplets.indices.T

    def objective(M):
        near, far = squared_distances(M, X, i, j), squared_distances(M, X, k, l)
        residual = np.maximum(np.sqrt(near) - np.sqrt(far), 0)
        return log_det_divergence(M) + np.mean(residual**2)

    return ours, seconds, peer, peer_seconds, objective


def scml(X, y, max_iter, **limits):
    triplets = triplets_from_labels(y, X)
    beta = 1e-5
    ours, seconds = timed(lambda: SCML(beta, random_state=0, **limits).fit(X, y))
    peer = peers.metric_learn().SCML(beta=beta, max_iter=10 * max_iter, output_iter=max_iter)
    peer.random_state = 0
    peer.preprocessor_ = None
    points = X[triplets.indices]
    # Its fit refuses an array of bases; what it calls does not.
    _, peer_seconds = timed(lambda: peer._fit(points, ours.bases_, len(ours.bases_)))
    a, p, n = triplets.indices.T

    def objective(M):
        lacking = 1 + squared_distances(M, X, a, p) - squared_distances(M, X, a, n)
        # Bases have length one where all features vary alike, as they do here.
        return np.maximum(lacking, 0).mean() + beta * np.trace(M)

    return ours, seconds, peer, peer_seconds, objective


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--max-iter", type=int, default=1000, help="of metric-learn")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    X, y = load_digits(return_X_y=True)
    X, _, y, _ = train_test_split(X, y, train_size=1257, stratify=y, random_state=0)
    X = StandardScaler().fit_transform(X)
    print("| | s | objective | metric-learn s | objective | ratio | s to that objective | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for name, compare in (("ITML", itml), ("LSML", lsml), ("SCML", scml)):
        ours, seconds, peer, peer_seconds, objective = compare(X, y, args.max_iter)
        values = [objective(m.get_mahalanobis_matrix()) for m in (ours, peer)]
        for tol in (1, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-6):
            early, early_seconds, *_ = compare(X, y, 1, tol=tol)
            if objective(early.get_mahalanobis_matrix()) <= values[1]:
                break
        print(
            f"| {name} | {seconds:.2f} | {values[0]:.5g} | {peer_seconds:.2f} | {values[1]:.5g} "
            f"| {peer_seconds / seconds:.0f} | {early_seconds:.3f} "
            f"| {peer_seconds / early_seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
