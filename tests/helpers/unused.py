"""What an argument changes, and what is said of it."""

import re
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning


def outcome(call):
    """Return what a call returns, None after an error, and all that it says."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except (ValueError, TypeError) as error:
            return None, str(error)
    texts = [str(w.message) for w in caught if not issubclass(w.category, ConvergenceWarning)]
    return result, "\n".join(texts)


def unsaid(name, before, after, text):
    """Whether an argument changed nothing, and nobody said its name."""
    same = after is None or (before.shape == after.shape and np.array_equal(before, after))
    return same and not re.search(rf"\b{name}\b", text)
