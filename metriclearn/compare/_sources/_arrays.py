"""Array files: ``.npz`` with ``X`` and ``y``."""

from metriclearn._packed import open_npz
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
        Of ``as_source``; ``groups`` and ``split`` may name arrays of the file.

    Returns
    -------
    Source
    """
    labels = "y" if target is None else target
    with open_npz(path) as arrays:
        missing = [key for key in ("X", labels) if key not in arrays.files]
        if missing:
            raise ValueError(
                f"has no array {missing[0]!r}; arrays X and {labels} are needed, there are: "
                f"{', '.join(map(one_line, arrays.files)) or 'none'}"
            )
        X, y = arrays["X"], arrays[labels]
        names = next((arrays[key] for key in NAME_KEYS if key in arrays.files), None)
        for argument in ("groups", "split"):
            if choices.get(argument) in arrays.files:
                choices[argument] = arrays[choices[argument]]
    if names is not None and (X.ndim != 2 or len(names) != X.shape[1]):
        names = None
    names = None if names is None else [str(name) for name in names]
    try:
        return as_source(X, y, name=path.stem, feature_names=names, **choices)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
