"""A search over the settings of one learner, judged on a validation part.

A learner goes into scikit-learn's searches as ``Judged``, which keeps the rows that it
was fitted on: they are the gallery of the closed set.
"""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import FitFailedWarning

from metriclearn.compare._measure import HEADLINE, measure
from metriclearn.compare._plain import to_plain
from metriclearn.compare._records import Trial
from metriclearn.compare._rows import fit_capped
from metriclearn.compare._tuning._strategies import STRATEGIES


class Judged(BaseEstimator):
    """A learner together with how it is scored on validation rows.

    Parameters
    ----------
    learner : transformer
    protocol : {"closed", "open"}
    max_rows : int, default=None
        Most rows it is fitted on.
    n_rows : int, default=None
        Rows that halving gives it; all by default.
    seed : int, default=0
        Of the draw of these rows.
    """

    def __init__(self, learner, protocol, *, max_rows=None, n_rows=None, seed=0):
        self.learner = learner
        self.protocol = protocol
        self.max_rows = max_rows
        self.n_rows = n_rows
        self.seed = seed

    def fit(self, X, y):
        """Fit the learner and keep the rows."""
        most = min((n for n in (self.max_rows, self.n_rows) if n is not None), default=None)
        self.learner_ = clone(self.learner)
        fit_capped(self.learner_, X, y, most, self.seed)
        self.X_, self.y_ = X, y
        return self

    def score(self, X, y):
        """Score rows that were not fitted on, by the measure that settles the protocol."""
        judged = measure(self.learner_, self.X_, self.y_, X, y, self.protocol, curve=False)
        return judged.scores[HEADLINE[self.protocol]]


def choose(estimator, candidates, tuning, X, y, validation, *, protocol, max_rows=None, seed=0):
    """Try settings of a learner on a validation part.

    Parameters
    ----------
    estimator : transformer
    candidates : dict or list of dict
        A search space, or with ``"few"`` the settings themselves.
    tuning : Tuning
    X, y : ndarray
        The training part.
    validation : pair of ndarray
        Rows of it to fit on, and rows to score on.
    protocol : {"closed", "open"}
    max_rows : int, default=None
    seed : int, default=0

    Returns
    -------
    best : dict
        The parameters with the best score; the first of several.
    trials : tuple of Trial
        Every setting tried; with halving with the number of rows it was fitted on.

    Raises
    ------
    ValueError
        If no setting could be fitted.
    """
    judged = Judged(estimator, protocol, max_rows=max_rows, seed=seed)
    if tuning.is_few:
        space = [_judged(params) for params in candidates]
    else:
        space = _judged(candidates)
    search = STRATEGIES[tuning.method](judged, space, tuning, validation, y, seed)
    try:
        with warnings.catch_warnings():
            # Settings that cannot be fitted, and spaces smaller than the budget, are in the result.
            for category in (FitFailedWarning, UserWarning):
                warnings.simplefilter("ignore", category)
            search.fit(X, y)
    except ValueError as error:
        if "fits failed" not in str(error):
            raise
        raise ValueError(f"no setting could be fitted: {_last_line(error)}") from None
    results = search.cv_results_
    n_rows = results.get("n_resources", [None] * len(results["params"]))
    trials = tuple(
        Trial(
            params=to_plain(_own(params)),
            score=None if np.isnan(score) else float(score),
            n_rows=None if rows is None else int(rows),
        )
        for params, score, rows in zip(
            results["params"], results["mean_test_score"], n_rows, strict=True
        )
    )
    return _own(search.best_params_), trials


def _judged(params):
    return {f"learner__{name}": value for name, value in params.items()}


def _own(params):
    """Parameters of the learner itself; halving lists the number of rows among them."""
    prefix = "learner__"
    return {k.removeprefix(prefix): v for k, v in params.items() if k.startswith(prefix)}


def _last_line(error):
    """Return the first exception of a report that scikit-learn makes of all."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip()
