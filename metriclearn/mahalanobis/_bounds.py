"""``bounds=(u, l)`` on squared distances of similar and of dissimilar pairs."""

import numpy as np


def check_bounds(bounds):
    """Refuse bounds other than ``0 < u ≤ l < ∞``, or None."""
    if bounds is None:
        return
    if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] < np.inf:
        raise ValueError(
            f"bounds must be two numbers (u, l) with 0 < u <= l, bounds on squared distances of "
            f"similar and of dissimilar pairs, got {bounds!r}"
        )


def percentiles(d2):
    """Return the 5th and 95th percentile of squared distances, those of equal rows left out."""
    d2 = d2[d2 > 0]
    if len(d2) == 0:
        return 1.0, 1.0  # all rows are equal: nothing can be learned, nothing must fail
    low, high = np.percentile(d2, (5, 95))
    return float(low), float(high)
