"""What a fitted embedder knows of its input, and how the input becomes batches."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import validate_data
from skorch.utils import data_from_dataset

from metriclearn._types import is_whole
from metriclearn._validation import as_labels, check_numeric
from metriclearn.deep.training._dataset import DatasetArray
from metriclearn.deep.training._rows import Rows, check_finite
from metriclearn.images._regions import check_channels, has_channels_first

OF_INTEGERS = "was fitted on integers, which its module takes as such; give integers"


@dataclass
class Inputs:
    """What the first fit found out about ``X``; every later ``X`` is read by it.

    This is the only way from input to batches: :meth:`learn` reads the first ``X``,
    :meth:`check` every later one, and :meth:`rows` makes of either a
    :class:`~metriclearn.deep.training._rows.Rows`, from which training and embedding take
    batches. Another kind of input needs another class with these three methods.

    Parameters
    ----------
    n_features : int
        Values in a row.
    image_shape : tuple of int or None, default=None
        (height, width, channels); None for feature vectors.
    channels_first : bool, default=False
        Whether the values of an image are in the order (channels, height, width).
    scale : float, default=1
        Factor on the values: 1/255 for bytes.
    integers : bool, default=False
        Whether batches are of int64 (token ids) rather than of float32.
    channels_last : bool, default=False
        Whether batches of images keep channels last in memory, which convolutions are faster on.
    """

    n_features: int
    image_shape: tuple | None = None
    channels_first: bool = False
    scale: float = 1
    integers: bool = False
    channels_last: bool = False
    #: Whether random crops are cut when rows are read, rather than from batches.
    crops = False

    @classmethod
    def learn(
        cls, estimator, X, y="no_validation", *, image_shape=None, own_module=False, **checks
    ):
        """Read the ``X`` of a first fit.

        Parameters
        ----------
        estimator : estimator
            Gets ``n_features_in_`` and ``feature_names_in_``.
        X : array-like
        y : array-like, default="no_validation"
        image_shape : tuple of int or None, default=None
            What the user says about the rows.
        own_module : bool, default=False
            Whether the network is the user's own, for which integers may be token ids.
        **checks
            Passed on to :func:`~sklearn.utils.validation.validate_data`.

        Returns
        -------
        inputs : Inputs
        X : ndarray of shape (n, n_features)
        y : ndarray, or None where it was not to be read
        """
        X, found, first = flatten_images(X, image_shape)
        if isinstance(X, DatasetArray):
            X, y = with_labels(estimator, X, y, **checks)
            estimator.n_features_in_ = X.shape[1]
        else:
            X, y = _validated(estimator, X, y, True, kept_dtypes(X, own_module), **checks)
        shape, first = check_image_shape(found, first, image_shape, X.shape[1])
        integers = own_module and shape is None and X.dtype.kind in "iu"
        scale = 1 / 255 if X.dtype == np.uint8 else 1
        return cls(X.shape[1], shape, first, scale, integers, not own_module), X, y

    def check(self, estimator, X, y="no_validation", **checks):
        """Read the ``X`` of a later call.

        Returns
        -------
        X : ndarray of shape (n, n_features)
        y : ndarray, or None where it was not to be read
        """
        X, shape, first = flatten_images(X)
        if shape is not None and (shape, first) != (self.image_shape, self.channels_first):
            raise ValueError(
                f"X has {_described(shape, first)}, but {type(estimator).__name__} was fitted on "
                f"{_described(self.image_shape, self.channels_first)}"
            )
        if isinstance(X, DatasetArray):
            if X.shape[1] != self.n_features:
                raise ValueError(
                    f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting "
                    f"{self.n_features} features as input"
                )
            if self.integers and X.dtype.kind == "f":
                raise ValueError(f"X has fractions, but {type(estimator).__name__} {OF_INTEGERS}")
            return with_labels(estimator, X, y, **checks)
        dtypes = kept_dtypes(X, self.integers)
        X, y = _validated(estimator, X, y, False, dtypes, **checks)
        if self.integers and X.dtype.kind == "f":
            if not np.array_equal(X, np.trunc(X)):
                raise ValueError(f"X has fractions, but {type(estimator).__name__} {OF_INTEGERS}")
            X = X.astype(np.int64)
        return X, y

    def check_to_embed(self, estimator, X):
        """Read the ``X`` of a ``transform``, with a faster check for infinite values and NaN."""
        X, _ = self.check(estimator, X, ensure_all_finite=False)
        if isinstance(X, DatasetArray):
            return X
        check_finite(X, type(estimator).__name__)
        return X

    def rows(self, X, device):
        """Make of a checked ``X`` what batches are taken from, on this device."""
        return Rows(
            X,
            self.image_shape,
            self.scale,
            device,
            self.channels_last,
            channels_first=self.channels_first,
            integers=self.integers,
        )

    def as_batch(self, X, device):
        """Make rows of what the net is called with, past the estimator's checks.

        Parameters
        ----------
        X : array-like, skorch's data set, or tensor
            A tensor in the shape of a batch is one already.
        device : str

        Returns
        -------
        Rows or tensor
        """
        if isinstance(X, torch.utils.data.Dataset):
            X, _ = data_from_dataset(X)
        if isinstance(X, torch.Tensor) and X.dtype in (torch.float32, torch.int64):
            shape = (self.n_features,)
            if self.image_shape is not None:
                height, width, channels = self.image_shape
                shape = (channels, height, width)
            if X.shape[1:] == shape:
                return X.to(device)
        X, _, _ = flatten_images(np.asarray(X))
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise ValueError(f"X must be of shape (n, {self.n_features}), got {X.shape}")
        return self.rows(X, device)


def _validated(estimator, X, y, reset, dtypes, **checks):
    """Validate by scikit-learn; of ragged lists with the remedy."""
    check_numeric(X)
    if y is not None:
        y = as_labels(y)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # beyond float32: said as an error
            checked = validate_data(estimator, X, y, reset=reset, dtype=dtypes, **checks)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(
            f"{error}. the rows of X differ in length; pad them to one length"
        ) from None
    return checked if isinstance(checked, tuple) else (checked, None)


def with_labels(estimator, X, y="no_validation", **checks):
    """Check the labels of rows that are read later, batch by batch.

    Parameters
    ----------
    estimator : estimator
    X : ImagePaths or DatasetArray
    y : array-like, default="no_validation"
    **checks
        ``y_numeric``, as of scikit-learn's ``validate_data``.

    Returns
    -------
    X : ImagePaths or DatasetArray
    y : ndarray, or None where it was not to be read
    """
    if isinstance(y, str) and y == "no_validation":
        return X, None
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, got None")
    y = check_array(
        as_labels(y),
        ensure_2d=False,
        dtype="numeric" if checks.get("y_numeric") else None,
        input_name="y",
    )
    check_consistent_length(X, y)
    return X, y


def flatten_images(X, image_shape=None):
    """Turn images into rows.

    Parameters
    ----------
    X : array-like
        Rows, or images of shape (n, height, width[, channels]) or (n, channels, height, width).
        The last is understood where the axis behind the rows has 1, 3 or 4 entries and the last
        axis has another number of them, unless ``image_shape`` says otherwise.
    image_shape : tuple of int or None, default=None

    Returns
    -------
    X : array-like
        Rows: a view, where ``X`` was an array.
    shape : tuple of int or None
        (height, width, channels); None where ``X`` held rows.
    channels_first : bool
    """
    if isinstance(X, DatasetArray):
        shape = X.row_shape
        if len(shape) not in (2, 3):
            return X, None, False
        if image_shape is not None and tuple(image_shape) == shape:
            return X, (*shape, 1)[:3], False
        check_channels(shape)
        return X, *_read_shape(shape)
    if isinstance(X, list) and _depth(X) > 2:
        X = np.asarray(X)
    shape = tuple(X.shape[1:]) if isinstance(X, np.ndarray | torch.Tensor) else ()
    if len(shape) not in (2, 3):
        return X, None, False
    # A memory-mapped array stays one, and so is known not to be copied.
    rows = X.reshape(len(X), -1)
    if image_shape is not None and tuple(image_shape) == shape:
        return rows, (*shape, 1)[:3], False
    check_channels(shape)
    return rows, *_read_shape(shape)


def _depth(X):
    """Return the number of lists within lists; 0 where they are ragged."""
    try:
        return np.ndim(X)
    except ValueError:
        return 0


def _read_shape(shape):
    """Return (height, width, channels) of a shape, and whether the shape has channels first."""
    if len(shape) == 2:
        return (*shape, 1), False
    if has_channels_first(shape):
        return (*shape[1:], shape[0]), True
    return shape, False


def _described(shape, channels_first):
    if shape is None:
        return "rows"
    if not channels_first:
        return f"images of shape {shape}"
    return f"images of shape {(shape[2], *shape[:2])}, channels first"


def check_image_shape(found, channels_first, given, n_features):
    """Shape of the images: as found, or as the argument ``image_shape`` says.

    Returns
    -------
    shape : tuple of int or None
        (height, width, channels)
    channels_first : bool
    """
    if given is None:
        return found, channels_first
    given = tuple(given)
    sides = all(is_whole(side) and side > 0 for side in given)
    if len(given) not in (2, 3) or not sides:
        raise ValueError(f"image_shape={given} is not (height, width) or (height, width, channels)")
    if np.prod(given) != n_features:
        given = (*given, 1)[:3]
        raise ValueError(
            f"image_shape={given} has {np.prod(given)} values, but X has {n_features} features"
        )
    if found is None:
        return _read_shape(given)
    if found not in (_read_shape(given)[0], (*given, 1)[:3]):
        raise ValueError(f"image_shape={given} does not fit X, whose images are of shape {found}")
    return found, channels_first


def kept_dtypes(X, integers=False):
    """Dtypes that validation leaves alone: bytes, and any memory-mapped array, are not copied."""
    kept = [np.float32, np.uint8]
    if isinstance(X, np.memmap):
        kept.append(X.dtype)
    if integers:
        kept += [np.int64, np.int32, np.int16, np.int8, np.uint16, np.uint32]
    return kept
