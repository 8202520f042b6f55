"""Array files: ``.npz`` with ``X`` and ``y``."""

import zipfile

import numpy as np

from metriclearn.compare._sources._rows import as_source, one_line


def read_npz(path):
    """Read arrays ``X`` and ``y``; nothing that was pickled."""
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not hasattr(arrays, "files"):
                raise ValueError("holds a single array, not an .npz archive of X and y")
            missing = [key for key in ("X", "y") if key not in arrays.files]
            if missing:
                raise ValueError(
                    f"has no array {missing[0]!r}; arrays X and y are needed, there are: "
                    f"{', '.join(arrays.files) or 'none'}"
                )
            X, y = arrays["X"], arrays["y"]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        reason = one_line(error)
        if "allow_pickle" in reason:
            reason = (
                "holds pickled Python objects, which may run code when read, and is refused; "
                "save plain arrays of numbers or strings"
            )
        raise ValueError(f"{path}: {reason}") from None
    return as_source(X, y, name=path.stem)
