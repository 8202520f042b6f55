import numpy as np
import pytest


@pytest.fixture
def gallery(rng):
    """600 rows about 20 centers, and 40 queries."""
    centers = rng.randn(20, 6)
    X, Q = (centers[rng.randint(20, size=n)] + 0.3 * rng.randn(n, 6) for n in (600, 40))
    return (X + 10).astype(np.float32), (Q + 10).astype(np.float32)
