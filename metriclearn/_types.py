"""Types that many functions share: their names, and what is of them."""

from numbers import Integral
from os import PathLike

import numpy as np

#: Where a file is, or is to be.
FilePath = str | PathLike[str]
#: What makes draws repeatable, as scikit-learn takes it.
Seed = int | np.random.RandomState | None


def is_whole(value):
    """Whether a value is an integer, and not True or False."""
    return isinstance(value, Integral) and not isinstance(value, bool)
