"""Learning-rate schedules: the share of a run that is done, to a factor on the rates.

Each is a function of one number, so a run continued from a checkpoint needs no
state of the schedule.
"""

import math


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
