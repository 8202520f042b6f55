"""Devices, and randomness that leaves the caller's alone."""

import threading
from contextlib import contextmanager

import numpy as np
import torch
from sklearn.utils import check_random_state

# Seeding forks torch's one global generator: two trainings in threads of one
# process would draw from each other's stream, so they take turns.
_one_training = threading.RLock()


def spawn_seeds(random_state):
    """Independent seeds of the split, the batches and the weights."""
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    return np.random.SeedSequence(seed).spawn(3)


def check_device(device):
    """Name of the device to use, refused where it cannot be used here."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=torch.device(device))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device={str(device)!r} cannot be used here ({reason}); use 'auto' or 'cpu'"
        ) from None
    return str(device)


@contextmanager
def seeded(device, state=None):
    """Run with torch's generators at ``state``; the caller's are put back.

    Parameters
    ----------
    device : str
    state : tuple, default=None
        What the yielded function returned in an earlier run.

    Yields
    ------
    callable
        Returns the present state of the generators.
    """
    cuda = torch.device(device).type == "cuda"

    def generators():
        return torch.get_rng_state(), torch.cuda.get_rng_state(device) if cuda else None

    with _one_training, torch.random.fork_rng(devices=[device] if cuda else []):
        if state is not None:
            torch.set_rng_state(state[0])
            if cuda and state[1] is not None:
                torch.cuda.set_rng_state(state[1], device)
        yield generators
