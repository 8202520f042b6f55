"""The settings that a net trains by, and schedules of its learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real

import torch

from metriclearn.deep.modules._parts import check_params, resolve
from metriclearn.deep.training._moving import MovingArguments

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class Recipe:
    """The settings that a net trains by.

    Parameters
    ----------
    sampler : object
        See :mod:`metriclearn.deep.samplers`.
    rates : dict
        Learning rates of "backbone", "head" and "proxies".
    schedule : Schedule
    moving : MovingArguments
        Arguments of the loss and the miner that change over the run.
    mined : bool
        Whether the criterion is a loss with the miner of the arguments before it.
    optimizer_params : dict
    augment : callable or None
        Applied to each training batch.
    precision : {"float32", "bfloat16", "float16"}
        Of the network; the loss is always taken in float32.
    freeze_batch_norm : bool
        Keep the backbone's batch normalization in evaluation mode.
    warmup_epochs : int
        First epochs of a run, in which the backbone is not trained.
    chunk_size : int or None
        Rows embedded at a time, of a batch whose loss is taken as a whole.
    ema_decay : float or None
        Of the moving average of the weights; None keeps none.
    compile : bool
        Run the network through ``torch.compile``, with the random numbers of torch without it.
    """

    sampler: object
    rates: dict
    schedule: Schedule
    moving: MovingArguments
    mined: bool
    optimizer_params: dict = field(default_factory=dict)
    augment: Callable | None = None
    precision: str = "float32"
    freeze_batch_norm: bool = False
    warmup_epochs: int = 0
    chunk_size: int | None = None
    ema_decay: float | None = None
    compile: bool = False


def constant(done, epochs):
    """Return one throughout."""
    return 1.0


def cosine(done, epochs):
    """Return half a cosine wave, from one to zero."""
    return (1 + math.cos(math.pi * done)) / 2


def linear(done, epochs):
    """Return a straight line from one to zero."""
    return 1 - done


def step(done, epochs, step_size=None, gamma=0.1):
    """Return one, multiplied by ``gamma`` at 60% and at 85% of the run.

    With a ``step_size`` it is multiplied each time that many epochs are over.
    """
    if step_size is None:
        return gamma ** ((done >= 0.6) + (done >= 0.85))
    # A batch at the border is of the next epoch, whatever dividing and multiplying left of it.
    return gamma ** (math.floor(done * epochs + 1e-9) // step_size)


SCHEDULES = {"constant": constant, "cosine": cosine, "linear": linear, "step": step}


class Schedule:
    """A factor on the learning rates.

    Parameters
    ----------
    schedule : str or callable
        A callable is given the share of the run that is done.
    params : dict or None
        Passed to it by name.
    """

    def __init__(self, schedule, params):
        params = params or {}
        self.function = resolve("schedule", schedule, SCHEDULES)
        self.of_epochs = isinstance(schedule, str)
        check_params("schedule", self.function, params, ("done", "epochs"))
        for name, value in params.items():
            number = isinstance(value, Real) and type(value) is not bool and value > 0
            if self.of_epochs and value is not None and not number:
                raise ValueError(f"schedule_params has {name}={value!r}; give one greater than 0")
        self.params = params
        self.constant = self.function is constant

    def factor(self, done, epochs):
        """Return the factor where ``done`` of a run of ``epochs`` epochs is over."""
        given = (done, epochs) if self.of_epochs else (done,)
        return self.function(*given, **self.params)
