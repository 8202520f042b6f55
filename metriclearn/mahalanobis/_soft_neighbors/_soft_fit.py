"""What ``fit`` of NCA and MLKR share: where to start, and the search by L-BFGS or Adam."""

from functools import partial

import numpy as np

from metriclearn._arrays import moved_to, on_host, rows_of, to_numpy
from metriclearn._progress import progress
from metriclearn._sklearn import NOT_NEGATIVE, POSITIVE, at_least, one_of
from metriclearn._unused import warn_unused
from metriclearn.mahalanobis._base import warn_not_converged
from metriclearn.mahalanobis._init import INIT_CONSTRAINTS, initial_components
from metriclearn.mahalanobis._soft_neighbors._gradient import (
    soft_neighbor_gradient,
    tensor_soft_neighbor_gradient,
    unit_scale,
)
from metriclearn.mahalanobis._soft_neighbors._near_pairs import NearPairs
from metriclearn.mahalanobis._solvers._lbfgs import minimize_components

_MANY_ROWS = 10_000  # beyond which batch_size="auto" draws batches
_AUTO_BATCH = 2048
# Rows drawn in all, but each row twice at least.
_ROWS_DRAWN, _FEWEST_EPOCHS = 500_000, 2

SOFT_NEIGHBOR_CONSTRAINTS = {
    "n_components": [at_least(1), None],
    "init": INIT_CONSTRAINTS,
    "max_iter": [at_least(1)],
    "tol": [NOT_NEGATIVE],
    "batch_size": [at_least(2), one_of("auto"), None],
    "learning_rate": [POSITIVE],
    "max_memory": [POSITIVE],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def starting_components(learner, X, codes, weights, random_state, span, size):
    """Find where ``learner`` starts, and the factor that its start and ``X`` call for.

    ``X`` are rows of ``span``, in its coordinates times ``size``, in which the start is as well.

    Returns
    -------
    L : ndarray of shape (n_components, n_features)
        To be searched from over ``scale * X``; then ``scale * L`` is the answer.
    scale : float
        One where the user gave the start, as an array or by a previous fit.
    """
    warm = learner.warm_start and hasattr(learner, "components_")
    init = learner.components_ if warm else learner.init
    L = initial_components(init, X, codes, learner.n_components, random_state, weights, span, size)
    return L, float(unit_scale(X @ moved_to(X, L.T))) if isinstance(init, str) else 1.0


def learn_components(learner, X, L, problem_of, weights, random_state):
    """Minimize an objective of soft neighbors as the parameters of ``learner`` say.

    Parameters
    ----------
    learner : NCA or MLKR
    X : ndarray or tensor of shape (n, n_features)
    L : ndarray of shape (n_components, n_features)
        Where to start.
    problem_of : callable
        ``problem_of(rows) -> (targets, row_terms)``: the objective of some rows
        among themselves.
    weights : ndarray of shape (n,) or None
        Of the rows, above zero.
    random_state : RandomState instance
        Draws the batches.

    Returns
    -------
    L : ndarray of shape (n_components, n_features)
        On the host.
    value : float
    n_iter : int
    """
    name, n = type(learner).__name__, X.shape[0]
    max_memory = learner.max_memory
    batch_size, n_epochs = learner.batch_size, learner.max_iter
    if batch_size == "auto":
        batch_size = None if n <= _MANY_ROWS else _AUTO_BATCH
        n_epochs = min(n_epochs, max(_FEWEST_EPOCHS, -(-_ROWS_DRAWN // n)))
    if batch_size is None:
        warn_unused(learner, {"learning_rate": "with batches, such as batch_size=1000"})
        targets, row_terms = problem_of(np.arange(n))
        given = {"weights": weights, "max_memory": max_memory}
        if on_host(X):
            objective = NearPairs(targets, row_terms, **given)
            exact = objective.exact
        else:
            objective = exact = partial(
                tensor_soft_neighbor_gradient, targets=targets, row_terms=row_terms, **given
            )
        L, value, n_iter, converged = minimize_components(
            objective,
            exact,
            X,
            L,
            max_iter=learner.max_iter,
            tol=learner.tol,
            description=name,
            verbose=learner.verbose,
        )
        if not converged:
            warn_not_converged(name, learner.max_iter)
        # A search that starts at the optimum has still evaluated it once.
        return L, value, max(1, n_iter)

    warn_unused(learner, {"tol": "with batch_size=None"})

    def batch_objective(Z, rows):
        of_batch = soft_neighbor_gradient if on_host(Z) else tensor_soft_neighbor_gradient
        of_rows = None if weights is None else weights[rows]
        return of_batch(Z, *problem_of(rows), weights=of_rows, max_memory=max_memory)

    L, value = minimize_in_batches(
        batch_objective,
        X,
        L,
        batch_size=batch_size,
        n_epochs=n_epochs,
        learning_rate=learner.learning_rate,
        random_state=random_state,
        description=name,
        verbose=learner.verbose,
    )
    return L, value, n_epochs


_MOMENTUM, _SQUARED_MOMENTUM, _EPSILON = 0.9, 0.99, 1e-8


def minimize_in_batches(
    objective, X, L, *, batch_size, n_epochs, learning_rate, random_state, description, verbose=0
):
    """Minimize a sum over rows of ``Z = X Lᵀ`` by stochastic steps (Adam, Kingma, Ba, 2015).

    The step falls to zero along a half cosine over the passes.

    Parameters
    ----------
    objective : callable
        ``objective(Z, rows) -> (value, gradient)``: of the rows of one batch,
        the embedded ``X[rows]``, among themselves.
    X : ndarray or tensor of shape (n, n_features)
    L : ndarray of shape (n_components, n_features)
        Where to start.
    batch_size : int
        Rows in a batch.
    n_epochs : int
        Passes over the rows.
    learning_rate : float
        First step of an entry of ``L``, in units of the length of its rows.
    random_state : RandomState instance
        Draws the batches.
    description : str
        Name on the progress bar.
    verbose : int

    Returns
    -------
    L : ndarray of shape (n_components, n_features)
    value : float
        Sum of the objective over the batches of the last pass.
    """
    n = X.shape[0]
    n_batches = max(1, n // batch_size)
    n_steps, step = n_epochs * n_batches, 0
    first_step = learning_rate * np.linalg.norm(L) / np.sqrt(len(L))
    mean, square = np.zeros_like(L), np.zeros_like(L)
    with progress(verbose, description, n_epochs) as advance:
        for _ in range(n_epochs):
            value = 0.0
            for rows in np.array_split(random_state.permutation(n), n_batches):
                rows.sort()
                batch = rows_of(X, rows)
                part, gradient = objective(batch @ moved_to(X, L.T), rows)
                value += part
                gradient = to_numpy(gradient.T @ batch) / len(rows)
                step += 1
                mean += (1 - _MOMENTUM) * (gradient - mean)
                square += (1 - _SQUARED_MOMENTUM) * (gradient**2 - square)
                length = first_step * (1 + np.cos(np.pi * step / n_steps)) / 2
                direction = mean / (1 - _MOMENTUM**step)
                direction /= np.sqrt(square / (1 - _SQUARED_MOMENTUM**step)) + _EPSILON
                L = L - (length * direction).astype(L.dtype)
            advance(f"{value:.6g}")
    return L, value
