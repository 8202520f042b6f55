"""A fitted pair network to a file and back, as embedders are."""

import numpy as np
import torch

from metriclearn._format import Format
from metriclearn.deep._inputs import Inputs
from metriclearn.deep._saved._bounded import BoundedTensors
from metriclearn.deep._saved._file import as_array, read, without_weights, write
from metriclearn.deep._saved._persistence import check_inputs
from metriclearn.deep.pairs._net import make_net, make_scorer

PAIR_NETWORK = Format("metriclearn.PairNetwork", {1: lambda *both: both})
_POINTS = "points"


def save(network, path):
    """Write a fitted :class:`PairNetwork`; see its ``save``."""
    inputs, scorer = network._inputs, network.net_.module_
    facts = {
        "n_features_in_": network.n_features_in_,
        "feature_names_in_": vars(network).get("feature_names_in_"),
        "classes_": network.classes_,
        "same_is_second": bool(network.classes_[1] == network.pos_label_),
        "logistic": [network._slope, network._intercept],
        "history_": network.history_,
        "image_shape_": inputs.image_shape,
        "channels_first": inputs.channels_first,
        "integers": inputs.integers,
        "channels_last": inputs.channels_last,
        "_scale": inputs.scale,
        "feature_shapes": [tower.head.feature_shape for tower in scorer.towers],
    }
    params = network.get_params(deep=False)
    tensors = {f"module.{name}": value for name, value in scorer.state_dict().items()}
    if params["points"] is not None:
        tensors[_POINTS] = torch.from_numpy(np.array(params["points"]))
    write(path, {**params, "points": None}, facts, tensors, PAIR_NETWORK)


def load(cls, path):
    """Read what :func:`save` wrote into an estimator of ``cls``."""
    params, facts, tensors = read(path, cls, PAIR_NETWORK)
    try:
        points = tensors.pop(_POINTS, None)
        network = cls(**{**params, "module_params": without_weights(params)})
        network._validate_params()
        check_inputs(facts)
        inputs = Inputs(
            facts["n_features_in_"],
            None if facts["image_shape_"] is None else tuple(facts["image_shape_"]),
            facts["channels_first"],
            facts["_scale"],
            facts["integers"],
            facts["channels_last"],
        )
        number = np.zeros((), dtype=np.int64 if inputs.integers else np.float32)
        rows = inputs.rows(np.broadcast_to(number, (2, inputs.n_features)), "cpu")
        arguments = network.get_params(deep=False)
        shapes = [tuple(shape) for shape in facts["feature_shapes"]]
        with BoundedTensors(tensors):
            scorer = make_scorer(arguments, inputs, rows, np.array([[0, 1]]), shapes)
        scorer.load_state_dict({k.removeprefix("module."): v for k, v in tensors.items()})
        network.net_ = make_net(arguments, scorer).initialize()
        network._inputs = inputs
        network.classes_ = as_array(facts["classes_"])
        network.pos_label_ = network.classes_[int(facts["same_is_second"])]
        network._slope, network._intercept = map(float, facts["logistic"])
        network.history_ = facts["history_"]
    except Exception as error:  # settings of strangers can make any part stumble
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{str(path)!r} holds settings and weights that do not fit each other: {reason}"
        ) from None
    network.n_features_in_ = facts["n_features_in_"]
    if facts["feature_names_in_"] is not None:
        network.feature_names_in_ = as_array(facts["feature_names_in_"])
    network.set_params(
        module_params=params["module_params"], points=None if points is None else points.numpy()
    )
    return network
