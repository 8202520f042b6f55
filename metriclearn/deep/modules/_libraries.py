"""Backbones of timm, torchvision and transformers, by name, where these are installed."""

from contextlib import contextmanager
from functools import partial

from torch import nn

from metriclearn.deep.modules._input import Standardize
from metriclearn.deep.modules._parts import nearest
from metriclearn.deep.modules._pretrained import Pretrained
from metriclearn.images._preprocessing import IMAGENET_MEAN, IMAGENET_STD
from metriclearn.images._torch_backbones import hub_model, hub_preprocessing

LIBRARIES = ("timm", "torchvision", "hf")
# Where torchvision's models keep their classifier.
CLASSIFIERS = ("fc", "classifier", "heads", "head")


def find_library(spec):
    """Return the library that ``"LIBRARY/NAME"`` names, or None."""
    library, slash, _ = spec.partition("/")
    return library if slash and library in LIBRARIES else None


def own_size(spec):
    """Return the (height, width) that a model of transformers was trained with; None of others."""
    if find_library(spec) != "hf":
        return None
    with _of_module():
        return hub_preprocessing(spec.partition("/")[2]).size


def find_backbone(spec):
    """Return a maker of the backbone that ``"LIBRARY/NAME"`` means.

    Parameters
    ----------
    spec : str

    Returns
    -------
    callable or None
        None where the name does not start with a library's. To be called with
        ``in_channels`` and the library's own arguments. Its weights are the pretrained ones
        that the library has, unless ``pretrained=False`` (timm, transformers) or
        ``weights=None`` (torchvision) is among these.
    """
    if spec.endswith(".onnx"):
        raise ValueError(
            f"module={spec!r}: an ONNX file has no weights that can be trained; train 'adapter' on "
            f"the vectors of metriclearn.images.Features({spec!r})"
        )
    library = find_library(spec)
    if library is None:
        return None
    name = spec.partition("/")[2]
    if library == "hf":
        return partial(_of_transformers, name)
    try:
        names, make = _timm() if library == "timm" else _torchvision()
    except ModuleNotFoundError as error:  # timm, or torchvision, which timm needs
        missing = (error.name or library).partition(".")[0]
        raise ValueError(
            f"module={spec!r} needs {missing}, which is not installed: pip install {missing}"
        ) from None
    if name.partition(".")[0] not in names:
        raise ValueError(f"module={spec!r}: {library} has no model {name!r}{nearest(name, names)}")
    return partial(make, name)


@contextmanager
def _of_module():
    """Let errors name the argument that is called module here."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace("backbone=", "module=")) from error


def _of_transformers(
    name, in_channels, *, pretrained=True, pooling=None, mean=None, std=None, config=None
):
    """Make a backbone of transformers; with a ``config`` nothing is read or fetched."""
    if in_channels not in (1, 3):
        raise ValueError(f"module='hf/{name}' takes images of 1 or 3 channels, X has {in_channels}")
    with _of_module():
        if config is None and not (mean and std):
            found = hub_preprocessing(name)
            mean, std = mean or found.mean, std or found.std
        network = hub_model(name, config, pretrained)
    return Pretrained(network, pooling=pooling, mean=mean, std=std)


@contextmanager
def _fetching(module, argument, given, none):
    """Say, where pretrained weights cannot be had, how to start from random ones."""
    try:
        yield
    except Exception as error:  # of the network, of the library, of its store of weights
        if given == none:
            raise
        raise ValueError(
            f"module={module!r}: the pretrained weights could not be loaded "
            f"({type(error).__name__}: {error}); to start from random ones, give "
            f"module_params={{{argument!r}: {none}}}"
        ) from error


def _colors(in_channels, mean, std):
    """Make the layer that gives weights the colors that they were trained with."""
    if mean is None or std is None or len(mean) != in_channels:
        return Standardize(in_channels)
    return Standardize(in_channels, mean, std)


def _timm():
    import timm

    def make(name, in_channels, **params):
        params = {"pretrained": True, **params}
        with _fetching(f"timm/{name}", "pretrained", params["pretrained"], False):
            model = timm.create_model(name, in_chans=in_channels, num_classes=0, **params)
        said = vars(model).get("pretrained_cfg", {}) if params["pretrained"] else {}
        return nn.Sequential(_colors(in_channels, said.get("mean"), said.get("std")), model)

    return timm.list_models(), make


def _torchvision():
    from torchvision import models

    def make(name, in_channels, **params):
        if in_channels != 3:
            raise ValueError(
                f"torchvision's models take images of 3 channels, X has {in_channels}; repeat the "
                f"channel, or use timm's"
            )
        params = {"weights": "DEFAULT", **params}
        with _fetching(f"torchvision/{name}", "weights", params["weights"], None):
            model = models.get_model(name, **params)
        for part in CLASSIFIERS:
            if part in dict(model.named_children()):
                setattr(model, part, nn.Identity())
                said = (None, None) if params["weights"] is None else (IMAGENET_MEAN, IMAGENET_STD)
                return nn.Sequential(_colors(in_channels, *said), model)
        raise ValueError(f"torchvision's {name!r} has no classifier that could be taken off")

    return models.list_models(module=models), make
