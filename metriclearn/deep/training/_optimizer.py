"""Optimizers, with a learning rate for each part of what is trained."""

import inspect

import torch

from metriclearn.deep.losses._sampled import SampledProxies
from metriclearn.deep.modules._parts import check_params, resolve
from metriclearn.deep.training._sparse_rows import BY_NUMBER

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}


def find_optimizer(optimizer, params):
    """Return what makes the optimizer, after checks that need no parameters to train.

    Parameters
    ----------
    optimizer : str, class or callable
        Called with parameter groups and ``params``.
    params : dict or None
    """
    optimizer = resolve("optimizer", optimizer, OPTIMIZERS)
    check_params("optimizer", optimizer, params or {}, ("params", "lr"))
    if "lr" in (params or {}):
        raise ValueError("optimizer_params has 'lr'; give lr, backbone_lr or proxy_lr instead")
    if inspect.isclass(optimizer) and _needs_closure(optimizer):
        raise ValueError(
            f"optimizer={optimizer.__name__} needs the loss of the whole training set, several "
            f"times a step; a metric loss is of one batch: use {', '.join(sorted(OPTIMIZERS))}"
        )
    return optimizer


def _needs_closure(optimizer):
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def takes_closure(optimizer):
    """Whether ``step`` of an optimizer may be given a function that evaluates the loss."""
    return bool(inspect.signature(optimizer.step).parameters)


def make_optimizer(optimizer, recipe, parts, frozen):
    """Make the optimizer, with a group of parameters for each part that has a learning rate.

    Parameters
    ----------
    optimizer : callable
    recipe : Recipe
    parts : dict of str to nn.Module
        "backbone", "head" and "proxies".
    frozen : dict of str to list of str
        Names of the parameters of each part that an earlier call froze by ``requires_grad``,
        since the part's rate was zero: they are released, and those of this call noted.
    """
    groups = []
    for name, part in parts.items():
        parameters = dict(part.named_parameters())
        for released in frozen.pop(name, ()):
            if released in parameters:
                parameters[released].requires_grad_(True)
        rate = recipe.rates[name]
        trainable = [key for key, parameter in parameters.items() if parameter.requires_grad]
        if rate == 0:
            frozen[name] = trainable
            part.requires_grad_(False)
        elif trainable:
            # Those that the module froze itself have no gradient, and a callback may thaw them.
            group = {"params": list(parameters.values()), "part": name}
            groups.append({**group, "lr": rate, "initial_lr": rate})
    if not groups:
        raise ValueError(
            "nothing is left to train: every learning rate is 0 or every parameter frozen"
        )
    if recipe.warmup_epochs and [group["part"] for group in groups] == ["backbone"]:
        raise ValueError(
            "nothing is left to train in warm-up: there is no head and no proxy; give "
            "n_components, or warmup_epochs=0"
        )
    try:
        made = optimizer(groups, **recipe.optimizer_params)
    except (TypeError, ValueError) as error:
        raise ValueError(f"optimizer cannot be made: {error}") from error
    sparse = any(
        isinstance(part, SampledProxies) and part.sparse for part in parts["proxies"].modules()
    )
    if sparse and not isinstance(made, BY_NUMBER):
        raise ValueError(
            f"sparse=True of the loss changes rows alone, which {type(made).__name__} cannot; give "
            f"sparse=False, or one of these optimizers: {', '.join(sorted(OPTIMIZERS))}"
        )
    return made
