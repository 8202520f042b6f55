"""Array files: ``.npz`` with ``X`` and ``y``."""

import zipfile

import numpy as np

from metriclearn._text import one_line
from metriclearn.compare._sources._rows import as_source

NAME_KEYS = ("feature_names", "columns", "names")


def read_npz(path, target=None, **choices):
    """Read arrays ``X`` and ``y``; nothing that was pickled.

    Parameters
    ----------
    path : Path
    target : str, default=None
        The array of labels, ``y`` by default.
    **choices
        Of ``as_source``; ``groups`` may name an array of the file.

    Returns
    -------
    Source
    """
    labels = "y" if target is None else target
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not hasattr(arrays, "files"):
                raise ValueError("holds a single array, not an .npz archive of X and y")
            missing = [key for key in ("X", labels) if key not in arrays.files]
            if missing:
                raise ValueError(
                    f"has no array {missing[0]!r}; arrays X and {labels} are needed, there are: "
                    f"{', '.join(arrays.files) or 'none'}"
                )
            X, y = arrays["X"], arrays[labels]
            names = next((arrays[key] for key in NAME_KEYS if key in arrays.files), None)
            if choices.get("groups") in arrays.files:
                choices["groups"] = arrays[choices["groups"]]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        reason = one_line(error)
        if "allow_pickle" in reason:
            reason = (
                "holds pickled Python objects, which may run code when read; save plain arrays of "
                "numbers or strings"
            )
        raise ValueError(f"{path}: {reason}") from None
    if names is not None and (X.ndim != 2 or len(names) != X.shape[1]):
        names = None
    names = None if names is None else [str(name) for name in names]
    try:
        return as_source(X, y, name=path.stem, feature_names=names, **choices)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
