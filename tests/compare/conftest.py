"""One small comparison that many tests read."""

import numpy as np
import pytest
from helpers.comparisons import CHEAP, Broken

from metriclearn.compare import compare


@pytest.fixture(scope="session")
def blobs():
    """Eighty rows of eight classes in five features."""
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(8), 10)
    X = rng.randn(80, 5)
    X[:, :3] += 3 * rng.randn(8, 3)[y]
    return X, y


@pytest.fixture(scope="session")
def compared(blobs):
    return compare(*blobs, learners=[*CHEAP, Broken()], name="blobs", n_folds=3)
