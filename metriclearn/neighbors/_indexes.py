"""The ``index`` argument: which search answers, exact or approximate."""

from metriclearn.neighbors._exact import ExactSearch

EXACT = ("auto", "flat")


def build_search(X, metric, index, search_params):
    """Build the search that ``index`` names.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    metric, index, search_params
        As of the estimators.

    Returns
    -------
    ExactSearch
    """
    return ExactSearch(X, metric)
