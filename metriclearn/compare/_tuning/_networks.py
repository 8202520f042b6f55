"""Networks that are asked for twice: trained once.

Two settings of a linear metric on a network differ in the metric alone; and the network below such
a metric is the one that a deep learner of the same fold trains for itself.
"""

import time
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import joblib
from sklearn.pipeline import Pipeline

from metriclearn.compare._measuring._training import is_embedder

_SHARED = ContextVar("networks", default=None)


class NetworkCache:
    """Fitted steps of pipelines, kept as ``Pipeline(memory=...)`` asks for them.

    Parameters
    ----------
    is_shared : bool, default=False
        Whether several learners use it, so that networks alone are kept, too.
    """

    def __init__(self, *, is_shared=False):
        self.is_shared = is_shared
        self._fitted, self._paid, self._owed = {}, set(), 0.0

    def __deepcopy__(self, memo):
        return self

    def begin(self):
        """Hear that the next learner begins, which pays for what others have trained."""
        self._paid, self._owed = set(), 0.0

    def settle(self):
        """Return the CPU seconds that others took for what was used since the last time."""
        owed, self._owed = self._owed, 0.0
        return owed

    def cache(self, function, ignore=()):
        """Return a function that remembers what it returned; some arguments do not count."""
        return partial(self._remembered, function, ignore)

    def _remembered(self, function, ignore, *args, **kwargs):
        counted = {name: value for name, value in kwargs.items() if name not in ignore}
        key = joblib.hash((args, counted))
        if key not in self._fitted:
            start = time.process_time()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                value = function(*args, **kwargs)
            self._fitted[key] = value, time.process_time() - start, caught
        elif key not in self._paid:
            self._owed += self._fitted[key][1]
        self._paid.add(key)
        value, _, caught = self._fitted[key]
        for each in caught:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
        return value

    def remembering(self, estimator):
        """Return an unfitted estimator as one that trains its network only if it is not kept."""
        steps = getattr(estimator, "steps", [])
        if any(is_embedder(step) for _, step in steps[:-1]):
            return estimator.set_params(memory=self)
        if self.is_shared and steps and is_embedder(steps[-1][1]):
            return Pipeline([*steps, ("end", "passthrough")], memory=self)  # all but the last kept
        return estimator


@contextmanager
def sharing_networks():
    """While this is entered, learners that are fitted use each other's networks."""
    token = _SHARED.set(NetworkCache(is_shared=True))
    try:
        yield
    finally:
        _SHARED.reset(token)


def current_networks():
    """Return the networks that learners share; new ones where they share none."""
    shared = _SHARED.get()
    return NetworkCache() if shared is None else shared


def fit_remembering(networks, fit, estimator):
    """Fit with the networks that are shared, and leave the pipeline as it was made.

    Returns
    -------
    n_fit : int
        What ``fit`` returns.
    """
    if not networks.is_shared:
        return fit(estimator)
    remembering = networks.remembering(estimator)
    n_fit = fit(remembering)
    if remembering is not estimator:
        estimator.steps = remembering.steps[:-1]
    elif getattr(estimator, "memory", None) is networks:
        estimator.set_params(memory=None)
    return n_fit
