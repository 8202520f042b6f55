"""Passes of LMNN over labeled rows: each finds target neighbors where the last one ended."""

from dataclasses import replace

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from metriclearn._arrays import rows_of, to_numpy
from metriclearn.mahalanobis._lmnn._label_objective import LabelObjective
from metriclearn.mahalanobis._lmnn._nearest_objective import NearestObjective
from metriclearn.mahalanobis._lmnn._problem import Problem
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


_PATH = (0.2, 0.5, 0.8, 0.95)  # of mu, each starting from where the one before ended
_PATH_PASSES = 2
_MOST_PASSES = 5  # that n_passes="auto" tries
_HELD_OUT = 0.2  # share of each class that is held out
_MOST_HELD_OUT = 2000
_ANCHORS = 2000


def choose_mu(X, codes, weights, terms, init, given_scale, **fit):
    """Return the weight of the pull, of a path of them, with the best accuracy on held-out rows.

    Parameters
    ----------
    X : ndarray or tensor of shape (n, d)
    codes : ndarray of shape (n,)
    weights : ndarray of shape (n,) or None
    terms : Terms
    init : ndarray of shape (r, d)
    given_scale : bool
    **fit
        ``solver``, ``search`` and ``random_state`` of ``passes``.
    """
    trial = _Trial.split(X, codes, weights, terms, fit)
    if trial is None:
        return 0.5
    scores = []
    for mu in _PATH:
        *_, solution = trial.passes(replace(terms, mu=mu), init, given_scale, _PATH_PASSES)
        scores.append(trial.score(solution.components))
        init, given_scale = solution.components, True
    return _PATH[int(np.argmax(scores))]


def choose_passes(X, codes, weights, terms, init, given_scale, **fit):
    """Return the fewest passes within one standard error of the best held-out accuracy."""
    trial = _Trial.split(X, codes, weights, terms, fit)
    if trial is None:
        return 1
    solutions = trial.passes(terms, init, given_scale, _MOST_PASSES)
    scores = np.array([trial.score(solution.components) for solution in solutions])
    error = np.sqrt(scores.max() * (1 - scores.max()) / trial.n_held_out)
    return 1 + int(np.argmax(scores >= scores.max() - error))


class _Trial:
    """Fits to some rows, judged on others."""

    @classmethod
    def split(cls, X, codes, weights, terms, fit):
        """Hold out rows of each class, 2,000 in all at most; None where no class can spare one.

        A class keeps one row more than ``n_neighbors``.
        """
        held_out = np.zeros(len(codes), dtype=bool)
        share = min(_HELD_OUT, _MOST_HELD_OUT / len(codes))
        for code, count in enumerate(np.bincount(codes)):
            n_held = min(int(share * count), count - terms.n_neighbors - 1)
            if n_held > 0:
                rows = np.flatnonzero(codes == code)
                held_out[fit["random_state"].choice(rows, n_held, replace=False)] = True
        if not held_out.any():
            return None
        train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        return cls(X, codes, weights, train, test, terms.n_neighbors, fit)

    def __init__(self, X, codes, weights, train, test, n_neighbors, fit):
        self._of_train, self._of_test = (
            (rows_of(X, rows), codes[rows], None if weights is None else weights[rows])
            for rows in (train, test)
        )
        self._n_neighbors, self._fit = n_neighbors, fit
        self._problem = Problem.from_labels(*self._of_train, fit["search"].tol)
        self.n_held_out = len(test)

    def passes(self, terms, init, given_scale, n_passes):
        """Yield the solutions of passes, each as if another one followed."""
        fit = self._fit | {"search": self._fit["search"].for_a_start()}
        if terms.n_impostors is not None:
            terms = replace(terms, n_anchors=min(_ANCHORS, terms.n_anchors or _ANCHORS))
        yield from passes(self._problem, terms, init, given_scale, n_passes=n_passes, **fit)

    def score(self, L):
        """Compute the accuracy of the nearest training rows on the held-out ones."""
        (X, codes, _), (X_test, codes_test, weights_test) = self._of_train, self._of_test
        neighbors = KNeighborsClassifier(self._n_neighbors).fit(to_numpy(X) @ L.T, codes)
        return neighbors.score(to_numpy(X_test) @ L.T, codes_test, sample_weight=weights_test)
