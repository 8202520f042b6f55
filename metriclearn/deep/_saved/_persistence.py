"""A fitted embedder to a file and back: weights as safetensors, settings as JSON in its header.

Reading runs no code: a loss or module is found by its name in this package.
"""

import math

import numpy as np

from metriclearn.deep._inputs._images import FileInputs
from metriclearn.deep._inputs._inputs import Inputs
from metriclearn.deep._saved._file import (
    BoundedTensors,
    as_array,
    read,
    transformer_of,
    without_weights,
    write,
)
from metriclearn.deep.losses import MetricLoss
from metriclearn.deep.training._assembly import crop_of
from metriclearn.deep.training._trainer import Trainer
from metriclearn.images._paths import ImagePaths

# Largest image, in values, of a file that does not say what shape its features have.
_MOST_VALUES = 2**22
# Most values of what serves training alone, which no file holds.
_MOST_IN_TRAINING = 2**26


def save(embedder, path):
    """Write a fitted :class:`DeepEmbedder`; see its ``save``."""
    net = embedder.net_
    inputs = net.inputs_
    facts = {
        **facts_of(inputs),
        "n_features_in_": embedder.n_features_in_,
        "feature_names_in_": vars(embedder).get("feature_names_in_"),
        "classes_": net.classes_,
        "_known_classes": net.known_classes_,
        "files": inputs.crops,
        "_n_samples": net.sizes_["n_samples"],
        "feature_shape": net.module_.head.feature_shape,
        "history_": embedder.history_,
        "best_epoch_": embedder.best_epoch_,
        "transformer": transformer_of(embedder.module, net.module_.backbone),
    }
    tensors = {f"module.{k}": v for k, v in net.module_.state_dict().items()}
    tensors |= {f"loss.{k}": v for k, v in _kept(net.criterion_).items()}
    write(path, embedder.get_params(deep=False), facts, tensors)


def load(cls, path):
    """Read what :func:`save` wrote into an estimator of ``cls``; see ``DeepEmbedder.load``."""
    params, facts, tensors = read(path, cls)
    try:
        embedder = cls(**{**params, "module_params": without_weights(params, facts)})
        embedder._validate_params()
        net = _net_of(embedder, facts, tensors)
        net.module_.load_state_dict(_under("module.", tensors))
        made, kept = net.criterion_.state_dict(), _kept(net.criterion_)
        of_training = {name: made[name] for name in made.keys() - kept.keys()}
        net.criterion_.load_state_dict(of_training | _under("loss.", tensors))
        net.history.extend({**row, "batches": []} for row in facts["history_"])
        net.best_epoch_ = facts["best_epoch_"]
        names = facts["feature_names_in_"]
        names = None if names is None else as_array(names)
        if names is not None and names.shape != (facts["n_features_in_"],):
            raise ValueError(f"{facts['n_features_in_']} features have {names.shape} names")
    except Exception as error:  # settings of strangers can make any part stumble
        raise misfit(path, error) from None
    net._set_training(False)
    embedder.set_params(module_params=params["module_params"])
    net.arguments_["module_params"] = params["module_params"]
    embedder.n_features_in_ = facts["n_features_in_"]
    if names is not None:
        embedder.feature_names_in_ = names
    return embedder._with_net(net)


def _under(prefix, tensors):
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _kept(loss):
    """Return the state of a loss without what serves training alone."""
    left_out = [
        f"{place}.{name}".removeprefix(".")
        for place, part in loss.named_modules()
        if isinstance(part, MetricLoss)
        for name in part.training_only
    ]
    return {
        key: value
        for key, value in loss.state_dict().items()
        if not any(key == name or key.startswith(f"{name}.") for name in left_out)
    }


