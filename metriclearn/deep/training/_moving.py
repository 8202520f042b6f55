"""Arguments of the loss and of the miner that change over a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from numbers import Real
from operator import attrgetter
from typing import Any

import numpy as np
from torch import nn

from metriclearn._sklearn import Interval
from metriclearn.deep.losses._adapters import ModuleLoss
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.losses._wrappers import Composite
from metriclearn.deep.miners._base import CallableMiner, Miner
from metriclearn.deep.modules._parts import nearest
from metriclearn.deep.tensors._ranges import check_ranges

#: What fitting says to a part, which is not checked again.
_SIZES = {"n_classes", "embedding_dim", "n_samples", "feature_dim"}

#: What a loss says that it is to be given.
_NEEDS = sorted(name for name in vars(MetricLoss) if name.startswith("needs_"))
_needs = attrgetter(*_NEEDS)


class MovingArguments:
    """Arguments that are functions of the share of the run that is done.

    Parameters
    ----------
    given : dict of str to callable or sequence of float
        ``"loss__margin"`` is the margin of the loss, ``"loss__loss__margin"`` that of the loss
        inside it, ``"miner__epsilon"`` an argument of the miner. A callable is given the share of
        the run that is done; numbers are passed through in straight lines, evenly over the run.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self.functions = {path: _function(path, values) for path, values in given.items()}

    def of(self, loss: nn.Module, miner: Miner | None) -> Moves:
        """Find the arguments in a loss and a miner.

        Parameters
        ----------
        loss : nn.Module
        miner : Miner or None

        Returns
        -------
        Moves

        Raises
        ------
        ValueError
            If there is no such argument, or it is not a number, or out of range.
        """
        moves = Moves(
            [
                (path, part, path.rpartition("__")[2], function)
                for path, function in self.functions.items()
                for part in _find(path, loss, miner)
            ]
        )
        try:
            for end in (0.0, 1.0):
                moves(end)
                for (path, part, _, _), before in zip(moves.moved, moves.before, strict=True):
                    made = _check_together(part)
                    _check_needs(path, part, made, before)
        finally:
            moves.undo()
        return moves


class Moves:
    """Arguments of parts, moved where it is called with the share of the run that is done.

    Parameters
    ----------
    moved : list of (path, part, name, function)
    """

    def __init__(self, moved: list[tuple[str, Any, str, Callable[[float], Any]]]) -> None:
        self.moved = moved
        self.before = [vars(part)[name] for _, part, name, _ in moved]

    def __call__(self, done: float) -> None:
        """Set the arguments."""
        for path, part, name, function in self.moved:
            vars(part)[name] = _checked(path, part, name, function(done))

    def undo(self) -> None:
        """Put back what they were."""
        for (_, part, name, _), value in zip(self.moved, self.before, strict=True):
            vars(part)[name] = value


def _function(path: str, values: Any) -> Callable[[float], Any]:
    """Return a function of the share that is done."""
    if not path.startswith(("loss__", "miner__")):
        raise ValueError(
            f"schedule_params has {path!r}; what it can move besides the rates begins with "
            f"'loss__' or 'miner__'"
        )
    if callable(values):
        return values
    numbers = isinstance(values, list | tuple) and len(values) > 1
    if not numbers or not all(isinstance(v, Real) and np.isfinite(v) for v in values):
        raise ValueError(
            f"schedule_params has {path}={values!r}; give the first and the last value, such as "
            f"(0.1, 0.5), or a function of the share of the run that is done"
        )
    return partial(_along, [float(value) for value in values])


def _along(values, done):
    """Return the value at a share of the way through some, evenly spread."""
    return float(np.interp(done, np.linspace(0, 1, len(values)), values))


def _find(path, loss, miner):
    """Return the parts whose argument a path names: one, or a loss and its copies in a wrapper."""
    component, *steps, name = path.split("__")
    parts = [_own(loss if component == "loss" else miner)]
    if parts == [None]:
        raise ValueError(f"schedule_params has {path!r}, but there is no miner")
    for step in steps:
        parts = [_own(inner) for part in parts for inner in _inside(path, part, step)]
    takers = [part for part in parts if name in _movable(part)]
    if not takers:
        movable = _movable(parts[0])
        raise ValueError(
            f"schedule_params has {path!r}, which is no number of {type(parts[0]).__name__} that "
            f"can change while it trains{nearest(name, movable)}; these are: "
            f"{', '.join(movable) or 'none'}"
        )
    return takers


def _inside(path, part, step):
    """Return the losses in a part that a step of a path names."""
    if isinstance(part, Composite) and step == "loss":
        first, *others = part.parts()
        return [first, *(other for other in others if type(other) is type(first))]
    children = dict(part.named_children()) if isinstance(part, nn.Module) else {}
    if step not in children:
        raise ValueError(
            f"schedule_params has {path!r}, but {type(part).__name__} has no part "
            f"{step!r}{nearest(step, children)}"
        )
    inner = children[step]
    return list(inner) if isinstance(inner, nn.ModuleList) else [inner]


def _own(part):
    """Return the part of somebody else inside its adapter."""
    if isinstance(part, ModuleLoss):
        return part.module
    return part.function if isinstance(part, CallableMiner) else part


def _movable(part):
    """Return the names of the arguments that may change: real numbers that nothing was sized by."""
    if not isinstance(part, MetricLoss | Miner):
        numbers = (n for n, v in vars(part).items() if isinstance(v, Real) and type(v) is not bool)
        return [name for name in numbers if not name.startswith("_")]
    state = part.state_dict() if isinstance(part, nn.Module) else {}
    return [
        name
        for name, constraints in part._parameter_constraints.items()
        if any(c is Real or (isinstance(c, Interval) and c.type is Real) for c in constraints)
        and not any(key == name or key.startswith(f"{name}_") for key in state)
    ]


def _checked(path, part, name, value):
    """Return the value, checked to be a number in the range of the argument."""
    if not isinstance(value, Real) or not np.isfinite(value):
        raise ValueError(f"schedule_params has {path!r}, which gave {value!r}; it must be a number")
    if isinstance(part, MetricLoss | Miner):
        check_ranges(part, **{name: value})
    return float(value)


def _check_together(part):
    """Check the arguments of a part against each other; return one that is made with them."""
    if not isinstance(part, MetricLoss | Miner):
        return part
    mine = {**vars(part), **(part._modules if isinstance(part, nn.Module) else {})}
    takes = inspect.signature(type(part)).parameters.values()
    if not all(p.name in mine or p.default is not p.empty for p in takes):
        return part
    return type(part)(**{p.name: mine[p.name] for p in takes if p.name in mine.keys() - _SIZES})


def _check_needs(path, part, made, before):
    """Check that a loss is given all that one made with the present arguments needs."""
    if not isinstance(part, MetricLoss):
        return
    each = zip(_NEEDS, _needs(made), _needs(part), strict=True)
    missing = [name.removeprefix("needs_") for name, needed, given in each if needed and not given]
    if missing:
        raise ValueError(
            f"schedule_params has {path!r}, on whose way {type(part).__name__} begins to need "
            f"{' and '.join(missing)}: made with {before!r} it is not given them. Make it with "
            f"another value of the schedule (loss_params)"
        )
