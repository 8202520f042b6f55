"""Fitted pair networks and two towers to a file and back, as embedders are."""

import numpy as np
import torch

from metriclearn._format import Format
from metriclearn.deep._saved._file import (
    BoundedTensors,
    as_array,
    read,
    transformer_of,
    without_weights,
    write,
)
from metriclearn.deep._saved._persistence import (
    check_inputs,
    facts_of,
    inputs_from,
    misfit,
    stand_in,
)
from metriclearn.deep.pairs._net import make_net, make_scorer
from metriclearn.deep.pairs._towers import Documents

PAIR_NETWORK = Format("metriclearn.PairNetwork", {1: lambda *both: both})
TWO_TOWERS = Format("metriclearn.TwoTowerEmbedder", {1: lambda *both: both})
_POINTS = "points"


def save(network, path):
    """Write a fitted :class:`PairNetwork`; see its ``save``."""
    inputs, scorer = network._inputs, network.net_.module_
    facts = {
        "feature_names_in_": vars(network).get("feature_names_in_"),
        "classes_": network.classes_,
        "same_is_second": bool(network.classes_[1] == network.pos_label_),
        "logistic": [network._slope, network._intercept],
        "history_": network.history_,
        **facts_of(inputs),
        "feature_shapes": [tower.head.feature_shape for tower in scorer.towers],
        "transformer": transformer_of(network.module, scorer.towers[0].backbone),
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
        network = cls(**{**params, "module_params": without_weights(params, facts)})
        network._validate_params()
        inputs = _inputs_of(facts)
        rows = inputs.rows(stand_in(inputs), "cpu")
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
        raise misfit(path, error) from None
    network.n_features_in_ = facts["n_features_in_"]
    if facts["feature_names_in_"] is not None:
        network.feature_names_in_ = as_array(facts["feature_names_in_"])
    network.set_params(
        module_params=params["module_params"], points=None if points is None else points.numpy()
    )
    return network


def save_towers(embedder, path):
    """Write a fitted :class:`TwoTowerEmbedder`; see its ``save``."""
    towers = embedder.net_.module_
    facts = {
        "inputs": [facts_of(inputs) for inputs in embedder._inputs],
        "feature_names_in_": vars(embedder).get("feature_names_in_"),
        "document_names": vars(embedder._documents).get("feature_names_in_"),
        "history_": embedder.history_,
        "feature_shapes": [
            tower.head.feature_shape for tower in (towers.queries, towers.documents)
        ],
    }
    # One of the towers, where they are the same.
    sides = ["queries."] if embedder.shared else ["queries.", "documents."]
    state = towers.state_dict().items()
    tensors = {k: v for k, v in state if k.startswith(tuple(sides))}
    write(path, embedder.get_params(deep=False), facts, tensors, TWO_TOWERS)


def load_towers(cls, path):
    """Read what :func:`save_towers` wrote into an estimator of ``cls``."""
    params, facts, tensors = read(path, cls, TWO_TOWERS)
    try:
        embedder = cls(**{**params, "module_params": without_weights(params, facts)})
        embedder._validate_params()
        inputs = tuple(map(_inputs_of, facts["inputs"]))
        shapes = [tuple(shape) for shape in facts["feature_shapes"]]
        with BoundedTensors(tensors):
            towers = embedder._towers(inputs, [stand_in(side) for side in inputs], shapes)
        if embedder.shared:
            copies = {k.replace("queries.", "documents.", 1): v for k, v in tensors.items()}
            tensors = tensors | copies
        towers.load_state_dict(tensors)
        embedder.net_ = embedder._net(towers).initialize()
        embedder.net_.history.extend({**row, "batches": []} for row in facts["history_"])
        embedder._inputs, embedder._documents = inputs, Documents()
        embedder._told()
    except Exception as error:  # settings of strangers can make any part stumble
        raise misfit(path, error) from None
    for estimator, side, names in (
        (embedder, inputs[0], "feature_names_in_"),
        (embedder._documents, inputs[1], "document_names"),
    ):
        estimator.n_features_in_ = side.n_features
        if facts[names] is not None:
            estimator.feature_names_in_ = as_array(facts[names])
    return embedder.set_params(module_params=params["module_params"])


def _inputs_of(facts):
    check_inputs(facts)
    return inputs_from(facts)
