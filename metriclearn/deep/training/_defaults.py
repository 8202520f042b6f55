"""What "auto" stands for among the arguments of training: other values for pretrained networks."""

from metriclearn.deep.modules import Pretrained
from metriclearn.deep.modules._libraries import find_library

#: Of the head's rate, that of layers which have learned to see already.
BACKBONE_SHARE = 0.1
#: Of networks that begin at random.
_FRESH = {"backbone_lr": None, "warmup_epochs": 0, "freeze_batch_norm": False}


def settled(arguments):
    """Return the arguments of an embedder with values in place of "auto".

    Parameters
    ----------
    arguments : dict
        Of the constructor.

    Returns
    -------
    dict
        A pretrained backbone gets a tenth of the head's rate, one epoch in which the head alone
        is trained, where it has weights, and statistics of batch normalization that stand still.
    """
    values = _FRESH
    if is_pretrained(arguments["module"], arguments["module_params"]):
        values = {
            "backbone_lr": BACKBONE_SHARE * arguments["lr"],
            "warmup_epochs": int(_has_linear_head(arguments)),
            "freeze_batch_norm": True,
        }
    autos = {name: value for name, value in values.items() if _is_auto(arguments[name])}
    return {**arguments, **autos}


def shown(arguments):
    """Say which of the photo defaults are in use; nothing where none is.

    Parameters
    ----------
    arguments : dict
        Of the constructor.

    Returns
    -------
    str
    """
    if not is_pretrained(arguments["module"], arguments["module_params"]):
        return ""
    values = settled(arguments)
    chosen = [f"{name}={values[name]:g}" for name in ("backbone_lr", "warmup_epochs")]
    chosen.append(f"freeze_batch_norm={values['freeze_batch_norm']}")
    asked = ("backbone_lr", "warmup_epochs", "freeze_batch_norm")
    named = [text for name, text in zip(asked, chosen, strict=True) if _is_auto(arguments[name])]
    return f"pretrained network: {', '.join(named)}" if named else ""


def is_pretrained(module, params):
    """Whether a module begins with weights that were trained elsewhere, as far as it can be known.

    Parameters
    ----------
    module : str, type or nn.Module
    params : dict or None
    """
    params = params or {}
    if isinstance(module, str):
        library = find_library(module)
        asked = {"timm": params.get("pretrained", True), "torchvision": params.get("weights", True)}
        return bool(library is not None and asked[library])
    return isinstance(module, Pretrained) or module is Pretrained


def _has_linear_head(arguments):
    n_components = arguments["n_components"]
    if n_components == "auto":
        return isinstance(arguments["module"], str)
    return n_components is not None


def _is_auto(value):
    return isinstance(value, str) and value == "auto"
