"""A fitted embedder in one file: weights as safetensors, settings as JSON in its header.

Reading runs no code: a loss or module is found by its name in this package.
"""

import json
import os
from pathlib import Path

import numpy as np
from sklearn.utils.validation import check_is_fitted

from metriclearn._extras import require
from metriclearn.deep.modules._libraries import find_library
from metriclearn.deep.training._seeding import spawn_seeds

FORMAT = "metriclearn.DeepEmbedder"
VERSION = 1
# Written for the record, and for use on other machines, without these.
LEFT_OUT = ("callbacks", "checkpoint", "device", "verbose", "warm_start")


def write(path, params, facts, tensors):
    """Write a file, or leave what was there untouched.

    Parameters
    ----------
    path : str or Path
    params : dict
        Arguments of the constructor.
    facts : dict
        What fitting found out: sizes, classes, history. Plain values and arrays.
    tensors : dict of str to tensor

    Raises
    ------
    ValueError
        If a parameter is a class, an instance or a function, which no name in
        the file could bring back.
    """
    safetensors = require("safetensors.torch", "deep")
    kept = {name: value for name, value in params.items() if name not in LEFT_OUT}
    for name, value in kept.items():
        try:
            json.dumps(value, default=_plain)
        except TypeError:
            raise ValueError(
                f"{name}={value!r} has no name to be found by when the file is read; give {name} "
                f"by name, or use pickle"
            ) from None
    header = {"format": FORMAT, "version": VERSION, "params": kept, "facts": facts}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    scratch = Path(f"{os.fspath(path)}.part")
    try:
        safetensors.save_file(
            tensors, scratch, metadata={"metriclearn": json.dumps(header, default=_plain)}
        )
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def read(path):
    """Read what :func:`write` wrote.

    Returns
    -------
    params, facts : dict
    tensors : dict of str to tensor

    Raises
    ------
    ValueError
        If the file is not one of these, is damaged, or comes from a newer version.
    """
    safetensors = require("safetensors", "deep")
    with open(path, "rb"):
        pass  # a missing file is the usual FileNotFoundError
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{str(path)!r} is not a whole safetensors file ({error}); it may be cut short"
        ) from None
    try:
        header = json.loads(metadata["metriclearn"])
        known = header["format"] == FORMAT
        version, params, facts = header["version"], header["params"], header["facts"]
    except (KeyError, TypeError, json.JSONDecodeError):
        known = False
    if not known:
        raise ValueError(f"{str(path)!r} was not written by DeepEmbedder.save")
    if version > VERSION:
        raise ValueError(
            f"{str(path)!r} has format {version}, this version of metriclearn reads up to "
            f"{VERSION}; upgrade it"
        )
    return params, facts, tensors


def _plain(value):
    """Numpy's values for JSON."""
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.str, "values": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError


def as_array(stored):
    """Array from what :func:`write` made of it."""
    return np.array(stored["values"], dtype=stored["dtype"])


def without_weights(params):
    """Arguments of the module without those that would fetch another library's weights."""
    module_params = params["module_params"]
    if module_params is None or find_library(params["module"]) is None:
        return module_params
    return {k: v for k, v in module_params.items() if k not in ("pretrained", "weights")}


# What a saved file says besides arguments and weights.
_FACTS = (
    "n_features_in_",
    "feature_names_in_",
    "classes_",
    "_known_classes",
    "image_shape_",
    "_scale",
    "_n_samples",
    "_n_features_out",
    "history_",
    "n_iter_",
    "best_epoch_",
)


class SavedMixin:
    """``save`` and ``load`` of :class:`DeepEmbedder`."""

    def save(self, path):
        """Write the fitted embedder to one file: weights as safetensors, settings as JSON.

        What continuing needs besides (optimizer, random state) is not in it; pickle keeps that.

        Parameters
        ----------
        path : str or Path
            Replaced as a whole, or, on an error, not at all.

        Raises
        ------
        ValueError
            If a part was given as a class or an instance, which no name can bring back.
        """
        check_is_fitted(self)
        facts = {name: getattr(self, name, None) for name in _FACTS}
        tensors = {f"module.{k}": v for k, v in self.net_.module_.state_dict().items()}
        tensors |= {f"loss.{k}": v for k, v in self.net_.criterion_.state_dict().items()}
        write(path, self.get_params(deep=False), facts, tensors)

    @classmethod
    def load(cls, path):
        """Read an embedder that :meth:`save` wrote; no code of the file is run.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        DeepEmbedder
            Fitted; further training starts with a fresh optimizer.

        Raises
        ------
        ValueError
            If the file is foreign, cut short, or of a newer version.
        """
        params, facts, tensors = read(path)
        try:
            embedder = cls(**{**params, "module_params": without_weights(params)})
            embedder._take_facts(facts)
            rows = np.zeros((2, embedder.n_features_in_), dtype=np.float32)
            judged = embedder.classes_ is None and not embedder._takes_amounts()
            sampler = None if judged else embedder._build_sampler()
            seeds = spawn_seeds(embedder.random_state)
            embedder._build_net(rows, embedder.classes_, embedder._n_samples, sampler, seeds)
            for prefix in ("module", "loss"):
                part = embedder.net_.module_ if prefix == "module" else embedder.net_.criterion_
                part.load_state_dict(
                    {k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(prefix)}
                )
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"{str(path)!r} holds settings and weights that do not fit each other: {error}"
            ) from None
        embedder.net_.history.extend({**row, "batches": []} for row in embedder.history_)
        embedder.net_._set_training(False)
        return embedder.set_params(module_params=params["module_params"])

    def _take_facts(self, facts):
        for name in _FACTS:
            if facts[name] is not None or name in ("classes_", "_known_classes", "image_shape_"):
                setattr(self, name, facts[name])
        if self.image_shape_ is not None:
            self.image_shape_ = tuple(self.image_shape_)
        for name in ("classes_", "_known_classes", "feature_names_in_"):
            if getattr(self, name, None) is not None:
                setattr(self, name, as_array(getattr(self, name)))
