"""Where an optimization over ``L`` starts: ``init=`` of LMNN, NCA and MLKR."""

from numbers import Integral

import numpy as np
from scipy import linalg
from sklearn.decomposition import PCA
from sklearn.utils import check_random_state

from metriclearn._arrays import is_double, to_numpy
from metriclearn._linalg import fix_signs, generalized_eigh
from metriclearn._sklearn import one_of
from metriclearn._validation import check_n_components

INIT_OPTIONS = ("auto", "pca", "lda", "identity", "random")
INIT_CONSTRAINTS = [one_of(*INIT_OPTIONS), "array-like"]


def initial_components(
    init, X, y_codes, n_components, random_state, weights=None, span=None, size=1.0
):
    """Return a first guess of ``components_``.

    Parameters
    ----------
    init : {"auto", "pca", "lda", "identity", "random"} or array-like of shape (r, n_features)
        - ``"auto"``: LDA where ``n_components`` is below the number of classes
          (and classes are known), else PCA where it reduces the dimension, else
          the identity.
        - ``"pca"``: principal axes, orthonormal rows. Beyond the rank of the data: zero rows.
        - ``"lda"``: discriminant axes, unit variance within the classes; at most
          one fewer than the classes.
        - ``"identity"``: the first rows of the identity matrix.
        - ``"random"``: normal entries that keep squared distances in expectation.
        - an array: used as it is.
    X : ndarray or tensor of shape (n, n_features)
    y_codes : ndarray of shape (n,) or None
        Class numbers; None where the target is not a class.
    n_components : int or None
        Rows of the result; ``n_features`` (or the rows of an array ``init``) for None.
    random_state : int, RandomState instance or None
        Used by ``"random"``, and by ``"pca"`` where its solver is randomized.
    weights : ndarray of shape (n,), default=None
        Of the rows, above zero.
    span : Span, default=None
        Where ``X`` are rows of a span, times ``size``: the result is over its coordinates, while
        arrays and the identity are of the features.
    size : float, default=1.0

    Returns
    -------
    ndarray of shape (n_components, n_features)
        At most as many rows as the span has coordinates, unless an array has more. On the
        host, in the dtype of ``X``; a copy, never the caller's array.
    """
    n_features = X.shape[1] if span is None else span.n_features
    dtype = np.float64 if is_double(X) else np.float32
    if not isinstance(init, str):
        L = _given_components(init, n_features, n_components, dtype)
        return L if span is None else (span.enter(L) / size).astype(dtype)
    r = min(check_n_components(n_components, n_features), X.shape[1])
    n_features = X.shape[1]
    n_classes = 0 if y_codes is None else int(y_codes.max()) + 1
    if init == "auto":
        reduced = "lda" if r < n_classes else "pca"
        init = reduced if r < n_features else "identity"
    if init == "pca":
        L = _principal_axes(X, r, random_state, weights)
    elif init == "lda":
        if y_codes is None:
            raise ValueError('init="lda" needs class labels; choose "auto", "pca" or "identity"')
        if r >= n_classes:
            raise ValueError(
                f'init="lda" has at most {n_classes - 1} components for {n_classes} classes, got '
                f'n_components={r}; lower n_components or choose init="auto"'
            )
        L = _discriminant_axes(X, y_codes, r, weights)
    elif init == "identity":
        L = np.eye(r, n_features)
        if span is not None and r < n_features:
            L = span.enter(np.eye(r, span.n_features)) / span.unit
    else:
        L = check_random_state(random_state).standard_normal((r, n_features)) / np.sqrt(r)
    return L.astype(dtype, copy=False)


def _given_components(init, n_features, n_components, dtype):
    L = np.array(to_numpy(init), dtype=dtype)
    if L.ndim != 2 or L.shape[1] != n_features or not 1 <= len(L) <= n_features:
        raise ValueError(
            f"init: an array must be of shape (n_components, n_features) with n_features="
            f"{n_features} and 1 to {n_features} rows, got {L.shape}"
        )
    if isinstance(n_components, Integral) and n_components != len(L):
        raise ValueError(
            f"init has {len(L)} rows but n_components={n_components}; make them agree or leave "
            f"n_components None"
        )
    if not np.all(np.isfinite(L)):
        raise ValueError("init holds NaN or infinity; every entry must be finite")
    return L


def _principal_axes(X, r, random_state, weights):
    L = np.zeros((r, X.shape[1]))
    rank = min(r, X.shape[0])
    if weights is None:
        L[:rank] = to_numpy(PCA(rank, random_state=random_state).fit(X).components_)
    else:
        X = to_numpy(X).astype(np.float64)
        centered = np.sqrt(weights)[:, None] * (X - np.average(X, axis=0, weights=weights))
        L[:rank] = fix_signs(linalg.svd(centered, full_matrices=False)[2][:rank])
    return L


def _discriminant_axes(X, y_codes, r, weights):
    """Leading directions of between-class over within-class variance, in units of the latter."""
    X = to_numpy(X).astype(np.float64)
    weights = np.ones(len(X)) if weights is None else weights
    X -= np.average(X, axis=0, weights=weights)
    scale = np.sqrt(np.average(X**2, axis=0, weights=weights))
    X /= np.where(scale > 0, scale, 1)
    totals = np.bincount(y_codes, weights)
    means = np.zeros((len(totals), X.shape[1]))
    np.add.at(means, y_codes, weights[:, None] * X)
    means /= totals[:, None]
    centered = X - means[y_codes]
    within = centered.T @ (weights[:, None] * centered) / weights.sum()
    between = (means * totals[:, None]).T @ means / weights.sum()
    # Singular within-class scatter (constant or collinear features, more
    # features than rows) must not blow directions up.
    _, vectors = generalized_eigh(between, within, relative_ridge=1e-6)
    return fix_signs(vectors[:, :r].T) / np.where(scale > 0, scale, 1)
