"""L-BFGS over a factor of ``M``: in single precision as far as it goes, or to a certificate."""

import numpy as np
from scipy.optimize import minimize

from metriclearn._arrays import is_double, moved_to, namespace, squared_norms, to_numpy, with_dtype
from metriclearn._progress import progress

_MANY_ROWS = 1000
# Beyond it the rounding of a squared distance, 1e-7 of the squared norms, is felt.
_LARGEST_SINGLE_SQ_NORM = 1e4
# Relative decrease that single precision tells from rounding.
_SINGLE_TOL = 1e-5


def minimize_components(objective, exact_objective, X, L, *, max_iter, tol, description, verbose=0):
    """Minimize a smooth function of ``Z = X Lᵀ`` over ``L``.

    Many rows, and float32 ones, are searched in float32, which is twice as fast;
    where ``tol`` asks for more than that resolves the search goes on in float64
    from the point found. Rows with large norms are computed in float64 throughout.

    Parameters
    ----------
    objective : callable
        ``objective(Z) -> (value, gradient)``, computed in the dtype of ``Z``;
        both of shape (n, n_components). May approximate.
    exact_objective : callable
        The same without approximation: asked where a search ends. If the two
        disagree there by more than ``tol`` the search goes on.
    X : ndarray or tensor of shape (n, n_features), float32 or float64
    L : ndarray of shape (n_components, n_features)
        Where to start.
    max_iter : int
        Most iterations.
    tol : float
        Relative decrease of the value, or largest entry of the gradient, at
        which the search ends.
    description : str
        Name on the progress bar.
    verbose : int

    Returns
    -------
    L : ndarray of shape (n_components, n_features)
        On the host, float64.
    value : float
    n_iter : int
    converged : bool
    """
    shape = L.shape
    single, double = with_dtype(X, "float32"), with_dtype(X, "float64")
    largest = namespace(X).max

    def embed(L, in_double):
        if not in_double:
            Z = single @ moved_to(single, L.T)
            if largest(squared_norms(Z)) < _LARGEST_SINGLE_SQ_NORM:
                return single, Z
        return double, double @ moved_to(double, L.T)

    def value_and_gradient(flat, in_double):
        rows, Z = embed(flat.reshape(shape), in_double)
        value, gradient = objective(Z)
        return value, to_numpy(gradient.T @ rows).ravel().astype(np.float64, copy=False)

    def search(flat, in_double, max_iter, tol):
        return minimize(
            value_and_gradient,
            flat,
            args=(in_double,),
            jac=True,
            method="L-BFGS-B",
            callback=lambda intermediate_result: advance(f"{intermediate_result.fun:.6g}"),
            options={"maxiter": max_iter, "maxfun": 20 * max_iter, "ftol": tol, "gtol": tol},
        )

    flat, n_iter, converged = L.ravel().astype(np.float64), 0, False
    in_double = is_double(X) and X.shape[0] < _MANY_ROWS
    with progress(verbose, description, max_iter) as advance:
        while n_iter < max_iter:
            reachable_tol = tol if in_double else max(tol, _SINGLE_TOL)
            result = search(flat, in_double, max_iter - n_iter, reachable_tol)
            flat, n_iter = result.x, n_iter + result.nit
            value, _ = exact_objective(embed(flat.reshape(shape), in_double)[1])
            misled = abs(value - result.fun) > reachable_tol * abs(value)
            if misled and result.nit > 0:
                continue
            if in_double or (result.success and tol == reachable_tol):
                converged = result.success
                break
            in_double = True
    return flat.reshape(shape), float(value), n_iter, converged


def minimize_to_certificate(
    loss, F, certificate, *, interval, max_iter, tol, description, verbose=0
):
    """Minimize a smooth function of a factor until its duality gap is small.

    Parameters
    ----------
    loss : callable
        ``loss(F) -> (value, gradient)``.
    F : ndarray
        Where to start, of any shape.
    certificate : callable
        ``certificate(F) -> gap``.
    interval : int
        Iterations between two certificates.
    max_iter : int
        Most iterations.
    tol : float
        Gap at which the search ends. Nothing else ends it but the resolution
        of floating point numbers.
    description : str
        Name on the progress bar.
    verbose : int

    Returns
    -------
    F : ndarray
    n_iter : int
    """
    shape, n_iter = F.shape, 0

    def flat_loss(flat):
        value, gradient = loss(flat.reshape(shape))
        return value, gradient.ravel()

    def stop_when_certified(intermediate_result):
        nonlocal n_iter
        n_iter += 1
        if n_iter % interval == 0:
            gap = certificate(intermediate_result.x.reshape(shape))
            advance(f"gap {gap:.1e}", interval)
            if gap <= tol:
                raise StopIteration

    with progress(verbose, description) as advance:
        result = minimize(
            flat_loss,
            F.ravel(),
            jac=True,
            method="L-BFGS-B",
            callback=stop_when_certified,
            options={"maxiter": max_iter, "maxfun": 10 * max_iter, "ftol": 0, "gtol": 0},
        )
    return result.x.reshape(shape), n_iter
