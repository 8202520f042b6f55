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
    """Return independent seeds of the split, the batches and the weights."""
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    return np.random.SeedSequence(seed).spawn(3)


def check_device(device):
    """Return the name of the device to use, after a check that it can be used here."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=torch.device(device)).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise ValueError(
            f"device={str(device)!r} cannot be used here ({reason}); use 'auto' or 'cpu'"
        ) from None
    return str(device)


def seed_generators(device, seed):
    """Seed the generators of the CPU and of this device.

    ``torch.manual_seed`` would seed those of every device, which :func:`seeded` does not put back.
    """
    torch.default_generator.manual_seed(seed)
    kind = torch.device(device).type
    if kind == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif kind == "mps":
        torch.mps.manual_seed(seed)


def generator_states(device):
    """Return the states of the generators of the CPU and, if that is another, of this device."""
    kind = torch.device(device).type
    of_device = None
    if kind == "cuda":
        of_device = torch.cuda.get_rng_state(device)
    elif kind == "mps":
        of_device = torch.mps.get_rng_state()
    return torch.get_rng_state(), of_device


def set_generator_states(device, states):
    """Put :func:`generator_states` back; those of a device that is not this one are left out."""
    of_cpu, of_device = states
    torch.set_rng_state(of_cpu.cpu())
    kind = torch.device(device).type
    if of_device is not None and kind == "cuda":
        torch.cuda.set_rng_state(of_device.cpu(), device)
    elif of_device is not None and kind == "mps":
        torch.mps.set_rng_state(of_device.cpu())


@contextmanager
def seeded(device, states=None):
    """Run with the generators at ``states``; the caller's are put back.

    Parameters
    ----------
    device : str
    states : tuple, default=None
        What :func:`generator_states` returned in an earlier run.
    """
    with _one_training:
        before = generator_states(device)
        try:
            if states is not None:
                set_generator_states(device, states)
            yield
        finally:
            set_generator_states(device, before)


def empty_cache():
    """Give back what torch holds of an accelerator's memory without using it."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def out_of_memory(error):
    """Whether an error says that memory ran out, on any device."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    # The CPU's and Apple's say it in words only.
    words = ("can't allocate memory", "out of memory")
    return isinstance(error, kinds) or any(word in str(error) for word in words)
