"""From the arguments of :class:`DeepEmbedder` to the parts of a net."""

import inspect
from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from metriclearn.deep.augment import AUGMENTS, as_augment
from metriclearn.deep.losses import LOSSES, REGULARIZERS, WRAPPERS, WeightedSum
from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._base import MetricLoss
from metriclearn.deep.losses._wrappers import Composite, MinedLoss
from metriclearn.deep.miners import CLASS_MINERS, MINERS
from metriclearn.deep.modules import (
    EMBEDDINGS,
    MODULES,
    Adapter,
    EmbeddingNetwork,
    Head,
    Standardize,
)
from metriclearn.deep.modules._libraries import find_backbone
from metriclearn.deep.modules._parts import argument_names, build, resolve
from metriclearn.deep.samplers import SAMPLERS, RandomSampler, as_sampler

# The miner of miner="auto": what the loss was published with.
PAPER_MINERS = {"TripletLoss": "semi_hard"}
DEFAULT_COMPONENTS = 64
# Beside the parameters of a loss inside another.
OF_A_MINER = ("miner", "miner_params")
# Rows, and values in them, that the input's mean and deviation are measured on, at most.
MEASURED_ROWS = 10_000
MEASURED_VALUES = 2**25


def build_sampler(sampler, params, batch_size, *, balanced=True, unlabeled=False, divided=False):
    """Make the sampler.

    Without classes to balance, the default one draws at random; for a loss that learns from
    unlabeled rows as well it draws such rows besides, and for one that divides the training set
    from one part at a time.
    """
    if isinstance(sampler, str) and sampler == "class_balanced":
        if not balanced:
            return RandomSampler(batch_size)
        if unlabeled:
            sampler = "semi_supervised"
        elif divided:
            sampler = "clusters"
    sampler = resolve("sampler", sampler, SAMPLERS)
    return as_sampler(build("sampler", sampler, params, {"batch_size": batch_size}))


def build_network(module, module_params, n_components, head_params, rows, feature_shape=None):
    """Make backbone and head, sized by the rows, and measure the input's statistics.

    Parameters
    ----------
    module : str, type or nn.Module
    module_params, head_params : dict or None
    n_components : int, "auto" or None
    rows : Rows
        On the CPU.
    feature_shape : tuple of int, default=None
        Of what the backbone makes of a row, where that is known; then no row is read, and the
        input's statistics are to come with the weights.

    Returns
    -------
    EmbeddingNetwork
    """
    component = find_backbone(module) if isinstance(module, str) else None
    if component is None:
        component = resolve("module", module, MODULES)
    offers = {"in_features": rows.values_per_row}
    if rows.image_shape is not None:
        offers["in_channels"] = rows.image_shape[2]
    elif "in_channels" in argument_names(component):
        ask_for_images(f"module={module!r}", rows.values_per_row)
    if component in EMBEDDINGS:
        if n_components not in ("auto", None):  # else as many as it has by default
            offers["n_components"] = n_components
        n_components = None
    elif n_components == "auto":
        n_components = DEFAULT_COMPONENTS if isinstance(module, str) else None
    backbone = build("module", component, module_params, offers)
    known = feature_shape is not None
    if not known:
        features = _first_features(backbone, rows)
        _settle_memory_order(backbone, rows, features)
        _check_pooling(backbone, features, head_params)
        feature_shape = tuple(features.shape[1:])
    sizes = {"feature_shape": feature_shape, "embedding_dim": n_components}
    network = EmbeddingNetwork(backbone, build("head", Head, head_params, sizes))
    if rows.channels_last:
        network = network.to(memory_format=torch.channels_last)
    if not known and not rows.integers:
        measure(network, rows)
    return network


def _first_features(backbone, rows):
    """Return what a backbone makes of two rows, and check that it can.

    Where rows are integers and the backbone wants floats, the rows become floats.
    """
    backbone.eval()
    if rows.integers:
        try:
            return _features(backbone, rows)
        except ValueError:
            rows.integers = False
            try:
                return _features(backbone, rows)
            except ValueError:
                rows.integers = True  # whose error says more
    return _features(backbone, rows)


