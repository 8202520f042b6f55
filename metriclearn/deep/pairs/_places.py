"""Why two images are near or far: the squared distance as a sum over their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from metriclearn.deep._embedder import DeepEmbedder


def place_contributions(
    embedder: DeepEmbedder, A: ArrayLike, B: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Split the squared distances of pairs of images over the places of both.

    An embedding is the mean over the places p of the last map of ``e_p = W f_p + b``, scaled by s
    to length one, so that with z and z' the embeddings of a pair::

        ‖z - z'‖² = Σ_p s (z - z')ᵀ e_p / P  -  Σ_q s' (z - z')ᵀ e'_q / P

    exactly. Places with a negative part make the two more alike. Class activation maps [1]_ split a
    class's score likewise.

    Parameters
    ----------
    embedder : DeepEmbedder
        Fitted on images, with a network whose features are maps that the head averages
        (``head__pooling="avg"``, its default).
    A, B : array-like of shape (n, height, width[, channels])
        The images of each pair.

    Returns
    -------
    of_A, of_B : ndarray of shape (n, map_height, map_width), float64
        What the places of each image add to the squared distance of its pair.

    Raises
    ------
    ValueError
        If the head does more with the maps than average and map them linearly.

    See Also
    --------
    metriclearn.mahalanobis.MahalanobisTransformer.paired_contributions : Of linear metrics, over
        the columns.

    References
    ----------
    .. [1] B. Zhou, A. Khosla, A. Lapedriza, A. Oliva and A. Torralba, "Learning deep features for
       discriminative localization", CVPR, 2016. :doi:`10.1109/CVPR.2016.319`

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from metriclearn.deep import DeepEmbedder, place_contributions
    >>> digits = load_digits()
    >>> embedder = DeepEmbedder("convnet", max_epochs=1, random_state=0)
    >>> embedder = embedder.fit(digits.images[:200], digits.target[:200])
    >>> of_a, of_b = place_contributions(embedder, digits.images[:3], digits.images[3:6])
    >>> of_a.shape[0], of_a.ndim
    (3, 3)
    """
    check_is_fitted(embedder)
    head = embedder.net_.module_.head
    if len(head.feature_shape) != 3 or head.pooling != "avg" or len(head.group_sizes) > 1:
        raise ValueError(
            f"embedder must average maps (channels, height, width) and scale the whole embedding, "
            f"got features of shape {head.feature_shape}, pooling={head.pooling!r} and "
            f"{len(head.group_sizes)} groups"
        )
    if not isinstance(head.norm, torch.nn.Identity):
        raise ValueError("embedder has layer_norm=True, which no sum over places goes through")
    places, scaled = zip(*(_places(embedder, X) for X in (A, B)), strict=True)
    if len(places[0]) != len(places[1]):
        raise ValueError(
            f"A and B must be as many images, got {len(places[0])} and {len(places[1])}"
        )
    difference = scaled[0] - scaled[1]
    parts = [np.einsum("nd,ndhw->nhw", difference, made) for made in places]
    return parts[0], -parts[1]


def _places(embedder, X):
    """Return what each place adds to the embeddings of images, and these."""
    net = embedder.net_
    head = net.module_.eval().head
    rows = net.inputs_.rows(net.inputs_.check_to_embed(embedder, X), net.device)
    with torch.inference_mode():
        maps = net.module_.features(rows.take(slice(None))).double()
        if isinstance(head.linear, torch.nn.Linear):
            made = torch.einsum("dc,nchw->ndhw", head.linear.weight.double(), maps)
            if head.linear.bias is not None:
                made = made + head.linear.bias.double()[:, None, None]
        else:
            made = maps
        made = made / made[0, 0].numel()
        whole = made.sum(dim=(2, 3))
        if head.normalize:
            length = whole.norm(dim=1).clamp(min=1e-12)
            made, whole = made / length[:, None, None, None], whole / length[:, None]
    return made.cpu().numpy(), whole.cpu().numpy()
