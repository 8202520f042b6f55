"""Pairs for verification, drawn as LFW's are."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils.random import sample_without_replacement

from metriclearn._types import Seed
from metriclearn._validation import as_count
from metriclearn.metrics._checks import check_one_label_each


class VerificationPairs(NamedTuple):
    """Pairs of rows, in folds that share no identity.

    Parameters
    ----------
    indices : ndarray of int, shape (n, 2)
        Row numbers of the first and the second of each pair.
    same : ndarray of bool, shape (n,)
        Whether both are of one identity.
    folds : ndarray of int, shape (n,)
        Fold of each pair.

    See Also
    --------
    verification_pairs : Draw them.

    Examples
    --------
    >>> from metriclearn.metrics import verification_pairs
    >>> pairs = verification_pairs([0, 0, 1, 1, 2, 2, 3, 3], n_folds=2, n_pairs=1, random_state=0)
    >>> pairs.same
    array([ True, False,  True, False])
    """

    indices: np.ndarray
    same: np.ndarray
    folds: np.ndarray


def verification_pairs(
    labels: ArrayLike,
    *,
    n_folds: int = 10,
    n_pairs: int = 300,
    random_state: Seed = None,
) -> VerificationPairs:
    """Draw pairs in folds of disjoint identities, as the 6,000 pairs of LFW [1]_.

    Each fold has as many pairs of one identity as of two, and none of them twice.

    Parameters
    ----------
    labels : array-like of shape (n_rows,)
        Identity of each row.
    n_folds : int, default=10
        Folds, from 2 to half the number of identities.
    n_pairs : int, default=300
        Of each kind in each fold; 10 folds of 300 and 300 are 6,000.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawing.

    Returns
    -------
    VerificationPairs
        ``indices``, ``same`` and ``folds``, fold by fold.

    Raises
    ------
    ValueError
        If a fold has fewer different pairs of a kind.

    See Also
    --------
    verification_accuracy : Accuracy in these folds.
    metriclearn.constraints.pairs_from_labels : Pairs to learn from.

    References
    ----------
    .. [1] Huang, G. B., Ramesh, M., Berg, T. & Learned-Miller, E. "Labeled faces in the wild",
       University of Massachusetts, Amherst, Technical Report 07-49, 2007.
       https://vis-www.cs.umass.edu/lfw/

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.metrics import verification_pairs
    >>> indices, same, folds = verification_pairs(
    ...     np.repeat(np.arange(600), 10), random_state=0)
    >>> indices.shape, int(same.sum()), np.bincount(folds).tolist()[:2]
    ((6000, 2), 3000, [600, 600])
    """
    labels = check_one_label_each(labels, "labels")
    names, codes = np.unique(labels, return_inverse=True)
    as_count(n_pairs, "n_pairs")
    if not 2 <= n_folds <= len(names) / 2:
        raise ValueError(
            f"n_folds={n_folds} must be from 2 to {len(names) // 2}: a fold needs two identities, "
            f"labels has {len(names)}"
        )
    rng = check_random_state(random_state)
    fold_of = rng.permutation(np.arange(len(names)) % n_folds)
    drawn = []
    for fold in range(n_folds):
        rows = np.flatnonzero(fold_of[codes] == fold)
        rows = rows[np.argsort(codes[rows], kind="stable")]
        for draw in (_same, _different):
            pairs = draw(codes[rows], n_pairs, rng)
            if len(pairs) < n_pairs:
                kind = "one identity" if draw is _same else "two identities"
                raise ValueError(
                    f"n_pairs={n_pairs}, but fold {fold} has {len(pairs)} pairs of {kind}; take "
                    f"fewer pairs or fewer folds"
                )
            drawn.append(rows[pairs])
    return VerificationPairs(
        np.concatenate(drawn),
        np.tile(np.repeat([True, False], n_pairs), n_folds),
        np.repeat(np.arange(n_folds), 2 * n_pairs),
    )


def _same(codes, n_pairs, rng):
    """Draw at most ``n_pairs`` pairs of one identity; ``codes`` are sorted."""
    _, starts, counts = np.unique(codes, return_index=True, return_counts=True)
    ends = np.cumsum(counts * (counts - 1) // 2)
    chosen = _sample(ends[-1], n_pairs, rng)
    identity = np.searchsorted(ends, chosen, side="right")
    before = np.concatenate([[0], ends])[identity]
    return starts[identity][:, None] + _pair(chosen - before)


def _different(codes, n_pairs, rng):
    """Draw at most ``n_pairs`` pairs of two identities."""
    counts = np.unique(codes, return_counts=True)[1]
    n_all = len(codes) * (len(codes) - 1) // 2
    n_different = n_all - int(np.sum(counts * (counts - 1) // 2))
    # As many of all pairs as make it very likely that enough are of two identities.
    wanted = n_all if n_different <= n_pairs else int(2 * n_pairs * n_all / n_different) + 64
    while True:
        pairs = _pair(_sample(n_all, wanted, rng))
        pairs = pairs[codes[pairs[:, 0]] != codes[pairs[:, 1]]][:n_pairs]
        if len(pairs) >= min(n_pairs, n_different):
            return pairs
        wanted *= 2


def _sample(n, size, rng):
    return sample_without_replacement(n, min(n, size), random_state=rng).astype(np.int64)


def _pair(number):
    """Return the pairs ``i < j``, in the order 01, 02, 12, 03, ..., of these numbers."""
    j = ((1 + np.sqrt(1 + 8 * number)) / 2).astype(np.int64)
    # The root may be rounded over the edge of a whole number.
    j -= j * (j - 1) // 2 > number
    j += j * (j + 1) // 2 <= number
    return np.stack([number - j * (j - 1) // 2, j], axis=1)
