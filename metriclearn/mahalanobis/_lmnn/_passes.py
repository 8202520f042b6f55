"""Passes of LMNN over labeled rows: each finds target neighbors where the last one ended."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from metriclearn._arrays import rows_of, to_numpy
from metriclearn.mahalanobis._lmnn._label_objective import LabelObjective
from metriclearn.mahalanobis._lmnn._problem import Problem
from metriclearn.mahalanobis._lmnn._sdp import solve_sdp
from metriclearn.mahalanobis._lmnn._solver import minimize

SOLVERS = {"lbfgs": minimize, "sdp": solve_sdp}
_MOST_PASSES = 5  # that n_passes="auto" tries
_HELD_OUT = 0.2  # share of each class that it validates on


def solve(objective, L, solver, search):
    """Minimize an objective from ``L``; both ends in the user's coordinates, in units of its rows.

    Returns
    -------
    L : ndarray of shape (r, d)
    solution : Solution
    """
    coordinates = objective.coordinates
    solution = SOLVERS[solver](objective, coordinates.enter(L), search)
    return coordinates.leave(solution.components), solution


def passes(learner, problem, init, given_scale, n_passes, search):
    """Learn from labels pass by pass.

    Parameters
    ----------
    learner : LMNN
    problem : Problem
    init : ndarray of shape (r, d)
        Where to start.
    given_scale : bool
        Whether the scale of ``init`` is the user's own.
    n_passes : int
    search : Search

    Yields
    ------
    L : ndarray of shape (r, d)
    solution : Solution
    """
    L, space = init * problem.unit, problem.rows.array
    for number in range(n_passes):
        objective = LabelObjective.from_labels(problem, learner.mu, learner.n_neighbors, space)
        if number == 0 and not given_scale:
            L = objective.scaled(L)
        L, solution = solve(objective, L, learner.solver, search)
        yield L / problem.unit, solution
        space = problem.rows.mapped(L)


def choose_passes(learner, X, codes, weights, random_state, init, given_scale, search):
    """Fewest passes within one standard error of the best accuracy on held-out rows."""
    held_out = np.zeros(len(codes), dtype=bool)
    for code, count in enumerate(np.bincount(codes)):
        n_held = min(int(_HELD_OUT * count), count - learner.n_neighbors - 1)
        if n_held > 0:
            rows = np.flatnonzero(codes == code)
            held_out[random_state.choice(rows, n_held, replace=False)] = True
    if not held_out.any():
        return 1
    train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    X_train, X_test = rows_of(X, train), to_numpy(rows_of(X, test))
    of_train, of_test = (None if weights is None else weights[rows] for rows in (train, test))
    problem = Problem.from_labels(X_train, codes[train], of_train, learner.tol)
    accuracies = []
    for L, _ in passes(learner, problem, init, given_scale, _MOST_PASSES, search):
        neighbors = KNeighborsClassifier(learner.n_neighbors)
        neighbors.fit(to_numpy(X_train) @ L.T, codes[train])
        accuracies.append(neighbors.score(X_test @ L.T, codes[test], sample_weight=of_test))
    best = max(accuracies)
    error = np.sqrt(best * (1 - best) / len(test))
    return 1 + int(np.argmax(np.array(accuracies) >= best - error))
