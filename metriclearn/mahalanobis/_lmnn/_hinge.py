"""Losses of a margin violation ``h``, each with what its dual needs."""

import numpy as np


class Hinge:
    """``[h]_+``, its kink rounded by a parabola over ``|h| < width / 2``.

    The rounded loss is never below the hinge, and above it by at most
    ``width / 8``, for violations inside the parabola only.

    Parameters
    ----------
    width : float, default=0.0
        0 is the hinge itself.
    """

    largest_slope = 1.0
    conjugate_share = 0.0  # of the loss, is max over h of slope · h - [h]_+ at its own slope

    def __init__(self, width=0.0):
        self.width = width

    @property
    def reach(self):
        """Violations below ``-reach`` cost nothing."""
        return self.width / 2

    def terms(self, h):
        """Loss and slope of each violation; ``h`` is overwritten."""
        if self.width == 0:
            np.maximum(h, 0, out=h)
            return h, (h > 0).astype(h.dtype)
        h += self.width / 2
        slope = h * (1 / self.width)
        np.clip(slope, 0, 1, out=slope)
        h -= (self.width / 2) * slope
        h *= slope
        return h, slope


class SquaredHinge:
    """``[h]_+²``."""

    largest_slope = np.inf
    width = 0.0
    conjugate_share = 1.0  # slope² / 4 is [h]_+² again
    reach = 0.0

    def terms(self, h):
        """Loss and slope of each violation; ``h`` is overwritten."""
        np.maximum(h, 0, out=h)
        slope = 2 * h
        np.square(h, out=h)
        return h, slope
