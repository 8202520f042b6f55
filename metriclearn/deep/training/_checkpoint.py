"""A run that is continued after a kill exactly where it stopped."""

import hashlib
import json
import os
import pickle
import zlib
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import Callback

from metriclearn.deep.callbacks import restore, snapshot
from metriclearn.deep.training import _distributed
from metriclearn.deep.training._seeding import generator_states, set_generator_states

FILE = "checkpoint.pt"


class Checkpoint(Callback):
    """Write the whole state of a run after each epoch; take it up where one is found.

    The file holds tensors and plain values only, and reading it runs no code.
    It is replaced as a whole, so that a kill at any time leaves a valid one.
    The user's own callbacks start anew.

    Parameters
    ----------
    folder : str or Path
        Made where it does not exist.
    fingerprint : str
        Of settings and data: a checkpoint of another run is refused.
    best : BestWeights
        Whose state is part of the run's.
    """

    def __init__(self, folder, fingerprint, best):
        self.path = Path(folder) / FILE
        self.fingerprint = fingerprint
        self.best = best

    def on_train_begin(self, net, **kwargs):
        """Take up the run that the folder holds."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return
        state = self._read(net.device)
        if state["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"checkpoint={str(self.path.parent)!r} holds a run on other data or with other "
                f"settings; give an empty folder"
            )
        net.epochs_done_ = state["epochs_done"]
        net.stop_training_ = state["stop_training"]
        restore(net, state["weights"])
        net.history.extend(state["history"])
        net.rng_.bit_generator.state = json.loads(state["rng"])
        set_generator_states(net.device, state["generators"])
        vars(net.recipe_.sampler).update(state["sampler"])
        vars(self.best).update(state["best"])

    def on_epoch_end(self, net, **kwargs):
        """Write the state."""
        if not _distributed.is_first():
            return
        sampler = net.recipe_.sampler
        state = {
            "fingerprint": self.fingerprint,
            "epochs_done": net.epochs_done_,
            "stop_training": net.stop_training_,
            "weights": snapshot(net),
            "history": [{**row, "batches": []} for row in net.history],
            "rng": json.dumps(net.rng_.bit_generator.state),
            "generators": generator_states(net.device),
            "sampler": {name: value for name, value in vars(sampler).items() if name.endswith("_")},
            "best": {name: vars(self.best).get(name) for name in self.best.state},
        }
        scratch = self.path.with_suffix(".part")
        torch.save(state, scratch)
        os.replace(scratch, self.path)

    def _read(self, device):
        try:
            return torch.load(self.path, map_location=device, weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise ValueError(
                f"{str(self.path)!r} is not a whole checkpoint ({str(error).splitlines()[0]}); "
                f"delete it to start again"
            ) from None


def fingerprint(params, data):
    """Digest of the settings and of what is trained on.

    Parameters
    ----------
    params : dict
        Of the estimator; those that do not change the result left out.
    data : LabeledData or ConstraintData
    """
    named = [(name, _describe(value)) for name, value in sorted(params.items())]
    digest = hashlib.sha256(repr(named).encode())
    X = data.rows.X
    spread = np.linspace(0, len(X) - 1, min(len(X), 1000)).astype(np.intp)
    for array in (X[spread], *data.facts()):
        array = np.ascontiguousarray(array)
        digest.update(f"{array.shape}{array.dtype}{zlib.crc32(array)}".encode())
    return digest.hexdigest()


def _describe(value):
    """What is the same in another process: not the address that the repr of an object has."""
    if isinstance(value, dict):
        return {key: _describe(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_describe(entry) for entry in value]
    if isinstance(value, str | bool | int | float | None):
        return value
    if isinstance(value, torch.Tensor):  # as bytes: numpy does not know every dtype
        values = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        return tuple(value.shape), str(value.dtype), zlib.crc32(values.numpy())
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), zlib.crc32(np.ascontiguousarray(value))
    if hasattr(value, "__qualname__"):
        return value.__qualname__
    said = {k: v for k, v in getattr(value, "__dict__", {}).items() if not k.startswith("_")}
    if isinstance(value, torch.nn.Module):
        said |= {"parts": dict(value.named_children()), "state": value.state_dict()}
    return type(value).__qualname__, _describe(said)
