"""A fitted embedder in one file: weights as safetensors, settings as JSON in its header.

Reading runs no code: a loss or module is found by its name in this package.
"""

import json
import os
from pathlib import Path

import numpy as np

from metriclearn._extras import require
from metriclearn.deep._inputs import Inputs
from metriclearn.deep.modules._libraries import find_library
from metriclearn.deep.training._trainer import Trainer

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
    """Return the arguments of the module, such that another library fetches no weights."""
    module_params, library = params["module_params"], find_library(params["module"])
    if library is None:
        return module_params
    fetches_none = {"pretrained": False} if library == "timm" else {"weights": None}
    return {**(module_params or {}), **fetches_none}


def save(embedder, path):
    """Write a fitted :class:`DeepEmbedder`; see its ``save``."""
    net = embedder.net_
    inputs = net.inputs_
    facts = {
        "n_features_in_": embedder.n_features_in_,
        "feature_names_in_": vars(embedder).get("feature_names_in_"),
        "classes_": net.classes_,
        "_known_classes": net.known_classes_,
        "image_shape_": inputs.image_shape,
        "channels_first": inputs.channels_first,
        "integers": inputs.integers,
        "_scale": inputs.scale,
        "_n_samples": net.sizes_["n_samples"],
        "history_": embedder.history_,
        "best_epoch_": embedder.best_epoch_,
    }
    tensors = {f"module.{k}": v for k, v in net.module_.state_dict().items()}
    tensors |= {f"loss.{k}": v for k, v in net.criterion_.state_dict().items()}
    write(path, embedder.get_params(deep=False), facts, tensors)


def load(cls, path):
    """Read what :func:`save` wrote into an estimator of ``cls``; see ``DeepEmbedder.load``."""
    params, facts, tensors = read(path)
    try:
        embedder = cls(**{**params, "module_params": without_weights(params)})
        net = _net_of(embedder, facts)
        for prefix, part in (("module.", net.module_), ("loss.", net.criterion_)):
            part.load_state_dict(
                {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            )
        net.history.extend({**row, "batches": []} for row in facts["history_"])
        net.best_epoch_ = facts["best_epoch_"]
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{str(path)!r} holds settings and weights that do not fit each other: {error}"
        ) from None
    net._set_training(False)
    embedder.set_params(module_params=params["module_params"])
    net.arguments_["module_params"] = params["module_params"]
    embedder.n_features_in_ = facts["n_features_in_"]
    if facts["feature_names_in_"] is not None:
        embedder.feature_names_in_ = as_array(facts["feature_names_in_"])
    return embedder._with_net(net)


def _net_of(embedder, facts):
    """Build the net of a saved embedder, with weights that are still to be read."""
    trainer = Trainer(embedder.get_params(deep=False))
    shape = facts["image_shape_"]
    inputs = Inputs(
        facts["n_features_in_"],
        None if shape is None else tuple(shape),
        facts["channels_first"],
        facts["_scale"],
        facts["integers"],
        isinstance(embedder.module, str),
    )
    classes, known = (
        None if facts[name] is None else as_array(facts[name])
        for name in ("classes_", "_known_classes")
    )
    on_constraints = classes is None and not trainer.loss_says("continuous_labels")
    net = trainer.build(
        inputs,
        np.zeros((2, inputs.n_features), dtype=np.int64 if inputs.integers else np.float32),
        None if on_constraints else trainer.make_sampler(),
        None if classes is None else len(classes),
        facts["_n_samples"],
        trainer.seeds(),
    )
    net.classes_, net.known_classes_ = classes, known
    return net
