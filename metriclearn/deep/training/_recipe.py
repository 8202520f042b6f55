"""The settings that a net trains by, and schedules of its learning rates."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

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
    schedule : callable
        Share of the run that is done to a factor on the rates.
    optimizer_params : dict
    augment : callable or None
        Applied to each training batch.
    precision : {"float32", "bfloat16", "float16"}
        Of the network; the loss is always taken in float32.
    freeze_batch_norm : bool
        Keep the backbone's batch normalization in evaluation mode.
    warmup_epochs : int
        First epochs of a run, in which the backbone is not trained.
    compile : bool
        Run the network through ``torch.compile``, with the random numbers of torch without it.
    """

    sampler: object
    rates: dict
    schedule: Callable
    optimizer_params: dict = field(default_factory=dict)
    augment: Callable | None = None
    precision: str = "float32"
    freeze_batch_norm: bool = False
    warmup_epochs: int = 0
    compile: bool = False

    def frozen_parts(self):
        """Return the names of the parts whose rate is zero."""
        return {name for name, rate in self.rates.items() if rate == 0}


def constant(done):
    """Return one throughout."""
    return 1.0


def cosine(done):
    """Return half a cosine wave, from one to zero."""
    return (1 + math.cos(math.pi * done)) / 2


def linear(done):
    """Return a straight line from one to zero."""
    return 1 - done


def step(done):
    """Return one; a tenth from 60% of the run on; a hundredth from 85% on."""
    if done < 0.6:
        return 1.0
    return 0.1 if done < 0.85 else 0.01


SCHEDULES = {"constant": constant, "cosine": cosine, "linear": linear, "step": step}
