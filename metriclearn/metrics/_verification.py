"""Verification: are these two the same? Thresholds on a distance, and their errors."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length

from metriclearn._unused import warn_ignored
from metriclearn._validation import as_truths, check_numeric, check_share, check_unmasked
from metriclearn.metrics._checks import check_rows

CRITERIA = ("accuracy", "f1", "max_tpr", "eer")


@dataclass(frozen=True, eq=False, repr=False)
class Curve:
    """Errors at every threshold that changes a decision; a pair is accepted if ``d <= τ``.

    Attributes
    ----------
    thresholds : ndarray of shape (m,)
        Rising: below all distances, midway between neighboring ones, above all.
    tar : ndarray of shape (m,)
        True accept rate: accepted among pairs that are the same.
    far : ndarray of shape (m,)
        False accept rate: accepted among pairs that are not.
    n_same, n_different : float
        Total weights.
    """

    thresholds: np.ndarray
    tar: np.ndarray
    far: np.ndarray
    n_same: float
    n_different: float

    def __repr__(self):
        return (
            f"<Curve of {len(self.thresholds)} thresholds, {self.n_same:g} pairs the same, "
            f"{self.n_different:g} different>"
        )

    def tar_at(self, far):
        """Return the largest true accept rate at false accept rates of at most ``far``."""
        return self.tar[np.searchsorted(self.far, far, side="right") - 1]


def verification_curve(
    same: ArrayLike, distances: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> Curve:
    """Compute accept rates at every threshold on the distance (the ROC curve) [1]_.

    Parameters
    ----------
    same : array-like of shape (n,)
        True (or 1) for pairs of the same identity, False (or 0, or -1) for others.
    distances : array-like of shape (n,)
        Learned distance of each pair.
    sample_weight : array-like of shape (n,), default=None
        Not negative; all one by default.

    Returns
    -------
    Curve
        With ``thresholds``, ``tar`` and ``far``.

    Raises
    ------
    ValueError
        If there are no pairs of one kind, or distances are not finite.

    See Also
    --------
    equal_error_rate : The error where both rates are equal.
    tar_at_far : The accept rate at one false accept rate.
    sklearn.metrics.det_curve : Of scores instead of distances.

    References
    ----------
    .. [1] Fawcett, T. "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006.
       :doi:`10.1016/j.patrec.2005.10.010`

    Examples
    --------
    >>> from metriclearn.metrics import verification_curve
    >>> curve = verification_curve([1, 1, 0, 0], [0.2, 0.6, 0.4, 0.9])
    >>> curve.tar, curve.far
    (array([0. , 0.5, 0.5, 1. , 1. ]), array([0. , 0. , 0.5, 0.5, 1. ]))
    """
    same, distances, weights = _check(same, distances, sample_weight)
    order = np.argsort(distances, kind="stable")
    distances, same, weights = distances[order], same[order], weights[order]
    last = np.flatnonzero(np.append(np.diff(distances) > 0, True))
    accepted = np.concatenate([[0], np.cumsum(weights * same)[last]])
    wrong = np.concatenate([[0], np.cumsum(weights * ~same)[last]])
    levels = distances[last]
    thresholds = np.concatenate(
        [[np.nextafter(levels[0], -np.inf)], (levels[:-1] + levels[1:]) / 2, levels[-1:]]
    )
    return Curve(thresholds, accepted / accepted[-1], wrong / wrong[-1], accepted[-1], wrong[-1])


def _check(same, distances, sample_weight):
    distances = check_rows(distances, "distances", dtype=[np.float64], ensure_2d=False)
    check_unmasked(same, "same")
    same = np.asarray(same)
    if distances.ndim != 1 or same.shape != distances.shape:
        raise ValueError(
            f"same and distances must be one-dimensional and as long as each other, got shapes "
            f"{same.shape} and {distances.shape}"
        )
    same = as_truths(same, "same")
    if sample_weight is None:
        weights = np.ones(len(same))
    else:
        check_numeric(sample_weight, "sample_weight")
        weights = np.asarray(sample_weight, float)
    check_consistent_length(same, weights)
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise ValueError("sample_weight must be finite and not negative")
    for kind, name in ((same, "the same identity"), (~same, "different identities")):
        if not weights[kind].sum() > 0:
            raise ValueError(f"same has no pair of {name}; both kinds are needed")
    return same, distances, weights


def equal_error_rate(
    same: ArrayLike, distances: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Compute the error where false accepts and false rejects are equally frequent [1]_.

    Between the thresholds that the data offer, both rates are taken as linear.

    Parameters
    ----------
    same : array-like of shape (n,)
        True (or 1) for pairs of the same identity, False (or 0, or -1) for others.
    distances : array-like of shape (n,)
        Learned distance of each pair.
    sample_weight : array-like of shape (n,), default=None
        Not negative; all one by default.

    Returns
    -------
    float
        From 0 to 1.

    See Also
    --------
    tar_at_far : At a false accept rate of your choice.
    verification_curve : Both rates at every threshold.

    References
    ----------
    .. [1] Fawcett, T. "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006.
       :doi:`10.1016/j.patrec.2005.10.010`

    Examples
    --------
    >>> from metriclearn.metrics import equal_error_rate
    >>> equal_error_rate([1, 1, 0, 0], [0.2, 0.6, 0.4, 0.9])
    0.5
    """
    return _equal_error(verification_curve(same, distances, sample_weight=sample_weight))


