"""Checks of what a loss or a miner is called with; each costs microseconds.

Values are looked at on the CPU only: on an accelerator every such look makes the step wait.
"""

import torch

from metriclearn._validation import UNLABELED


def check_embeddings(embeddings):
    """Check that embeddings are rows of finite floats, short enough to be compared.

    Parameters
    ----------
    embeddings : tensor of shape (b, d)
    """
    if not isinstance(embeddings, torch.Tensor) or not embeddings.is_floating_point():
        given = type(embeddings).__name__
        if isinstance(embeddings, torch.Tensor):
            given = embeddings.dtype
        raise TypeError(
            f"embeddings must be a tensor of floats, got {given}; "
            f"use torch.as_tensor(embeddings, dtype=torch.float32)"
        )
    if embeddings.ndim != 2:
        raise ValueError(
            f"embeddings must be of shape (b, d) and labels of shape (b,), got embeddings of shape "
            f"{tuple(embeddings.shape)}"
        )
    if embeddings.shape[1] == 0:
        raise ValueError(f"embeddings must have a column at least, got {tuple(embeddings.shape)}")
    if embeddings.device.type == "cpu" and embeddings.numel():
        _check_finite(embeddings.detach())


class NotFiniteError(FloatingPointError, ValueError):
    """Embeddings that are infinite, NaN or too long to be compared."""


def _check_finite(x):
    flat = x.reshape(-1)
    # Squared distances are at most four times the squares; sums run over all pairs.
    room = torch.finfo(torch.float64 if x.dtype == torch.float64 else torch.float32).max
    wide = flat if flat.dtype in (torch.float32, torch.float64) else flat.float()
    if float(torch.dot(wide, wide)) < room / (16 * len(x) ** 2):
        return
    if torch.isfinite(flat).all():
        raise NotFiniteError(
            f"embeddings must be short enough for their distances to be finite, got a value of "
            f"size {float(wide.abs().max()):.3g}; normalize them"
        )
    raise NotFiniteError(
        "embeddings must be finite, got infinite values or NaN; in training, lower the learning "
        "rate or look for extreme values in the rows"
    )


def check_batch(embeddings, labels, *, amounts=False):
    """Check that there is a label for each row of embeddings.

    Parameters
    ----------
    embeddings : tensor of shape (b, d)
    labels : tensor of shape (b,)
    amounts : bool, default=False
        Whether labels may be amounts: of a floating type, and several of a row, in shape (b, q).
    """
    if not isinstance(labels, torch.Tensor):
        raise TypeError(
            f"labels must be a tensor, got a {type(labels).__name__}; use torch.as_tensor(labels)"
        )
    if labels.shape[:1] != embeddings.shape[:1] or labels.ndim > (2 if amounts else 1):
        wanted = "(b,) or (b, q)" if amounts else "(b,)"
        raise ValueError(
            f"embeddings must be of shape (b, d) and labels of shape {wanted}, got "
            f"{tuple(embeddings.shape)} and {tuple(labels.shape)}"
        )
    if labels.is_complex() or (labels.is_floating_point() and not amounts):
        raise ValueError(
            f"labels must be classes of an integer type, got {labels.dtype}; use labels.long(), "
            f"or a loss of amounts such as LogRatioLoss"
        )
    if labels.is_floating_point() and labels.device.type == "cpu":
        finite = torch.isfinite(labels)
        if not finite.all():
            raise ValueError(f"labels must be finite, got {labels[~finite][0].item()}")


def as_codes(labels):
    """Return labels of any integer type, or truth values, as int64; amounts as they are."""
    if labels is None or labels.is_floating_point():
        return labels
    return labels.long()


def labeled_rows(labels):
    """Return the numbers of the rows that have a label, or None where all have.

    Parameters
    ----------
    labels : tensor of shape (b,) or (b, q)
        `UNLABELED` among integers marks a row without one; among floats it is an amount.

    Returns
    -------
    int64 tensor or None
    """
    if labels.ndim != 1 or labels.is_floating_point() or not len(labels):
        return None
    missing = labels == UNLABELED
    return (~missing).nonzero()[:, 0] if missing.any() else None


def check_reference(embeddings, reference):
    """Check that the rows of a reference can be columns behind a batch.

    Parameters
    ----------
    embeddings : tensor of shape (b, d)
    reference : Reference or None
    """
    if reference is None:
        return
    if not isinstance(reference, tuple) or len(reference) != 2:
        raise TypeError(
            f"reference must be Reference(embeddings, labels), got {type(reference).__name__}"
        )
    check_embeddings(reference[0])
    check_batch(*reference)
    if reference[0].shape[1:] != embeddings.shape[1:]:
        raise ValueError(
            f"reference must have rows of {embeddings.shape[1]} dimensions as the embeddings, got "
            f"{reference[0].shape[1]}"
        )


def check_indices(selection, n_rows, n_columns):
    """Check that a selection lists rows of the batch; on the CPU only.

    Parameters
    ----------
    selection : Selection
    n_rows, n_columns : int
        Rows of the batch, and of the batch with its reference.
    """
    for listed, n in zip(selection.indices() or (), (n_rows, n_columns), strict=False):
        if listed.device.type == "cpu" and len(listed):
            low, high = listed.aminmax()
            if low < 0 or high >= n:
                raise ValueError(
                    f"selection must name rows from 0 to {n - 1}, got "
                    f"{int(low if low < 0 else high)}"
                )


def check_codes(name, labels, n_classes):
    """Check that labels are classes from 0 to ``n_classes - 1``; on the CPU only."""
    if labels.device.type == "cpu" and len(labels):
        low, high = labels.aminmax()
        if low < 0 or high >= n_classes:
            raise ValueError(
                f"{name} was built for labels from 0 to {n_classes - 1}, "
                f"got {int(low if low < 0 else high)}"
            )
