"""Checks of what a loss or a miner is called with; each costs microseconds."""

import torch


def check_batch(embeddings, labels, *, several=False):
    """Refuse what is no batch of embeddings with a label each.

    Parameters
    ----------
    embeddings : tensor of shape (b, d)
    labels : tensor of shape (b,)
    several : bool, default=False
        Whether a row may have several labels, in shape (b, q).

    Raises
    ------
    TypeError
        If the labels are no tensor.
    ValueError
        If the shapes do not fit.
    """
    if not isinstance(labels, torch.Tensor):
        raise TypeError(
            f"labels must be a tensor, got a {type(labels).__name__}; use torch.as_tensor(labels)"
        )
    fits = embeddings.ndim == 2 and labels.shape[:1] == embeddings.shape[:1]
    if not fits or labels.ndim > (2 if several else 1):
        wanted = "(b,) or (b, q)" if several else "(b,)"
        raise ValueError(
            f"embeddings must be of shape (b, d) and labels of shape {wanted}, got "
            f"{tuple(embeddings.shape)} and {tuple(labels.shape)}"
        )


def check_codes(name, labels, n_classes):
    """Refuse labels that are no classes from 0 to ``n_classes - 1``; on the CPU only.

    On an accelerator the comparison would make every step wait for the device.
    """
    if labels.device.type == "cpu" and len(labels):
        low, high = labels.aminmax()
        if low < 0 or high >= n_classes:
            raise ValueError(
                f"{name} was built for labels from 0 to {n_classes - 1}, "
                f"got {int(low if low < 0 else high)}"
            )
