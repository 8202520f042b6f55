"""A run that is continued after a kill exactly where it stopped."""

import hashlib
import inspect
import io
import json
import warnings
import zipfile
import zlib
from functools import partial

import numpy as np
import torch
from skorch.callbacks import Callback

from metriclearn._files import Lock, as_folder, open_regular, write_bytes
from metriclearn._format import Format, seal, unseal
from metriclearn.deep.callbacks import restore, snapshot
from metriclearn.deep.training import _distributed
from metriclearn.deep.training._seeding import generator_states, set_generator_states

FILE = "checkpoint.pt"
_LOCK = "checkpoint.lock"
# Version 1 had neither head nor checksum: torch's archive alone, which begins so.
CHECKPOINT = Format("metriclearn checkpoint", {1: bytes, 2: bytes})
_ARCHIVE = b"PK"
_ENTRIES = {
    "fingerprint",
    "epochs_done",
    "stop_training",
    "weights",
    "history",
    "rng",
    "generators",
    "sampler",
    "best",
}


class Checkpoint(Callback):
    """Writer of the whole state of a run after each epoch, and its reader at the next start.

    The file holds tensors and plain values only, with a checksum, and reading it runs no code.
    It is replaced as a whole, so that a kill at any time leaves a valid one. One run at a time
    uses a folder. Where the disk is full a warning says so and training goes on.
    The user's own callbacks start from the beginning.

    Parameters
    ----------
    folder : str or Path
        Made where it does not exist.
    fingerprint : dict of str to str
        Of settings and data: a checkpoint of another run is an error, one of the same run with
        fewer epochs is gone on with.
    best : BestWeights, default=None
        Whose state is part of the run's.
    """

    def __init__(self, folder, fingerprint, best=None):
        self.path = as_folder(folder, "checkpoint") / FILE
        self.fingerprint = fingerprint
        self.best = best
        self._state_of_best = () if best is None else best.state
        self._lock = Lock(self.path.with_name(_LOCK))
        self._stop_written = False

    def on_train_begin(self, net, **kwargs):
        """Take up the run that the folder holds."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        holder = self._lock.take() if _distributed.is_first() else None
        if holder is not None:
            raise ValueError(
                f"checkpoint={str(self.path.parent)!r} is in use by {holder}; give every run a "
                f"folder of its own"
            )
        try:
            if self._lock.held:
                self._clear()
            if self.path.exists():
                self._take_up(net, self._read(net.device))
        except BaseException:
            self._lock.release()
            raise

    def _clear(self):
        """Remove what a killed run left half-written."""
        for scratch in self.path.parent.glob(f".{FILE}.*.part"):
            scratch.unlink(missing_ok=True)
        self.path.with_suffix(".part").unlink(missing_ok=True)  # of version 1

    def _take_up(self, net, state):
        found = differences(state["fingerprint"], self.fingerprint)
        if found:
            raise ValueError(
                f"checkpoint={str(self.path.parent)!r} holds a run on other data or with other "
                f"settings: {'; '.join(found)}. Give an empty folder, or what that run was given"
            )
        net.epochs_done_ = state["epochs_done"]
        net.stop_training_ = self._stop_written = state["stop_training"]
        restore(net, state["weights"])
        net.history.extend(state["history"])
        if net.rng_ is not None:
            net.rng_.bit_generator.state = json.loads(state["rng"])
        set_generator_states(net.device, state["generators"])
        if net.sampler_ is not None:
            vars(net.sampler_).update(_state_of(state["sampler"]))
        for name in self._state_of_best:
            setattr(self.best, name, state["best"][name])

    def on_epoch_end(self, net, **kwargs):
        """Write the state."""
        if not _distributed.is_first():
            return
        self._stop_written = net.stop_training_
        self._write(
            {
                "fingerprint": self.fingerprint,
                "epochs_done": net.epochs_done_,
                "stop_training": net.stop_training_,
                "weights": snapshot(net),
                "history": [_plain(row) for row in net.history],
                "rng": json.dumps(net.rng_ and net.rng_.bit_generator.state),
                "generators": generator_states(net.device),
                "sampler": _state_of(_attributes(net.sampler_)),
                "best": {name: vars(self.best).get(name) for name in self._state_of_best},
            }
        )

    def _write(self, state):
        archive = io.BytesIO()
        torch.save(state, archive)
        payload = archive.getbuffer()
        try:
            write_bytes(self.path, seal(CHECKPOINT, payload), payload)
        except OSError as error:
            warnings.warn(
                f"checkpoint: {str(self.path)!r} could not be written after epoch "
                f"{state['epochs_done']} ({error.strerror}); training goes on, and what was "
                f"written before stays",
                UserWarning,
                stacklevel=2,
            )

    def on_train_end(self, net, **kwargs):
        """Note that a callback stopped the run, and let another one use the folder."""
        to_note = self._stop_written != net.stop_training_ and self.path.exists()
        if to_note and _distributed.is_first():
            self._write({**self._read("cpu"), "stop_training": net.stop_training_})
        self._lock.release()

    def _read(self, device):
        with open_regular(self.path) as stream:
            content = stream.read()
        archive = content
        if not content.startswith(_ARCHIVE):
            archive = unseal(CHECKPOINT, content, repr(str(self.path)))
        try:
            with zipfile.ZipFile(io.BytesIO(archive)) as members:
                if any(member.compress_type for member in members.infolist()):
                    raise ValueError("it is compressed, which torch's own files are not")
            state = torch.load(io.BytesIO(archive), map_location=device, weights_only=True)
            if not isinstance(state, dict) or not set(state) >= _ENTRIES:
                raise ValueError("it holds something else")
            return state
        except Exception as error:  # of damaged archives torch raises nearly everything
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"{str(self.path)!r} is not a whole checkpoint ({reason}); delete it to start again"
            ) from None


def _plain(row):
    """Return a row of the history with plain numbers, and without what is of its batches."""
    values = {k: v.item() if isinstance(v, np.generic) else v for k, v in row.items()}
    return {**values, "batches": []}


def _state_of(values):
    """Return what a sampler keeps from epoch to epoch: attributes that end with an underscore."""
    return {k: v for k, v in values.items() if k.endswith("_") and not k.startswith("_")}


# What may differ: a run goes on for more epochs than it was to have.
EPOCHS = "epochs"
# Of a text longer than this the digest is kept.
LONGEST = 60


def checkpoint_of(arguments, free, epochs, data, best=None):
    """Make the checkpoint that an estimator's arguments ask for.

    Parameters
    ----------
    arguments : dict
        Of the constructor.
    free : set of str
        Those that do not change the result.
    epochs : int
        Most epochs of the run.
    data : LabeledData, ConstraintData, PairData or TowerData
    best : BestWeights, default=None

    Returns
    -------
    Checkpoint
    """
    if arguments["random_state"] is None:
        raise ValueError("checkpoint needs random_state, or the run could not be recognized")
    settings = {name: value for name, value in arguments.items() if name not in free}
    return Checkpoint(arguments["checkpoint"], fingerprint(settings, epochs, data), best)


def fingerprint(params, epochs, data):
    """Describe the settings and what is trained on, a word for each.

    Parameters
    ----------
    params : dict
        Of the estimator; those that do not change the result left out.
    epochs : int
        Most epochs of the run.
    data : LabeledData, ConstraintData, PairData or TowerData

    Returns
    -------
    dict of str to str
        The value of each argument where it is short and plain, else a digest; "X" and "y" are
        digests of the rows and of what they are trained by.
    """
    found = {name: _word(_describe(value)) for name, value in params.items()}
    rows = [np.ascontiguousarray(data.rows.sample(1000))]
    facts = map(np.ascontiguousarray, data.facts())
    found["X"] = _word([len(data.rows), *map(_describe, rows)])
    found["y"] = _word([*map(_describe, facts)])
    return {**found, EPOCHS: str(epochs)}


def differences(before, now):
    """Say in what two fingerprints differ, more epochs excepted.

    Parameters
    ----------
    before, now : dict of str to str

    Returns
    -------
    list of str
    """
    if not isinstance(before, dict):
        return ["it was written by an earlier version of metriclearn"]
    found = []
    for name in sorted(before.keys() | now.keys()):
        a, b = before.get(name, "nothing"), now.get(name, "nothing")
        if name == EPOCHS and a.isdigit() and int(a) <= int(b):
            continue
        if name in ("X", "y") and a != b:
            found.append(f"{name} is not the same")
        elif a != b:
            found.append(f"{name} was {a}, now {b}")
    return found


def _word(described):
    text = repr(described)
    if len(text) <= LONGEST and not isinstance(described, tuple):
        return text
    return f"{text[:20]}... ({hashlib.sha256(text.encode()).hexdigest()[:16]})"


def _describe(value):
    """Return plain values that are the same in another process, unlike an object's address."""
    if isinstance(value, dict):
        return {key: _describe(entry) for key, entry in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_describe(entry) for entry in value]
    if isinstance(value, str | bool | int | float | None):
        return value
    if isinstance(value, torch.Tensor):  # as bytes: numpy does not know every dtype
        values = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        return tuple(value.shape), str(value.dtype), zlib.crc32(values.numpy())
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), zlib.crc32(np.ascontiguousarray(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, partial):
        return "partial", _describe([value.func, value.args, value.keywords])
    if inspect.isfunction(value):
        code = value.__code__
        constants = [constant for constant in code.co_consts if not inspect.iscode(constant)]
        return value.__qualname__, zlib.crc32(code.co_code), repr(constants)
    if inspect.isclass(value) or inspect.isroutine(value):
        return value.__qualname__
    said = {k: v for k, v in _attributes(value).items() if not k.startswith("_")}
    if isinstance(value, torch.nn.Module):
        said |= {"parts": dict(value.named_children()), "state": value.state_dict()}
    return type(value).__qualname__, _describe(said)


def _attributes(value):
    try:
        return vars(value)
    except TypeError:  # one with slots only
        return {}
