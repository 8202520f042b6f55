"""LMNN as the semidefinite program of its paper, through cvxpy."""

from dataclasses import replace

import numpy as np

from metriclearn._arrays import to_numpy
from metriclearn._extras import require
from metriclearn._linalg import components_from_matrix
from metriclearn.mahalanobis._lmnn._objective import Hinge, SquaredHinge
from metriclearn.mahalanobis._lmnn._solver import Solution, minimize
from metriclearn.mahalanobis._solvers._clarabel import GAP, solve_exactly

_MAX_FEATURES = 20
_MAX_TRIPLETS = 20_000


def check_sdp_components(n_components, n_features):
    """Raise a ``ValueError`` where the program would be too large, or of low rank."""
    if n_components not in (None, n_features):
        raise ValueError(
            f'solver="sdp" learns at full dimension, got n_components={n_components}; leave it '
            f'None or use solver="lbfgs"'
        )
    if n_features > _MAX_FEATURES:
        raise ValueError(
            f'solver="sdp" is for up to {_MAX_FEATURES} features, X has {n_features}; reduce '
            f'them or use solver="lbfgs"'
        )


_LOSSES = {"hinge": Hinge(), "squared_hinge": SquaredHinge()}


def solve_sdp(objective, L, search):
    """Minimize over all ``M ⪰ 0`` with clarabel; same arguments and result as ``minimize``.

    The triplets near the margin enter the program first, and those that its
    optimum violates are added until there are none.
    """
    start = minimize(objective, L, replace(search, polish=False))
    triplets, weights = objective.triplets_near(start.components, slack=1.0)
    rounds = 0
    while True:
        rounds += 1
        M, bound = _solve(objective, triplets, weights, search.loss)
        L = components_from_matrix(M)
        seen = len(triplets)
        triplets, weights = _merged((triplets, weights), objective.triplets_near(L, slack=0.0))
        search.advance(f"{len(triplets)} triplets")
        if len(triplets) == seen:
            break
    objective.sharpen()
    value = objective.value(L, _LOSSES[search.loss])
    return Solution(L, value, bound, rounds, converged=value - bound <= GAP * value)


def _merged(known, found):
    """Triplets known or found, each once, and their weights."""
    triplets, weights = (np.concatenate(parts) for parts in zip(known, found, strict=True))
    triplets, first = np.unique(triplets, axis=0, return_index=True)
    return triplets, weights[first]


def _solve(objective, triplets, weights, loss):
    """Solve for the listed triplets; returns ``M`` and a lower bound."""
    if len(triplets) > _MAX_TRIPLETS:
        raise ValueError(
            f'solver="sdp" is for up to {_MAX_TRIPLETS} triplets near the margin, there are '
            f'{len(triplets)}; give fewer rows or use solver="lbfgs"'
        )
    cp = require("cvxpy", "sdp")
    X, mu = to_numpy(objective.rows.double.array), objective.mu
    d = X.shape[1]
    anchor, positive, negative = X[triplets.T]
    target, impostor = anchor - positive, anchor - negative
    C = target[:, :, None] * target[:, None, :] - impostor[:, :, None] * impostor[:, None, :]
    C = C.reshape(-1, d * d)
    M = cp.Variable((d, d), PSD=True)
    xi = cp.Variable(len(C), nonneg=True)
    margin = xi >= 1 + C @ cp.vec(M, order="C")
    push = weights @ xi if loss == "hinge" else weights @ cp.square(xi)
    pull = cp.sum(cp.multiply(objective.pull_scatter, M))
    problem = cp.Problem(cp.Minimize(pull + (1 - mu) * push), [margin])
    matrix = solve_exactly(problem, M)
    slopes = np.clip(margin.dual_value / (1 - mu), 0, weights if loss == "hinge" else np.inf)
    slopes[weights == 0] = 0
    final = _LOSSES[loss]
    conjugates = final.conjugate_share * np.sum(slopes**2 / np.maximum(4 * weights, 1e-300))
    bound = objective.dual_value(slopes.sum(), conjugates, (slopes @ C).reshape(d, d), final)
    return matrix, bound
