"""Ranges of the arguments of the parts, declared and checked as those of estimators."""

import math
from numbers import Integral, Real

from metriclearn._sklearn import Interval, StrOptions, validate_parameter_constraints


def between(low, high, closed="both"):
    """Real numbers; ``closed`` is "both", "left", "right" or "neither"."""
    return Interval(Real, low, high, closed=closed)


def at_least(low):
    """Whole numbers from here on."""
    return Interval(Integral, low, None, closed="left")


POSITIVE = between(0, None, "neither")
NOT_NEGATIVE = between(0, None, "left")
SHARE = between(0, 1)
BELOW_ONE = between(0, 1, "left")
COSINE = between(-1, 1)
RIGHT_ANGLE = between(0, math.pi / 2)


def one_of(*names):
    """One of these names."""
    return StrOptions(set(names))


def check_ranges(part, **given):
    """Check that the arguments of a part are within its ``_parameter_constraints``.

    Parameters
    ----------
    part : object
        The loss, miner, module or sampler, in its constructor.
    **given
        Its arguments; its attributes where none are given.

    Raises
    ------
    ValueError
        That names the argument, its range and what was given.
    """
    constraints = part._parameter_constraints
    given = given or {name: vars(part)[name] for name in constraints}
    validate_parameter_constraints(constraints, given, type(part).__name__)