def _settle_memory_order(backbone, rows, features):
    """Leave images in the order they come in, channels last, where the backbone gains and can.

    Convolutions gain; a backbone that cannot reads its input as rows in memory, and stumbles or
    gives other features.
    """
    convolves = any(isinstance(part, nn.Conv2d) for part in backbone.modules())
    if rows.image_shape is None or rows.channels_last or rows.channels_first or not convolves:
        return
    rows.channels_last = True
    backbone.to(memory_format=torch.channels_last)
    try:
        same = torch.allclose(_features(backbone, rows), features, rtol=1e-3, atol=1e-5)
    except ValueError:
        same = False
    if not same:
        rows.channels_last = False
        backbone.to(memory_format=torch.contiguous_format)


def _features(backbone, rows):
    two = rows.take(slice(0, 2))
    try:
        with torch.inference_mode():
            features = backbone(two)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        shape = ", ".join(map(str, two.shape[1:]))
        integers = " of integers" if rows.integers else ""
        raise ValueError(
            f"module={type(backbone).__name__} does not take batches of shape (n, {shape})"
            f"{integers}: {error}"
        ) from error
    if not isinstance(features, torch.Tensor) or features.ndim < 2 or len(features) != len(two):
        shape = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features)
        raise ValueError(
            f"module={type(backbone).__name__} must give one row of features for each row of a "
            f"batch; for 2 rows it gave {shape}"
        )
    return features


def _check_pooling(backbone, features, head_params):
    """Ask how to pool features of which either axis may be that of tokens."""
    if features.ndim == 3 and "pooling" not in (head_params or {}):
        a, b = features.shape[1:]
        raise ValueError(
            f"module={type(backbone).__name__} gives features of shape ({a}, {b}) for each row, "
            f"which can be pooled in two ways; give head_params={{'pooling': 'mean'}} or 'cls' for "
            f"{a} tokens of {b} features, or 'avg', 'max' or 'avg+max' for {a} channels of length "
            f"{b}"
        )


