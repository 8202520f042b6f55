"""Passes of LMNN over labeled rows: each finds target neighbors where the last one ended."""

import numpy as np

from metriclearn.mahalanobis._lmnn._label_objective import LabelObjective
from metriclearn.mahalanobis._lmnn._nearest_objective import NearestObjective
from metriclearn.mahalanobis._lmnn._sdp import solve_sdp
from metriclearn.mahalanobis._lmnn._solver import minimize

# Rows of other classes that a pass searches, where it draws its anchors.
_MOST_OTHERS = 50_000
SOLVERS = {"lbfgs": minimize, "sdp": solve_sdp}


def solve(objective, L, solver, search):
    """Minimize an objective from ``L``; both ends in the user's coordinates, in units of its rows.

    Returns
    -------
    Solution
    """
    coordinates = objective.coordinates
    solution = SOLVERS[solver](objective, coordinates.enter(L), search)
    solution.components = coordinates.leave(solution.components)
    return solution


def passes(problem, terms, init, given_scale, *, n_passes, solver, search, random_state):
    """Learn from labels pass by pass.

    Parameters
    ----------
    problem : Problem
    terms : Terms
    init : ndarray of shape (r, d)
        Where to start.
    given_scale : bool
        Whether the scale of ``init`` is the user's own.
    n_passes : int
    solver : {"lbfgs", "sdp"}
    search : Search
    random_state : RandomState instance
        Draws the anchors of each pass, where not all rows are.

    Yields
    ------
    Solution
        Its components in the user's unit.
    """
    L, space = init * problem.unit, problem.rows.array
    for number in range(n_passes):
        last = number == n_passes - 1
        objective = _objective(problem, terms, space, random_state)
        if number == 0 and not given_scale:
            L = objective.scaled(L)
        # The published sum is solved as published, pass by pass.
        rough = terms.n_impostors is not None and not last
        solution = solve(
            objective, L, solver, search.for_a_start(objective.small) if rough else search
        )
        L = solution.components
        solution.components = L / problem.unit
        yield solution
        if not last:
            space = problem.rows.mapped(L)


def _objective(problem, terms, space, random_state):
    if terms.n_impostors is None:
        return LabelObjective.from_labels(problem, terms, space)
    rows, others = np.arange(len(problem.rows)), None
    anchors = rows
    if terms.n_anchors is not None and terms.n_anchors < len(rows):
        anchors = np.sort(random_state.choice(rows, terms.n_anchors, replace=False))
        if len(rows) > _MOST_OTHERS:
            others = random_state.choice(rows, _MOST_OTHERS, replace=False)
    return NearestObjective.from_labels(problem, terms, space, anchors, others)
