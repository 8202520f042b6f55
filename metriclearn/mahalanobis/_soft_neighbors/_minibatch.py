"""Adam over the components ``L``, on soft neighbors within batches of rows."""

import numpy as np

from metriclearn._arrays import moved_to, rows_of, to_numpy
from metriclearn._progress import progress

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