def measure(network, rows):
    """Set the network's input statistics from rows spread over the whole set."""
    layers = [part for part in network.modules() if isinstance(part, Standardize | Adapter)]
    if layers:
        most = max(2, min(len(rows), MEASURED_ROWS, MEASURED_VALUES // rows.values_per_row))
        spread = np.linspace(0, len(rows) - 1, most).astype(np.intp)
        sample = rows.take(spread)
        for layer in layers:
            layer.measure(sample)


def build_loss(loss, params, miner, miner_params, sizes):
    """Make the loss, sized for the classes, with its miner.

    Parameters
    ----------
    loss : str, type or nn.Module
    miner : str, type, callable or None
    params, miner_params : dict or None
    sizes : dict
        ``n_classes`` (None without classes), ``embedding_dim``, ``n_samples``, ``labels``.

    Returns
    -------
    nn.Module
    """
    known = {name: size for name, size in sizes.items() if size is not None}
    loss = as_metric_loss(build("loss", find_loss(loss), _with_inner(loss, params), known))
    if loss.needs_classes and sizes["n_classes"] is None:
        raise ValueError(f"{type(loss).__name__} as set up needs class labels")
    _check_features(loss)
    if None in (loss.n_classes, loss.embedding_dim):
        loss.build(**sizes)
    else:
        _check_sizes(loss, sizes)
    return with_miner(loss, miner, miner_params)


# What losses are given of a network before its embeddings, the special first.
_FEATURES = {
    "needs_maps": "the maps of the backbone",
    "needs_activations": "what the last layer makes of features",
    "needs_features": "what is pooled of the maps",
}


def _check_features(loss):
    """Check that all losses inside one want the features of one kind: a batch has one."""
    kinds = {}
    for part in loss.modules():
        # What is made of losses says of these, by properties, what they want.
        of_losses = isinstance(part, MetricLoss)
        wanted = [k for k in _FEATURES if of_losses and inspect.getattr_static(part, k) is True]
        if "needs_features" in wanted:
            kinds[wanted[0]] = type(part).__name__
    if len(kinds) > 1:
        first, second = (kind for kind in _FEATURES if kind in kinds)
        raise ValueError(
            f"{kinds[first]} needs {_FEATURES[first]}, and {kinds[second]} {_FEATURES[second]}; "
            f"{type(loss).__name__} cannot have both, train with one of them"
        )


def find_loss(loss):
    """Return a loss, or the class of one, from what ``loss`` names."""
    return resolve("loss", loss, LOSSES | REGULARIZERS | WRAPPERS)


def find_terms(loss, params):
    """Return the losses that a weighted sum is to be made of, each with its own parameters.

    Parameters
    ----------
    loss : str, type or nn.Module
    params : dict or None
        Of a `WeightedSum`: its ``losses`` are names, pairs of a name and its parameters, classes
        or modules.

    Returns
    -------
    list of (type or nn.Module, dict or None)
        Empty where ``loss`` is no weighted sum to be made.
    """
    if find_loss(loss) is not WeightedSum or "losses" not in (params or {}):
        return []
    losses = params["losses"]
    if isinstance(losses, str | dict) or not isinstance(losses, Iterable):
        raise ValueError(
            f"loss_params={{'losses': {losses!r}}} must be a list of losses, such as "
            f"['proxy_anchor', 'center'] or ['proxy_anchor', ('center', {{'alpha': 0.1}})]"
        )
    pairs = [term if isinstance(term, list | tuple) else (term, None) for term in losses]
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[1], dict | None):
            raise ValueError(
                f"loss_params={{'losses': ...}} holds {pair!r}; give a name, or a name and a dict "
                f"of its parameters"
            )
    return [(resolve("loss", term, LOSSES | REGULARIZERS), of_term) for term, of_term in pairs]


def _with_inner(loss, params):
    """Make the loss that a wrapper is to wrap, where its parameters name one, by ``loss__...``.

    Of a weighted sum make the losses that it sums.
    """
    if terms := find_terms(loss, params):
        return {**params, "losses": [_build_mined(term, own) for term, own in terms]}
    inner = (params or {}).get("loss")
    wraps = isinstance(loss, str) and loss in WRAPPERS
    if inner is None and wraps and _asks_for_loss(WRAPPERS[loss]):
        raise ValueError(
            f"loss={loss!r} wraps another loss; name it by loss_params={{'loss': 'proxy_anchor'}}, "
            f"or any other of {', '.join(sorted(LOSSES))}"
        )
    prefix = "loss__"
    nested = [name for name in params or {} if name.startswith(prefix)]
    of_inner = {name.removeprefix(prefix): params[name] for name in nested}
    if not (isinstance(inner, str) or of_inner):
        return params
    if inner is None:
        raise ValueError(
            f"loss_params has {nested[0]!r}, but names no loss inside; give "
            f"loss_params={{'loss': NAME, ...}}"
        )
    if isinstance(inner, str) and inner in WRAPPERS:
        raise ValueError(
            f"loss_params={{'loss': {inner!r}}}: what wraps another loss is wrapped as an object, "
            f"{WRAPPERS[inner].__name__}(...)"
        )
    own = {name: value for name, value in params.items() if name not in nested}
    inner = resolve("loss", inner, LOSSES | REGULARIZERS)
    return {**own, "loss": _build_mined(inner, of_inner)}


def _build_mined(loss, params):
    """Make a loss inside another, behind a miner of its own where its parameters name one."""
    own = dict(params or {})
    takes = argument_names(loss)
    miner, of_miner = (None if name in takes else own.pop(name, None) for name in OF_A_MINER)
    loss = as_metric_loss(build("loss", loss, own))
    return with_miner(loss, miner, of_miner)


def _asks_for_loss(wrapper):
    """Whether a wrapper has no loss of its own choice."""
    inner = inspect.signature(wrapper).parameters.get("loss")
    return inner is not None and inner.default is inspect.Parameter.empty


def with_miner(loss, miner, params):
    """Put a miner before a loss; "auto" is that of the loss's paper, None is none."""
    if isinstance(miner, str) and miner == "auto":
        miner = PAPER_MINERS.get(type(loss).__name__)
    if miner is None:
        if params:
            raise ValueError(f"miner_params={params} were given, but there is no miner")
        return loss
    miner = resolve("miner", miner, MINERS | CLASS_MINERS)
    # A function is a miner as it stands, not a maker of one.
    if not inspect.isfunction(miner) or params:
        miner = build("miner", miner, params)
    if isinstance(loss, Composite) and not loss.accepts:
        raise ValueError(
            f"miner={type(miner).__name__} cannot be that of {type(loss).__name__}; give it to a "
            f"loss inside: loss_params={{'loss': 'triplet', 'loss__miner': 'batch_hard'}}, or, "
            f"in a sum, ('triplet', {{'miner': 'batch_hard'}})"
        )
    return MinedLoss(loss, miner)


def head_before_loss(head_params):
    """Return what a head is made with; weights of the groups of a loss wait for the loss."""
    said = dict(head_params or {})
    if "groups" not in said:
        said.pop("group_weights", None)
    return said


def settle_head(head, head_params, loss):
    """Scale embeddings, or groups of their dimensions, to length one as the loss wants it.

    What the user said of it in ``head_params`` stands.
    """
    if loss.needs_activations and not isinstance(head.linear, nn.Linear):
        raise ValueError(
            f"{type(loss).__name__} as set up needs a last linear layer, which this module does "
            f"without; give n_components, or another module"
        )
    said = head_params or {}
    if "normalize" not in said:
        head.normalize = not loss.any_length
    if "groups" not in said:
        head.set_groups(loss.group_sizes, said.get("group_weights", loss.group_lengths))


def _check_sizes(loss, sizes):
    """Check that a ready-made loss was sized for these data."""
    name, n_classes, dim = type(loss).__name__, sizes["n_classes"], sizes["embedding_dim"]
    if n_classes is None:
        raise ValueError(f"{name} as set up needs class labels")
    if loss.n_classes < n_classes or loss.embedding_dim != dim:
        raise ValueError(
            f"{name} was made for n_classes={loss.n_classes} and embedding_dim="
            f"{loss.embedding_dim}, but there are {n_classes} classes to train on and embeddings "
            f"of {dim} dimensions; leave both out to have it sized"
        )


def build_augment(augment, inputs, views=False):
    """Make the augmentation; two views of feature vectors have one by default.

    Parameters
    ----------
    augment : str, callable or None
    inputs : Inputs or FileInputs
    views : bool, default=False
        Whether the loss compares two views of each row.
    """
    features = inputs.image_shape is None and not inputs.integers
    if augment is None and views:
        if not features:
            raise ValueError(
                "a loss on two views needs augment, which makes them differ; give 'affine', "
                "'light', 'standard' or a callable, or torch.nn.Identity() where noise or dropout "
                "of the module is to do it"
            )
        augment = "corrupt"
    if not isinstance(augment, str):
        return as_augment(augment)
    augment = resolve("augment", augment, AUGMENTS)
    if not augment.of_images:
        if not features:
            raise ValueError(
                f"augment={augment.__name__} takes feature vectors, X has images or integers; "
                f"give 'affine', 'light', 'standard' or a callable"
            )
        return augment()
    if inputs.image_shape is None:
        ask_for_images(f"augment={augment.__name__}", inputs.n_features)
    if inputs.crops and augment.crop is not None:
        return augment(crop=False)
    return augment()


def crop_of(augment):
    """Return the ranges of the random crops of an augmentation by name; None without any."""
    if not isinstance(augment, str):
        return None
    return resolve("augment", augment, AUGMENTS).crop


def ask_for_images(what, n_features):
    """Raise an error that asks for images."""
    raise ValueError(
        f"{what} takes images, X has rows of {n_features} features; give X of shape "
        f"(n, height, width[, channels]), or image_shape"
    )
