"""Numbers and settings on the command line."""

import json
from argparse import ArgumentTypeError


def whole(text):
    """Read a whole number."""
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a whole number") from None


def positive(text):
    """Read a whole number above 0."""
    value = whole(text)
    if value < 1:
        raise ArgumentTypeError(f"{value} is not at least 1")
    return value


def seed(text):
    """Read a seed."""
    value = whole(text)
    if not 0 <= value < 2**32:
        raise ArgumentTypeError(f"{value} is not between 0 and 2**32 - 1")
    return value


def folds(text):
    """Read a number of folds."""
    value = whole(text)
    if value < 2:
        raise ArgumentTypeError(f"{value} is too few; at least 2 are needed")
    return value


def n_jobs(text):
    """Read a number of processes."""
    value = whole(text)
    if value == 0:
        raise ArgumentTypeError("0 processes can do nothing; -1 means all cores")
    return value


def counts(text):
    """Read a list of whole numbers."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a list of whole numbers, as in 100,300") from None


def names(text):
    """Return the names in a list separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def shape(text):
    """Read the shape of an image, as in 28x28."""
    try:
        return tuple(int(side) for side in text.lower().replace("×", "x").split("x"))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a shape such as 28x28 or 32x32x3") from None


def settings(text):
    """Read names and their values, as in ``max_epochs=5,freeze_batch_norm=false``."""
    found = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ArgumentTypeError(f"{part!r} is not NAME=VALUE")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value.strip()
    return found
