"""L-BFGS over the components ``L``."""

import numpy as np
from scipy.optimize import minimize

from metriclearn._progress import progress


def minimize_components(objective, L, *, max_iter, tol, description, verbose=0):
    """Minimise a smooth function of ``L``.

    Parameters
    ----------
    objective : callable
        ``objective(L) -> (value, gradient)``, ``L`` and the gradient of shape
        (n_components, n_features).
    L : ndarray of shape (n_components, n_features)
        Where to start; its dtype is the one that ``objective`` is called with.
    max_iter : int
        Most iterations.
    tol : float
        Relative decrease of the value, and largest entry of the gradient,
        below which the search ends.
    description : str
        Name on the progress bar.
    verbose : int

    Returns
    -------
    L : ndarray of shape (n_components, n_features)
    value : float
    n_iter : int
    converged : bool
    """

    def flat_objective(x):
        value, gradient = objective(x.reshape(L.shape).astype(L.dtype))
        return value, gradient.ravel().astype(np.float64)

    with progress(verbose, description, max_iter) as advance:
        result = minimize(
            flat_objective,
            L.ravel().astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            callback=lambda intermediate_result: advance(f"{intermediate_result.fun:.6g}"),
            options={"maxiter": max_iter, "maxfun": 20 * max_iter, "ftol": tol, "gtol": tol},
        )
    return result.x.reshape(L.shape).astype(L.dtype), float(result.fun), result.nit, result.success