def _equal_error(curve):
    difference = curve.far + curve.tar - 1  # far - frr, rising from -1 to 1
    after = int(np.argmax(difference >= 0))
    low, high = difference[after - 1], difference[after]
    share = -low / (high - low)
    return float(curve.far[after - 1] + share * (curve.far[after] - curve.far[after - 1]))


def tar_at_far(
    same: ArrayLike,
    distances: ArrayLike,
    far: float = 0.001,
    *,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Compute the largest true accept rate at a bounded false accept rate [1]_.

    Parameters
    ----------
    same : array-like of shape (n,)
        True (or 1) for pairs of the same identity, False (or 0, or -1) for others.
    distances : array-like of shape (n,)
        Learned distance of each pair.
    far : float, default=1e-3
        Largest false accept rate allowed, from 0 to 1. Rates below one over the
        number of different pairs cannot be told from zero, which is a warning.
    sample_weight : array-like of shape (n,), default=None
        Not negative; all one by default.

    Returns
    -------
    float
        From 0 to 1.

    See Also
    --------
    identification_rate_at_far : The same of one query against a gallery.
    verification_curve : Rates at every threshold.

    References
    ----------
    .. [1] Klare, B. F. et al. "Pushing the frontiers of unconstrained face detection and
       recognition: IARPA Janus Benchmark A", CVPR, 2015. :doi:`10.1109/CVPR.2015.7298803`

    Examples
    --------
    >>> from metriclearn.metrics import tar_at_far
    >>> tar_at_far([1, 1, 0, 0], [0.2, 0.6, 0.4, 0.9], far=0.0)
    0.5
    """
    check_share(far, "far")
    curve = verification_curve(same, distances, sample_weight=sample_weight)
    _warn_of_small_rate(far, int(np.sum(np.asarray(same) <= 0)))
    return float(curve.tar_at(far))


def fpr_at_tpr(
    same: ArrayLike,
    distances: ArrayLike,
    tpr: float = 0.95,
    *,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Compute the smallest false accept rate at which enough true pairs are accepted, FPR@95 [1]_.

    Parameters
    ----------
    same : array-like of shape (n,)
        True (or 1) for pairs of the same identity, False (or 0, or -1) for others.
    distances : array-like of shape (n,)
        Learned distance of each pair, or minus its score.
    tpr : float, default=0.95
        Least true accept rate, from 0 to 1.
    sample_weight : array-like of shape (n,), default=None
        Not negative; all one by default.

    Returns
    -------
    float
        From 0 to 1; smaller is better.

    See Also
    --------
    tar_at_far : The other way round.
    verification_curve : Rates at every threshold.

    References
    ----------
    .. [1] M. Brown, G. Hua and S. Winder, "Discriminative learning of local image descriptors",
       IEEE TPAMI 33(1), 2011. :doi:`10.1109/TPAMI.2010.54`

    Examples
    --------
    >>> from metriclearn.metrics import fpr_at_tpr
    >>> fpr_at_tpr([1, 1, 0, 0], [0.2, 0.6, 0.4, 0.9], tpr=0.95)
    0.5
    """
    check_share(tpr, "tpr")
    curve = verification_curve(same, distances, sample_weight=sample_weight)
    # Sums of weights may be rounded just below the rate.
    return float(curve.far[np.argmax(curve.tar >= tpr - 1e-12)])


def _warn_of_small_rate(far, n_different):
    """Warn where no pair may be accepted falsely, though some rate above 0 was asked for."""
    if 0 < far < 1 / n_different:
        warnings.warn(
            f"far={far:g} is below one over the {n_different} different pairs: the rate "
            f"at the nearest of them is returned, whose true false accept rate can be several "
            f"times as large; measure on more different pairs, at least {10 / far:.0f}",
            UserWarning,
            stacklevel=3,
        )


def best_threshold(
    same: ArrayLike,
    distances: ArrayLike,
    criterion: str = "accuracy",
    *,
    max_fpr: float = 0.01,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Choose the threshold τ on a distance; a pair is accepted if ``d <= τ``.

    Parameters
    ----------
    same : array-like of shape (n,)
        True (or 1) for pairs of the same identity, False (or 0, or -1) for others.
    distances : array-like of shape (n,)
        Learned distance of each pair.
    criterion : {"accuracy", "f1", "max_tpr", "eer"}, default="accuracy"
        Most right decisions; largest F1 of the accepted; most true accepts with a
        false accept rate of at most ``max_fpr``; false accepts as frequent as false
        rejects.
    max_fpr : float, default=0.01
        Only for ``"max_tpr"``.
    sample_weight : array-like of shape (n,), default=None
        Not negative; all one by default.

    Returns
    -------
    float
        Midway between two distances of the data; of equals, the smallest.

    Raises
    ------
    ValueError
        For an unknown ``criterion``, ``max_fpr`` not from 0 to 1, or pairs of one kind only.

    See Also
    --------
    metriclearn.verification.PairClassifier : A classifier with such a threshold.

    Examples
    --------
    >>> from metriclearn.metrics import best_threshold
    >>> best_threshold([1, 1, 0, 0], [0.2, 0.4, 0.6, 0.9])
    0.5
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {CRITERIA}, got {criterion!r}")
    check_share(max_fpr, "max_fpr")
    if criterion != "max_tpr":
        warn_ignored(best_threshold, {"max_fpr": max_fpr}, "with criterion='max_tpr'")
    curve = verification_curve(same, distances, sample_weight=sample_weight)
    accepted, wrong = curve.tar * curve.n_same, curve.far * curve.n_different
    value = {
        "accuracy": lambda: accepted - wrong,
        "f1": lambda: 2 * accepted / (accepted + wrong + curve.n_same),
        "max_tpr": lambda: np.where(curve.far <= max_fpr, curve.tar, -1),
        "eer": lambda: -np.abs(curve.far + curve.tar - 1),
    }[criterion]()
    return float(curve.thresholds[np.argmax(value)])


def verification_accuracy(
    same: ArrayLike, distances: ArrayLike, folds: int | ArrayLike = 10
) -> np.ndarray:
    """Compute accuracies of folds, the threshold of each chosen on the others [1]_.

    Parameters
    ----------
    same : array-like of shape (n,)
        True (or 1) for pairs of the same identity, False (or 0, or -1) for others.
    distances : array-like of shape (n,)
        Learned distance of each pair.
    folds : int or array-like of int, shape (n,), default=10
        Fold number of each pair, or the number of contiguous folds (as LFW's 6,000
        pairs are given: 10 folds of 300 and 300).

    Returns
    -------
    ndarray of shape (n_folds,)
        Report ``mean()`` and ``std(ddof=1) / sqrt(n_folds)`` .

    Raises
    ------
    ValueError
        If there are fewer than 2 folds, or the pairs beside one fold are of one kind only.

    See Also
    --------
    verification_pairs : Draw pairs in such folds.
    best_threshold : The threshold of one set of pairs.

    References
    ----------
    .. [1] Huang, G. B., Ramesh, M., Berg, T. & Learned-Miller, E. "Labeled faces in the wild",
       University of Massachusetts, Amherst, Technical Report 07-49, 2007.
       https://vis-www.cs.umass.edu/lfw/

    Examples
    --------
    >>> from metriclearn.metrics import verification_accuracy
    >>> verification_accuracy([1, 0, 1, 0], [0.1, 0.9, 0.4, 0.8], folds=2)
    array([1., 1.])
    """
    same, distances, _ = _check(same, distances, None)
    if np.ndim(folds) == 0:
        if not 2 <= folds <= len(same):
            raise ValueError(f"folds must be from 2 to {len(same)}, the number of pairs")
        folds = np.arange(len(same)) * folds // len(same)
    folds = np.asarray(folds)
    check_consistent_length(same, folds)
    accuracies = []
    for fold in np.unique(folds):
        test = folds == fold
        _check_fold(fold, same[~test])
        threshold = best_threshold(same[~test], distances[~test])
        accuracies.append(np.mean((distances[test] <= threshold) == same[test]))
    return np.array(accuracies)


def _check_fold(fold, same):
    if same.all() or not same.any():
        kind = "different identities" if same.all() else "the same identity"
        raise ValueError(
            f"folds: beside fold {fold} there is no pair of {kind} to choose a threshold from; "
            f"pairs sorted by kind fall into contiguous folds of one kind each: shuffle them, or "
            f"give the fold number of each pair"
        )
