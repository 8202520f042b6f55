"""Rows of an array as tensors, a batch at a time."""

from contextlib import contextmanager

import numpy as np
import torch
from sklearn.utils.validation import assert_all_finite

# Of an accelerator's free memory, the share that data may take to stay there.
RESIDENT_SHARE = 0.25
# What is mapped from a file is moved to an accelerator in blocks of about this many bytes.
BLOCK_BYTES = 2**26


class Rows:
    """The rows of ``X``, converted batch by batch and never as a whole.

    Training and embedding ask five things of rows: their number, :meth:`take`,
    :meth:`reading_ahead`, ``values_per_row`` and ``image_shape``; a checkpoint also asks for
    ``sample``.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Any numeric dtype; may be memory-mapped or read-only.
    image_shape : tuple of int or None
        (height, width, channels) of each row; a batch is then of shape
        (b, channels, height, width).
    scale : float
        Factor on the values: 1/255 for bytes.
    device : torch.device
    channels_last : bool, default=False
        Leave images in the memory order they come in, channels last, which
        convolutions are faster on; a network must not ``view`` it as rows.
    channels_first : bool, default=False
        Whether the values of an image are in the order (channels, height, width).
    integers : bool, default=False
        Whether batches are of int64, unscaled.
    """

    def __init__(
        self,
        X,
        image_shape,
        scale,
        device,
        channels_last=False,
        *,
        channels_first=False,
        integers=False,
    ):
        self.X = X
        self.image_shape = image_shape
        self.scale = scale
        self.device = torch.device(device)
        self.channels_last = channels_last
        self.channels_first = channels_first
        self.integers = integers
        self.resident = None
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if X.nbytes < RESIDENT_SHARE * free:
                self.resident = _moved(X, self.device)

    def __len__(self):
        return len(self.X)

    @property
    def values_per_row(self):
        """Number of values in a row."""
        return self.X.shape[1]

    def sample(self, n):
        """Return up to ``n`` rows spread over all of them, as they are stored."""
        return self.X[np.linspace(0, len(self) - 1, min(len(self), n)).astype(np.intp)]

    @contextmanager
    def reading_ahead(self, parts, rng=None):
        """Do nothing: an array needs no reading ahead."""
        yield

    def take(self, rows):
        """Return a batch of the rows given by number or by slice, as a tensor on the device."""
        if self.resident is None:
            batch = torch.from_numpy(_owned(self.X[rows])).to(self.device)
        else:
            if isinstance(rows, np.ndarray):
                rows = torch.from_numpy(rows).to(self.device)
            batch = self.resident[rows]
        if self.image_shape is not None:
            height, width, channels = self.image_shape
            if self.channels_first:
                batch = batch.view(-1, channels, height, width)
            else:
                batch = batch.view(-1, height, width, channels).permute(0, 3, 1, 2)
                if not self.channels_last:
                    batch = batch.contiguous()
        if self.integers:
            return batch.long()
        batch = batch.float()
        return batch if self.scale == 1 else batch * self.scale


def _moved(X, device):
    """Copy ``X`` to a device; what is mapped or read-only passes through memory in blocks."""
    if X.flags.writeable and X.flags.c_contiguous and not isinstance(X, np.memmap):
        return torch.from_numpy(X).to(device)
    step = max(1, BLOCK_BYTES // max(1, X[:1].nbytes))
    first = torch.from_numpy(np.array(X[:step], order="C"))
    moved = torch.empty(X.shape, dtype=first.dtype, device=device)
    moved[:step] = first
    for start in range(step, len(X), step):
        block = np.array(X[start : start + step], order="C")
        moved[start : start + step] = torch.from_numpy(block)
    return moved


def _owned(X):
    """Return ``X``, or a copy where torch could not share its memory."""
    return X if X.flags.writeable and X.flags.c_contiguous else np.array(X, order="C")


def check_finite(X, estimator_name):
    """Check for infinite values and NaN, in a fraction of scikit-learn's time if there are none.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    estimator_name : str
    """
    if X.dtype.kind == "f" and X.flags.c_contiguous:
        values = X.reshape(-1)
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(np.dot(values, values)):
                return
    assert_all_finite(X, estimator_name=estimator_name, input_name="X")
