"""Nearest rows of other classes in a whole training set: data-set mining."""

from importlib.util import find_spec

import numpy as np
import torch

from metriclearn.neighbors._indexes import build_search

# Distances held at a time in a search for neighbors.
DISTANCES_AT_A_TIME = 2**24
# Rows up to which every distance is formed: about ten seconds on one core.
LARGEST_EXACT = 50_000
# Neighbors of the own class that an index is asked for in vain, at most.
MOST_IN_VAIN = 256


def resolve_index(index, n, device):
    """Resolve "auto": exact where that is quick, or where faiss is not installed."""
    if index != "auto":
        return index
    approximate = n > LARGEST_EXACT and device.type == "cpu" and find_spec("faiss") is not None
    return "ivf" if approximate else "flat"


def nearest_of_other_classes(embeddings, codes, k, index="auto"):
    """Find the ``k`` nearest rows of other classes for each row.

    Parameters
    ----------
    embeddings : tensor of shape (n, d)
    codes : ndarray of int, shape (n,)
        Class of each row.
    k : int
        Fewer are found where some class leaves fewer.
    index : {"auto", "flat", "ivf", "hnsw"} or str
        "flat" forms all distances; the others are indexes of faiss, whose clusters are
        seeded.

    Returns
    -------
    ndarray of int, shape (n, k)
        Row numbers, nearest first.
    """
    largest = int(np.bincount(codes).max())
    k = min(k, len(codes) - largest)
    index = resolve_index(index, len(codes), embeddings.device)
    everything = np.arange(len(codes))
    if index == "flat":
        return _exact(embeddings, codes, everything, k)
    search = build_search(embeddings.cpu().numpy(), "euclidean", index)
    _, near = search.search_all(min(len(codes) - 1, k + min(largest - 1, MOST_IN_VAIN)))
    own = codes[near] == codes[:, None]
    # Those of other classes first, in the order they came.
    chosen = np.argsort(own, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(near, chosen, axis=1)
    short = everything[near.shape[1] - own.sum(axis=1) < k]
    if len(short):
        found[short] = _exact(embeddings, codes, short, k)
    return found


def _exact(embeddings, codes, rows, k):
    """Find them for some rows by all their distances, on the device of the embeddings."""
    codes = torch.from_numpy(codes).to(embeddings.device)
    sq_norms = embeddings.square().sum(dim=1)
    found = []
    step = max(1, DISTANCES_AT_A_TIME // len(codes))
    for part in torch.from_numpy(rows).to(embeddings.device).split(step):
        # The row's own squared norm shifts all its distances, and no order.
        distances = sq_norms - 2 * embeddings[part] @ embeddings.T
        distances.masked_fill_(codes[part][:, None] == codes, torch.inf)
        found.append(distances.topk(k, largest=False).indices.cpu())
    return torch.cat(found).numpy()
