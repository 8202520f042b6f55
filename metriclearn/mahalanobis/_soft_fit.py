"""What ``fit`` of NCA and MLKR share: from a start to the components, by either solver."""

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval

from metriclearn.mahalanobis._base import warn_not_converged
from metriclearn.mahalanobis._init import INIT_CONSTRAINTS, initial_components
from metriclearn.mahalanobis._lbfgs import minimize_components
from metriclearn.mahalanobis._minibatch import minimize_in_batches
from metriclearn.mahalanobis._near_pairs import NearPairs
from metriclearn.mahalanobis._soft_neighbors import soft_neighbor_gradient, unit_scale

SOFT_NEIGHBOR_CONSTRAINTS = {
    "n_components": [Interval(Integral, 1, None, closed="left"), None],
    "init": INIT_CONSTRAINTS,
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "batch_size": [Interval(Integral, 2, None, closed="left"), None],
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "max_memory": [Interval(Real, 0, None, closed="neither")],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def starting_components(learner, X, codes, random_state):
    """Where ``learner`` starts, and the factor that its start and ``X`` call for.

    Returns
    -------
    L : ndarray of shape (n_components, n_features)
        To be searched from over ``scale * X``; then ``scale * L`` is the answer.
    scale : float
        One where the user gave the start, as an array or by a previous fit.
    """
    warm = learner.warm_start and hasattr(learner, "components_")
    init = learner.components_ if warm else learner.init
    L = initial_components(init, X, codes, learner.n_components, random_state)
    return L, unit_scale(X @ L.T) if isinstance(init, str) else 1.0


def learn_components(learner, X, L, problem_of, random_state):
    """Minimise an objective of soft neighbours as the parameters of ``learner`` say.

    Parameters
    ----------
    learner : NCA or MLKR
    X : ndarray of shape (n, n_features)
    L : ndarray of shape (n_components, n_features)
        Where to start.
    problem_of : callable
        ``problem_of(rows) -> (targets, row_terms)``: the objective of some rows
        among themselves.
    random_state : RandomState instance
        Draws the batches.

    Returns
    -------
    L : ndarray of shape (n_components, n_features)
    value : float
    n_iter : int
    """
    name = type(learner).__name__
    if learner.batch_size is None:
        objective = NearPairs(*problem_of(slice(None)), max_memory=learner.max_memory)
        L, value, n_iter, converged = minimize_components(
            objective,
            objective.exact,
            X,
            L,
            max_iter=learner.max_iter,
            tol=learner.tol,
            description=name,
            verbose=learner.verbose,
        )
        if not converged:
            warn_not_converged(name, learner.max_iter)
        return L, value, n_iter

    def batch_objective(Z, rows):
        return soft_neighbor_gradient(Z, *problem_of(rows), max_memory=learner.max_memory)

    L, value = minimize_in_batches(
        batch_objective,
        X,
        L,
        batch_size=learner.batch_size,
        n_epochs=learner.max_iter,
        learning_rate=learner.learning_rate,
        random_state=random_state,
        description=name,
        verbose=learner.verbose,
    )
    return L, value, learner.max_iter
