"""Which rows train and which validate; Recall@1 of those that do."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Validation:
    """Rows that validate, and the rows they are searched among.

    Parameters
    ----------
    queries : ndarray of int
        Held-out rows.
    gallery : ndarray of int
        Training rows searched besides the other held-out rows. Of classes that are not held out
        they are wrong answers, as the rest of the world will be.
    """

    queries: np.ndarray
    gallery: np.ndarray


# Below these "auto" validates more simply, or not at all. Of 5 held-out classes
# or 500 held-out rows Recall@1 is known to half a percent; of much less it would
# choose among the epochs by chance, at the price of rows to train on.
ENOUGH_CLASSES = 50
ENOUGH_ROWS = 500
LARGEST_GALLERY = 5000
# Of so many queries Recall@1 is known to half a percent; all of them are searched among.
MOST_QUERIES = 10_000
# Distances held at a time.
_VALUES = 2**23


def split_rows(codes, validation, fraction, rng):
    """Choose the rows to train on and the rows to validate with.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        Class of each row, 0 to n_classes - 1; -1 for a row without a label, which neither trains
        nor validates.
    validation : {"auto", "class_disjoint", "stratified"}, None or array of int
        As in :class:`DeepEmbedder`.
    fraction : float in (0, 1)
        Share of classes, or of each class's rows, to hold out.
    rng : numpy.random.Generator

    Returns
    -------
    train : ndarray of int
        Row numbers.
    validation : Validation or None
    """
    labeled = np.flatnonzero(codes >= 0)
    if not isinstance(validation, str) and validation is not None:
        held = _given_rows(validation, len(codes))
        if (codes[held] < 0).any():
            raise ValueError("validation names rows without a label (-1); name labeled ones")
        held = held[labeled]
        if held.all():
            raise ValueError("validation names every labeled row of X; leave some to train on")
    else:
        held = _hold(codes[labeled], validation, fraction, rng)
    if held is None:
        return labeled, None
    train, queries = labeled[~held], labeled[held]
    if np.bincount(codes[labeled])[codes[queries]].max() < 2:
        raise ValueError(
            "validation names rows whose classes have no other row, so no Recall@1 can be measured"
        )
    gallery = train
    if len(gallery) > LARGEST_GALLERY:
        gallery = np.sort(rng.choice(gallery, LARGEST_GALLERY, replace=False))
    return train, Validation(queries, gallery)


def _hold(codes, validation, fraction, rng):
    """Choose the rows to hold out by a rule; None where none are."""
    counts = np.bincount(codes)
    if validation == "auto":
        validation = None
        if len(counts) >= ENOUGH_CLASSES:
            validation = "class_disjoint"
        elif np.sum(np.floor(fraction * counts)) >= ENOUGH_ROWS:
            validation = "stratified"
    if validation is None:
        return None
    if validation == "class_disjoint":
        return _hold_classes(counts, fraction, rng)[codes]
    return _hold_rows(codes, counts, fraction, rng)


def _hold_classes(counts, fraction, rng):
    n_held = max(2, round(fraction * len(counts)))
    if n_held > len(counts) - 2:
        raise ValueError(
            f"validation='class_disjoint' needs 2 classes to train on and 2 to hold out, y has "
            f"{len(counts)} classes; use 'stratified', or None"
        )
    held = np.zeros(len(counts), dtype=bool)
    held[rng.permutation(len(counts))[:n_held]] = True
    if counts[held].max() < 2:
        raise ValueError(
            "validation='class_disjoint' held out classes of one row only, where no Recall@1 can "
            "be measured; use 'stratified', or None"
        )
    return held


def _hold_rows(codes, counts, fraction, rng):
    """Hold out the fraction of each class's rows, of a class of 3 rows or more at least one."""
    n_held = np.floor(fraction * counts).astype(int)
    n_held = np.maximum(n_held, counts >= 3)
    if not n_held.any():
        raise ValueError(
            "validation='stratified' needs a class of at least 3 rows to hold one out; use None"
        )
    shuffled = rng.permutation(len(codes))
    by_class = shuffled[np.argsort(codes[shuffled], kind="stable")]
    within = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    held = np.zeros(len(codes), dtype=bool)
    held[by_class[within < np.repeat(n_held, counts)]] = True
    return held


def _given_rows(validation, n_rows):
    rows = np.asarray(validation)
    if rows.ndim != 1 or len(rows) == 0 or not np.issubdtype(rows.dtype, np.integer):
        raise ValueError(
            f"validation must be 'auto', 'class_disjoint', 'stratified', None or a 1-D array of "
            f"row numbers, got an array of {rows.dtype} of shape {rows.shape}"
        )
    if rows.min() < 0 or rows.max() >= n_rows:
        raise ValueError(
            f"validation names row {rows.max() if rows.max() >= n_rows else rows.min()}, but X "
            f"has {n_rows} rows (0 to {n_rows - 1})"
        )
    held = np.zeros(n_rows, dtype=bool)
    held[rows] = True
    if held.all():
        raise ValueError("validation names every row of X; leave some to train on")
    return held


def recall_at_1(queries, query_codes, gallery, gallery_codes):
    """Share of queries whose nearest other row is of their class.

    Each query is searched among the gallery and the other queries; queries
    with no row of their class there do not count. Of more than 10,000 as many, evenly spread,
    are searched for.

    Parameters
    ----------
    queries : tensor of shape (n, d)
    query_codes : tensor of int, shape (n,)
    gallery : tensor of shape (m, d)
        May be empty.
    gallery_codes : tensor of int, shape (m,)

    Returns
    -------
    float
        NaN where no query counts.
    """
    everything = torch.cat([queries, gallery])
    codes = torch.cat([query_codes, gallery_codes])
    sq_norms = everything.square().sum(dim=1)
    counted = (torch.bincount(codes)[query_codes] > 1).nonzero()[:, 0]
    if len(counted) > MOST_QUERIES:
        spread = torch.arange(MOST_QUERIES, device=counted.device) * len(counted) // MOST_QUERIES
        counted = counted[spread]
    hits = [torch.empty(0, device=queries.device)]
    for part in counted.split(min(1024, max(1, _VALUES // len(everything)))):
        # The query's own squared norm shifts its whole row, and no minimum.
        distances = torch.addmm(sq_norms, queries[part], everything.T, alpha=-2)
        distances[torch.arange(len(part), device=part.device), part] = torch.inf
        hits.append((codes[distances.argmin(dim=1)] == query_codes[part]).float())
    return torch.cat(hits).mean().item()
