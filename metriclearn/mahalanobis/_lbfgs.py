"""L-BFGS over a factor of ``M``: in single precision as far as it goes, or to a certificate."""

import numpy as np
from scipy.optimize import minimize

from metriclearn._progress import progress

# Beyond it the rounding of a squared distance, 1e-7 of the squared norms, is felt.
_LARGEST_SINGLE_SQ_NORM = 1e5
# Relative decrease that single precision tells from rounding.
_SINGLE_TOL = 1e-5
_LINE_SEARCH_FAILED = 2


def minimize_components(objective, X, L, *, max_iter, tol, description, verbose=0):
    """Minimise a smooth function of ``L``.

    The search runs in float32, which is twice as fast, and goes on in float64
    from the point found where ``tol`` asks for more than float32 resolves. Rows
    with large norms are computed in float64 throughout.

    Parameters
    ----------
    objective : callable
        ``objective(L, X) -> (value, gradient)``, computed in the dtype of its
        arguments; ``L`` and the gradient of shape (n_components, n_features).
    X : ndarray of shape (n, n_features), float32 or float64
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
        In the dtype of ``X``.
    value : float
    n_iter : int
    converged : bool
    """
    shape = L.shape
    single, double = X.astype(np.float32, copy=False), X.astype(np.float64, copy=False)

    def value_and_gradient(flat, in_double):
        L = flat.reshape(shape)
        if not in_double:
            Z = single @ L.T.astype(np.float32)
            in_double = not np.einsum("ij,ij->i", Z, Z).max() < _LARGEST_SINGLE_SQ_NORM
        rows = double if in_double else single
        value, gradient = objective(L.astype(rows.dtype, copy=False), rows)
        return value, gradient.ravel().astype(np.float64, copy=False)

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

    with progress(verbose, description, max_iter) as advance:
        result = search(L.ravel().astype(np.float64), False, max_iter, max(tol, _SINGLE_TOL))
        n_iter = result.nit
        finer = (result.success and tol < _SINGLE_TOL) or result.status == _LINE_SEARCH_FAILED
        if finer and n_iter < max_iter:
            result = search(result.x, True, max_iter - n_iter, tol)
            n_iter += result.nit
    L = result.x.reshape(shape).astype(X.dtype)
    return L, float(result.fun), n_iter, result.success


def minimize_to_certificate(
    loss, F, certificate, *, interval, max_iter, tol, description, verbose=0
):
    """Minimise a smooth function of a factor until its duality gap is small.

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
