"""How sure a lead of one learner over another is: intervals, p-values, what a run can show.

A lead is a list of paired differences, one for each fold. All of this module is made of
such lists and of the numbers of rows that the folds train and test on.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

#: Errors of this share are accepted: a p-value below it is called a difference.
SIGNIFICANT = 0.05
#: With fewer folds, chance alone makes leads look certain too often: no p-value is given.
MIN_FOLDS = 5
_CLOSE = 0.05  # share of the interval within which its end is nearly zero


@dataclass(frozen=True)
class Lead:
    """By how much one learner is ahead of another, and how sure that is.

    Attributes
    ----------
    mean : float
        Mean difference of the scores over the folds.
    low, high : float or None
        95% confidence interval of the mean; None with fewer than ``MIN_FOLDS`` folds.
    p_value : float or None
        Of the corrected resampled t-test, two-sided; None with fewer than ``MIN_FOLDS`` folds.
    smallest : float or None
        The smallest lead that these folds would have detected, at 5%.
    n_folds : int
        Folds that both learners finished.
    """

    mean: float
    low: float | None
    high: float | None
    p_value: float | None
    smallest: float | None
    n_folds: int

    @property
    def is_told(self):
        """Whether the lead is beyond the noise, as the only one that is tested."""
        return self.p_value is not None and self.p_value < SIGNIFICANT

    @property
    def is_close(self):
        """Whether an end of the interval is nearly zero: a little more would tell otherwise."""
        if self.low is None or self.high is None:
            return False
        return min(abs(self.low), abs(self.high)) < _CLOSE * (self.high - self.low)


def measure_lead(differences, n_train, n_test):
    """Measure a lead with the corrected resampled t-test (Nadeau & Bengio, 2003).

    ::

        t = mean(d) / sqrt((1/k + n_test/n_train) · v),   k - 1 degrees of freedom

    The plain paired t-test treats the k folds as independent and finds differences where
    there are none; the second term corrects for the training rows that folds share. The
    variance v of the differences is that of the folds, but not below what chance does to
    rows of a test part (see :func:`variance_floor`): folds that agree by luck prove nothing.

    Parameters
    ----------
    differences : array-like of shape (k,)
        Score of one learner minus score of the other, from -1 to 1, fold by fold.
    n_train, n_test : float
        Rows of a typical fold.

    Returns
    -------
    Lead

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine
       Learning 52, 2003. :doi:`10.1023/A`:1024068626366

    Examples
    --------
    >>> lead = measure_lead([0.02, 0.03, 0.02, 0.03, 0.02], n_train=4000, n_test=1000)
    >>> round(lead.p_value, 4), lead.is_told
    (0.0028, True)
    >>> measure_lead([1 / 75, 1 / 75], n_train=75, n_test=75).p_value is None
    True
    """
    d = np.asarray(differences, dtype=np.float64)
    k = len(d)
    mean = float(d.mean()) if k else 0.0
    if k < MIN_FOLDS:
        return Lead(mean, None, None, None, None, k)
    error = standard_error(d, n_train, n_test)
    reach = _quantile(k) * error
    p_value = float(2 * student_t.sf(abs(mean) / error, k - 1))
    return Lead(mean, mean - reach, mean + reach, p_value, reach, k)


def standard_error(differences, n_train, n_test):
    """Compute the corrected standard error of a mean difference over folds.

    Parameters
    ----------
    differences : ndarray of shape (k,)
        At least two.
    n_train, n_test : float
        Rows of a typical fold.

    Returns
    -------
    float
        Above 0.
    """
    variance = max(differences.var(ddof=1), variance_floor(differences.mean(), n_test))
    return float(np.sqrt((1 / len(differences) + n_test / n_train) * variance))


def variance_floor(mean, n_test):
    """Bound from below the variance that a difference of two scores has over test parts.

    A mean difference ``d`` of per-row scores between 0 and 1 takes at least ``|d| n`` rows on
    which the learners differ; drawn at random, their number varies by at least::

        max((|d| - d²) / n, 1 / n²)

    the second term being what a single row can do.

    Parameters
    ----------
    mean : float
        Mean difference, from -1 to 1.
    n_test : float
        Rows of a test part.

    Returns
    -------
    float

    Examples
    --------
    >>> variance_floor(0.0, 50), variance_floor(0.1, 50)
    (0.0004, 0.0018)
    """
    return max((abs(mean) - mean**2) / n_test, 1 / n_test**2)


def smallest_lead(lead, n_train, n_test, repeats, n_tests=1):
    """Tell what the smallest lead would be if all folds were repeated with other splits.

    Parameters
    ----------
    lead : Lead
        As it was measured.
    n_train, n_test : float
        Rows of a typical fold.
    repeats : int
        How many times as many folds.
    n_tests : int, default=1
        How many leads are tested beside each other.

    Returns
    -------
    float or None
        None where ``lead`` has no interval.

    Examples
    --------
    >>> lead = measure_lead([0.02, -0.03, 0.05, 0.01, 0.02], n_train=400, n_test=100)
    >>> round(lead.smallest, 3), round(smallest_lead(lead, 400, 100, repeats=4), 3)
    (0.054, 0.033)
    """
    if lead.smallest is None:
        return None
    k, ratio = lead.n_folds, n_test / n_train
    errors = np.sqrt((1 / (k * repeats) + ratio) / (1 / k + ratio))
    return float(lead.smallest * errors * _quantile(k * repeats, n_tests) / _quantile(k))


def detectable(leads, repeats):
    """Return the smallest leads that would have been detected in place of these, which were not.

    Holm's first step, the hardest, asks of the least of ``n`` p-values to be below ``5% / n``:
    no lead that was not detected is above what is returned for it.

    Parameters
    ----------
    leads : list of Lead
        All that were tested but for those that were detected.
    repeats : int
        How many times the splits were drawn.

    Returns
    -------
    now : list of float
        By these folds.
    then : list of float
        By four times as many, with test parts as they are.

    Examples
    --------
    >>> lead = measure_lead([0.02, -0.03, 0.05, 0.01, 0.02], n_train=400, n_test=100)
    >>> [round(detectable([lead] * n, 1)[0][0], 3) for n in (1, 2, 5)]
    [0.054, 0.068, 0.089]
    """
    now = [smallest_lead(lead, 1, 1, repeats=1, n_tests=len(leads)) for lead in leads]
    n_train = [max(1, lead.n_folds // max(1, repeats) - 1) for lead in leads]
    then = [
        smallest_lead(lead, rows, 1, repeats=4, n_tests=len(leads))
        for lead, rows in zip(leads, n_train, strict=True)
    ]
    return now, then


def _quantile(n_folds, n_tests=1):
    """Return how many standard errors a lead of several must be, to be detected."""
    return float(student_t.ppf(1 - SIGNIFICANT / 2 / n_tests, n_folds - 1))


def holm(p_values):
    """Adjust p-values of several tests, so that any false finding has the chance of one.

    Parameters
    ----------
    p_values : sequence of float or None
        None where a test was not possible; it stays None and does not count.

    Returns
    -------
    list of float or None
        In the order given; compare them with the level of a single test.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
       Journal of Statistics 6, 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, None, 0.03])
    [0.03, 0.06, None, 0.06]
    """
    adjusted, largest = list(p_values), 0.0
    tested = sorted((i for i, p in enumerate(p_values) if p is not None), key=p_values.__getitem__)
    for rank, i in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def corrected_resampled_t_test(differences, test_train_ratio):
    """Paired two-sided t-test over folds that share training rows (Nadeau & Bengio, 2003).

    ::

        t = mean(d) / sqrt((1/k + n_test/n_train) · var(d)),   k - 1 degrees of freedom

    The plain paired t-test treats the k folds as independent and finds
    differences where there are none; the second term undoes that.

    Parameters
    ----------
    differences : array-like of shape (k,)
        Score of one learner minus score of the other, fold by fold.
    test_train_ratio : float
        Rows tested over rows trained on, of a typical fold.

    Returns
    -------
    float
        The p-value; 1 where fewer than two folds leave nothing to judge by.

    Examples
    --------
    >>> corrected_resampled_t_test([0.02, 0.03, 0.02, 0.03, 0.02], 1 / 4).round(4)
    np.float64(0.0028)
    """
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < 2 or not np.any(d):
        return np.float64(1.0)
    spread = np.sqrt((1 / len(d) + test_train_ratio) * d.var(ddof=1))
    if spread <= 1e-12 * np.abs(d).max():
        return np.float64(0.0)
    return 2 * student_t.sf(abs(d.mean()) / spread, df=len(d) - 1)
