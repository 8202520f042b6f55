"""Arguments of ``compare`` as they come, checked one by one before anything is read."""

from collections.abc import Iterable

from metriclearn._files import as_path

# More runs of the same folds tell nothing that a thousand do not.
MOST_RUNS = 1000


def is_one_of(value, words):
    """Whether a value is one of some words; an array or a list is none."""
    return isinstance(value, str) and value in words


def check_columns(argument, value):
    """Return names of columns as a list; a single name stands for itself.

    Examples
    --------
    >>> check_columns("drop", "age"), check_columns("drop", None)
    (['age'], [])
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    listed = isinstance(value, Iterable) and not isinstance(value, bytes)
    if not listed or getattr(value, "ndim", 1) != 1:
        raise ValueError(
            f"{argument} must be a list of names of columns, got {type(value).__name__} "
            f"{value!r:.80}"
        )
    return list(dict.fromkeys(str(name) for name in value))


def check_choices(*, drop, keep, groups=None, split=None):
    """Return the columns to drop and to keep; one cannot be both."""
    drop, keep = check_columns("drop", drop), check_columns("keep", keep)
    for argument, names in (("drop", drop), ("groups", [groups]), ("split", [split])):
        both = [name for name in keep if any(isinstance(n, str) and n == name for n in names)]
        if both:
            raise ValueError(
                f"keep and {argument} both name {both[0]!r}: a column is a feature or it is not"
            )
    return drop, keep


def check_name(name):
    """Return what the data are called."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"name={name!r:.80} must be a str: it is what the report calls the data")
    return name


def check_folder(resume):
    """Return the folder of finished fits; a ``ValueError`` where it is no path."""
    try:
        return as_path(resume, "resume")
    except TypeError as error:
        raise ValueError(str(error)) from None