def _net_of(embedder, facts, tensors):
    """Build the net of a saved embedder, with weights that are still to be read.

    Nothing larger than what the file holds is made, and no row passes through it.
    """
    trainer = Trainer(embedder.get_params(deep=False))
    _check_facts(facts)
    n_features = facts["n_features_in_"]
    inputs = _inputs_of(embedder, facts)
    classes, known = (
        None if facts[name] is None else as_array(facts[name])
        for name in ("classes_", "_known_classes")
    )
    on_constraints = classes is None and not trainer.loss_says("continuous_labels")
    features = facts["feature_shape"]
    if features is None and n_features > _MOST_VALUES:
        raise ValueError(f"it was written by an older version, for rows of {n_features} values")
    X = ImagePaths("", []) if inputs.crops else stand_in(inputs)
    spare = {"spare": _MOST_IN_TRAINING} if trainer.loss_says("training_only") else {}
    with BoundedTensors(tensors, **spare):
        net = trainer.build(
            inputs,
            X,
            None if on_constraints else trainer.make_sampler(),
            None if classes is None else len(classes),
            facts["_n_samples"],
            trainer.seeds(),
            feature_shape=None if features is None else tuple(features),
        )
    net.classes_, net.known_classes_ = classes, known
    return net


def _inputs_of(embedder, facts):
    shape = facts["image_shape_"]
    # Files of before there were image files do not say that they are not of them.
    channels_last = facts.get("channels_last", isinstance(embedder.module, str))
    if facts.get("files", False):
        return FileInputs(tuple(shape), channels_last, crop_of(embedder.augment))
    return inputs_from({**facts, "channels_last": channels_last})


def facts_of(inputs):
    """Return what a file says of how rows are read."""
    return {
        "n_features_in_": inputs.n_features,
        "image_shape_": inputs.image_shape,
        "channels_first": inputs.channels_first,
        "integers": inputs.integers,
        "channels_last": inputs.channels_last,
        "_scale": inputs.scale,
    }


def inputs_from(facts):
    """Return how rows are read, from what a file says; see :func:`facts_of`."""
    shape = facts["image_shape_"]
    return Inputs(
        facts["n_features_in_"],
        None if shape is None else tuple(shape),
        facts["channels_first"],
        facts["_scale"],
        facts["integers"],
        facts["channels_last"],
    )


def stand_in(inputs):
    """Return one number, seen as two rows: no memory, however long they are."""
    number = np.zeros((), dtype=np.int64 if inputs.integers else np.float32)
    return np.broadcast_to(number, (2, inputs.n_features))


def misfit(path, error):
    """Return the error of a file whose parts do not fit each other."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"{str(path)!r} holds settings and weights that do not fit each other: {reason}"
    )


def _check_facts(facts):
    """Check kinds and sizes of what a file says that fitting found out."""
    check_inputs(facts)
    shape = facts["image_shape_"]
    right = {
        "files": facts.get("files", False) is False or (facts["files"] is True and bool(shape)),
        "_n_samples": is_count(facts["_n_samples"]),
        "feature_shape": facts["feature_shape"] is None or are_counts(facts["feature_shape"]),
        # 0: the weights before the first epoch were best.
        "best_epoch_": facts["best_epoch_"] in (None, 0) or is_count(facts["best_epoch_"]),
        "history_": isinstance(facts["history_"], list)
        and all(isinstance(row, dict) for row in facts["history_"]),
    }
    _check_all(right, facts)


def check_inputs(facts):
    """Check kinds and sizes of what a file says of the rows that a network takes."""
    n_features, shape = facts["n_features_in_"], facts["image_shape_"]
    scale = facts["_scale"]
    right = {
        "n_features_in_": is_count(n_features),
        "image_shape_": shape is None
        or (are_counts(shape) and len(shape) == 3 and math.prod(shape) == n_features),
        "channels_first": isinstance(facts["channels_first"], bool),
        "integers": isinstance(facts["integers"], bool),
        "channels_last": isinstance(facts.get("channels_last", True), bool),
        "_scale": type(scale) in (int, float) and 0 < scale < np.inf,
    }
    _check_all(right, facts)


def is_count(value):
    """Whether a value is a whole number of at least one."""
    return type(value) is int and value >= 1


def are_counts(value):
    """Whether a value is a short list of such numbers."""
    return isinstance(value, list) and len(value) <= 8 and all(map(is_count, value))


def _check_all(right, facts):
    for name, fits in right.items():
        if not fits:
            raise ValueError(f"{name} is {facts.get(name)!r:.60}")
