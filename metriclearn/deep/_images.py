"""Images as rows, and back."""

import numpy as np


def flatten_images(X):
    """Turn images into rows.

    Parameters
    ----------
    X : array-like
        Rows, or images of shape (n, height, width[, channels]).

    Returns
    -------
    X : array-like
        Rows: a view, where ``X`` was an array.
    image_shape : tuple of int or None
        (height, width, channels); None where ``X`` held rows.
    """
    if isinstance(X, list) and np.ndim(X) > 2:
        X = np.asarray(X)
    n_dims = getattr(X, "ndim", 2)
    if n_dims not in (3, 4):
        return X, None
    shape = tuple(X.shape[1:])
    # A memory-mapped array stays one, and so is known not to be copied.
    return X.reshape(len(X), -1), shape if n_dims == 4 else (*shape, 1)


def check_image_shape(found, given, n_features):
    """Shape of the images: as found, or as the argument ``image_shape`` says.

    Raises
    ------
    ValueError
        Where the two, or the number of features, do not agree.
    """
    if given is None:
        return found
    given = tuple(int(side) for side in given)
    if len(given) not in (2, 3) or min(given) < 1:
        raise ValueError(f"image_shape={given} is not (height, width) or (height, width, channels)")
    given = given if len(given) == 3 else (*given, 1)
    if found is not None and found != given:
        raise ValueError(f"image_shape={given} does not fit X, whose images are of shape {found}")
    if np.prod(given) != n_features:
        raise ValueError(
            f"image_shape={given} has {np.prod(given)} values, but X has {n_features} features"
        )
    return given


def kept_dtypes(X):
    """Dtypes that validation leaves alone: bytes, and any memory-mapped array, are not copied."""
    kept = [np.float32, np.uint8]
    if isinstance(X, np.memmap):
        kept.append(X.dtype)
    return kept
