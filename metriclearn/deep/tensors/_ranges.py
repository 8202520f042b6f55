"""Ranges of the arguments of the parts, declared and checked as those of estimators."""

import math
from numbers import Integral

from metriclearn._sklearn import between, validate_parameter_constraints
from metriclearn._types import is_whole
from metriclearn._unused import warn_unused

COSINE = between(-1, 1)
RIGHT_ANGLE = between(0, math.pi / 2)


def check_ranges(part, unused=None, **given):
    """Check that the arguments of a part are within its ``_parameter_constraints``.

    Parameters
    ----------
    part : object
        The loss, miner, module or sampler, in its constructor.
    unused : dict, default=None
        When each argument that the others leave without effect is used, by name.
    **given
        Its arguments; its attributes where none are given.
    """
    constraints = part._parameter_constraints
    given = given or {name: vars(part)[name] for name in constraints}
    validate_parameter_constraints(constraints, given, type(part).__name__)
    if unused:  # arguments that move over a run are checked at every update
        warn_unused(part, unused)


def widths(name, given):
    """Return widths, at least 1 each, given as one or as several."""
    widths = [given] if isinstance(given, Integral) else list(given)
    if not all(is_whole(width) and width > 0 for width in widths):
        raise ValueError(f"{name} must be a width of at least 1, or several, got {given!r}")
    return widths


def group_sizes(groups, embedding_dim):
    """Return the sizes of groups of dimensions, given as their number or as sizes."""
    if groups is None:
        return [embedding_dim]
    if isinstance(groups, Integral):
        if groups < 1 or embedding_dim % groups:
            raise ValueError(
                f"groups must divide the {embedding_dim} dimensions of the embeddings, got {groups}"
            )
        return [embedding_dim // groups] * groups
    sizes = widths("groups", groups)
    if sum(sizes) != embedding_dim:
        raise ValueError(
            f"groups must be sizes that add up to the {embedding_dim} dimensions of the "
            f"embeddings, got {list(groups)}"
        )
    return sizes


def unit_weights(weights, n_groups):
    """Return the weights of groups, scaled so that their squares add up to one."""
    weights = [1.0] * n_groups if weights is None else [float(w) for w in weights]
    if len(weights) != n_groups or not all(0 < w < math.inf for w in weights):
        raise ValueError(
            f"group_weights must be positive, one for each of {n_groups} groups, got {weights}"
        )
    length = math.hypot(*weights)
    return [w / length for w in weights]
