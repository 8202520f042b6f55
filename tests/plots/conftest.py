"""Of the tests of pictures: a learner to draw, and no figure left open."""

import pytest
from matplotlib import pyplot

from metriclearn import Covariance


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


@pytest.fixture
def fitted(small):
    return Covariance().fit(small[0])
