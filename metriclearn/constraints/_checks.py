"""What arrays that make up constraints must hold, and what their words mean."""

import numpy as np

from metriclearn._validation import as_count, check_numeric, check_unmasked


def as_indices(indices, width, kind):
    """Return row numbers as an integer array of shape (n, width)."""
    check_unmasked(indices, f"{kind}: indices")
    try:
        indices = np.asarray(indices)
    except ValueError:  # rows of different lengths
        raise ValueError(
            f"{kind}: indices must be of shape (n, {width}), got rows of different lengths"
        ) from None
    if indices.ndim != 2 or indices.shape[1] != width:
        raise ValueError(
            f"{kind}: indices must be of shape (n, {width}), got {indices.shape}; "
            f"each row holds {width} row numbers of X"
        )
    if len(indices) == 0:
        raise ValueError(f"{kind}: indices is empty; give at least one constraint")
    if indices.dtype == object and all(type(row) is int for row in indices.ravel().tolist()):
        indices = np.asarray(indices.tolist())  # pandas' nullable integers
    if not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(
            f"{kind}: indices must be integers, got dtype {indices.dtype}; names of rows become "
            f"row numbers by {kind}.from_frame(frame, ids)"
        )
    if indices.min() < 0:
        raise ValueError(f"{kind}: indices has {indices.min()}; row numbers start at 0")
    if indices.max() > np.iinfo(np.intp).max:
        raise ValueError(f"{kind}: indices has {indices.max()}, which is no row number")
    return indices.astype(np.intp)


def as_weights(weights, n, kind):
    """Return weights as a float array of shape (n,), or None."""
    if weights is None:
        return None
    check_numeric(weights, f"{kind}: weights")
    try:
        if np.iscomplexobj(weights):
            raise ValueError
        weights = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{kind}: weights must be numbers, got {weights!r:.200}") from None
    if weights.shape != (n,):
        raise ValueError(f"{kind}: weights must be of shape ({n},), got {weights.shape}")
    if not np.all(np.isfinite(weights)) or weights.min() < 0:
        raise ValueError(f"{kind}: weights must be finite and not negative")
    return weights


def as_n_rows(n_rows, indices, kind):
    """Return the number of rows of ``X``, which every row number is below."""
    if n_rows is None:
        return None
    n_rows = as_count(n_rows, f"{kind}: n_rows")
    if indices.max() >= n_rows:
        raise ValueError(f"{kind}: indices names row {indices.max()}, but n_rows={n_rows}")
    return n_rows


def check_distinct(indices, first, second, meaning, kind):
    """Raise a ``ValueError`` where two places of a constraint name the same row."""
    equal = np.flatnonzero(indices[:, first] == indices[:, second])
    if len(equal):
        raise ValueError(
            f"{kind}: constraint {equal[0]}, {tuple(indices[equal[0]].tolist())}, {meaning}; drop "
            f"it" + (f" and {len(equal) - 1} more like it" if len(equal) > 1 else "")
        )


def as_similar(labels, pos_label=None, argument="y"):
    """Return which labels mean that a pair is similar.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Of two values at most. Without ``pos_label``: booleans, 1 and 0, or 1 and -1.
    pos_label : int, str or bool, default=None
        The label of similar pairs.
    argument : str, default="y"
        Name used in errors.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    check_unmasked(labels, argument)
    labels = np.asarray(labels)
    values = set(labels.ravel().tolist())
    if pos_label is not None:
        if not np.isscalar(pos_label) or pos_label not in values:
            some = sorted(map(repr, values))[:5]
            raise ValueError(
                f"pos_label={pos_label!r} is not among the labels in {argument}: {', '.join(some)}"
            )
        return labels == pos_label
    if not values <= {0, 1} and not values <= {-1, 1}:
        some = sorted(map(repr, values))[:5]
        raise ValueError(
            f"{argument} must hold True/False, 1/0 or 1/-1, got {', '.join(some)}; with other "
            f"labels name the one of similar pairs, pos_label=..."
        )
    return labels.astype(int) > 0
