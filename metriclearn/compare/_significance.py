"""Whether a difference between two learners is more than the noise of the folds."""

import numpy as np
from scipy.stats import t as student_t

SIGNIFICANT = 0.05  # a p-value below this is called a difference


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
