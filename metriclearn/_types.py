"""Names of types that many signatures share."""

from os import PathLike

import numpy as np

#: Where a file is, or is to be.
FilePath = str | PathLike[str]
#: What makes draws repeatable, as scikit-learn takes it.
Seed = int | np.random.RandomState | None
