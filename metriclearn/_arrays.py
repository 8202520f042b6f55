"""Arrays of other libraries (torch, CuPy), by scikit-learn's array API dispatch.

Within ``sklearn.config_context(array_api_dispatch=True)`` rows may be tensors, on
any device. Products with all rows are then computed by the tensors' own library,
where they are; what is small (components, matrices of the features, numbers of
listed pairs) is numpy's, on the host. Outside that context all rows become numpy's.
"""

import numpy as np
from scipy import sparse

from metriclearn._sklearn import convert_to_numpy, device, get_namespace


def namespace(X):
    """Return the array API functions for ``X``; those of numpy for a numpy array."""
    return get_namespace(X)[0]


def float_dtypes(X):
    """Return float64 and float32 as the library of ``X`` names them."""
    if is_dask(X):
        return [np.float64, np.float32]
    xp = namespace(X)
    return [xp.float64, xp.float32]


def on_host(X):
    """Whether ``X`` is an array of numpy or of scipy."""
    return isinstance(X, np.ndarray) or sparse.issparse(X)


def is_dask(X):
    """Whether ``X`` is a dask array, whose blocks are read one after the other."""
    return type(X).__module__.partition(".")[0] == "dask" and hasattr(X, "to_delayed")


# What reads something that is not in memory, by the name that a library calls it.
_READERS = ("collect", "toPandas", "compute", "df", "to_dataframe")


def check_in_memory(X, argument="X"):
    """Raise a ``TypeError`` for a query or a plan, whose rows are still to be read.

    Lazy frames of polars, frames of Spark, relations of DuckDB, data sets of xarray: none is an
    array, and each has a method that makes one of it.

    Parameters
    ----------
    X : object
    argument : str, default="X"
        Name used in the error.
    """
    if hasattr(X, "__array__") and not hasattr(X, "data_vars"):
        return
    reader = next((name for name in _READERS if callable(getattr(X, name, None))), None)
    if reader is not None and not isinstance(X, type):
        kind = f"{type(X).__module__.partition('.')[0]}.{type(X).__name__}"
        raise TypeError(
            f"{argument} is a {kind}, whose rows are not in memory: give {argument}.{reader}()"
        )


def to_numpy(array):
    """Return a numpy array of the same values; ``array`` itself where it is one."""
    if is_dask(array):
        return np.asarray(array)
    return array if on_host(array) else convert_to_numpy(array, namespace(array))


def moved_to(X, array, dtype=None):
    """Move ``array`` to the library and device of ``X``; to its dtype, if no other is given."""
    dtype = X.dtype if dtype is None else dtype
    if on_host(X) or is_dask(X):
        return np.asarray(array, dtype=dtype)
    return namespace(X).asarray(array, dtype=dtype, device=device(X))


def with_dtype(X, name):
    """Return ``X`` as ``"float32"`` or ``"float64"``; itself where it is of that dtype."""
    if on_host(X):
        return X.astype(name, copy=False)
    xp = namespace(X)
    return xp.astype(X, getattr(xp, name), copy=False)


def with_dtype_of(Z, X):
    """Return ``X``, of the same library, in the dtype of ``Z``."""
    return namespace(Z).astype(X, Z.dtype, copy=False)


def is_double(X):
    """Whether ``X`` is of dtype float64."""
    return X.dtype == namespace(X).float64


def rows_of(X, indices):
    """Return ``X[indices]`` for a numpy array of row numbers."""
    if on_host(X) or is_dask(X):
        return X[indices]
    xp = namespace(X)
    return xp.take(X, moved_to(X, indices, xp.int64), axis=0)


def mean_row(X, weights=None):
    """Compute the mean of the rows, of given weights."""
    if weights is None:
        return namespace(X).mean(X, axis=0)
    return moved_to(X, weights / weights.sum()) @ X


def row_products(A, B):
    """Compute the scalar product of each row of ``A`` with the same row of ``B``."""
    if on_host(A):
        return np.einsum("ij,ij->i", A, B)
    return namespace(A).sum(A * B, axis=1)


def squared_norms(X):
    """Compute the squared length of each row."""
    return row_products(X, X)


def unit_of(X):
    """Find the power of two near the largest entry of ``X``; 1 where all entries are zero.

    Rows divided by it neither overflow nor vanish when they are squared, and lose no digit.
    """
    if is_dask(X):
        largest = float(abs(X).max().compute())
    elif on_host(X):
        values = X.data if sparse.issparse(X) else X
        largest = max(float(values.max()), -float(values.min())) if values.size else 0.0
    else:
        largest = float(namespace(X).max(namespace(X).abs(X)))
    if not 0 < largest < np.inf:
        return 1.0
    # Its inverse is a number, too.
    return float(np.ldexp(1.0, int(np.clip(np.frexp(largest)[1], -1000, 1000))))


def count_classes(groups, codes, shape):
    """Return a table of the rows in each group and of each class; ``shape`` says how many."""
    table = np.zeros(shape)
    np.add.at(table, (groups, codes), 1)
    return table
