"""A picture that the tests of images share."""

import numpy as np
import pytest


@pytest.fixture
def picture():
    """A smooth picture of 60 × 40 pixels whose four quarters differ."""
    down, across = np.mgrid[:40, :60]
    pixels = np.stack([4 * across, 6 * down, 255 - 2 * across - 3 * down], axis=-1)
    return np.clip(pixels, 0, 255).astype(np.uint8)
