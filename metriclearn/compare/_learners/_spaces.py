"""What each learner of the roster is searched over; a new learner is one more row.

Names are the learner's own parameters. Two depend on the data: ``n_components`` as a share of
the width (linear learners) and ``n_neighbors``, no more than the smallest class allows.
"""

from collections.abc import Iterable

# What any loss is searched over.
_NETWORK = {
    "lr": [3e-4, 1e-3, 3e-3, 1e-2],
    "module__hidden_units": [(256,), (512, 256), (512, 256, 128)],
}

SEARCH_SPACES = {
    "lmnn": {
        "mu": [0.1, 0.2, 0.5],
        "n_passes": [1, 2, 5],
        "n_neighbors": [1, 3, 5],
        "n_components": [None, 0.5],
    },
    "mmc": {"variant": ["full", "diagonal"], "ridge": [1e-3, 1e-2, 0.1, 1.0]},
    "nca": {"n_components": [None, 0.5, 0.25, 0.125]},
    "rca": {"shrinkage": [0.0, 0.01, 0.1, 0.5], "n_components": [None, 0.5]},
    "lfda": {"shrinkage": [0.0, 0.01, 0.1, 0.5], "n_components": [None, 0.5, 0.25]},
    "gmml": {"t": [0.1, 0.3, 0.5, 0.7], "regularization": [1e-3, 1e-2, 0.1]},
    "itml": {"gamma": [0.01, 0.1, 1.0, 10.0]},
    "lsml": {"unit": [0.03, 0.1, 0.3, 1.0], "n_components": [None, 0.5]},
    "sdml": {"balance": [0.5, 0.9], "sparsity": [0.01, 0.1]},
    "scml": {"beta": [1e-5, 1e-4, 1e-3, 1e-2]},
    "pola": {"n_epochs": [1, 2, 5]},
    "mlkr": {"n_components": [None, 0.5, 0.25]},
    "kernelmetric": {"kernel": ["rbf", "poly"], "gamma": ["scale", 0.01, 0.1]},
    "mahalanobislearner": {"C": [1.0, 10.0, 100.0, 1000.0]},
    "deep": _NETWORK,
    "contrastive": {
        **_NETWORK,
        "loss__margin": [0.5, 1.0],
    },
    "triplet": {
        **_NETWORK,
        "loss__margin": [0.1, 0.2, 0.4],
    },
    "proxy_anchor": {
        **_NETWORK,
        "loss__alpha": [16.0, 32.0],
        "loss__margin": [0.1, 0.3],
    },
    "arcface": {
        **_NETWORK,
        "loss__margin": [0.2, 0.5],
        "loss__scale": [16.0, 64.0],
    },
}


def concrete_space(space, setting, *, width):
    """Turn the words that depend on the data into values.

    Parameters
    ----------
    space : dict of str to list or scipy distribution
    setting : Setting
    width : int
        Features that the metric gets to see.

    Returns
    -------
    dict
        Parameters of the learner's last step; each value once.

    Examples
    --------
    >>> from metriclearn.compare._learners._learner import Setting
    >>> setting = Setting(60, 8, 3, smallest_class=4)
    >>> concrete_space({"n_components": [None, 0.5], "n_neighbors": [1, 5]}, setting, width=8)
    {'n_components': [None, 4], 'n_neighbors': [1, 3]}
    """
    if setting.image_shape is not None:  # a ConvNet has no hidden units
        space = {name: values for name, values in space.items() if name != "module__hidden_units"}
    most = min(width, setting.most_components)
    words = {
        "n_components": lambda share: (
            min(max(2, round(share * width)), most) if _is_share(share) else share
        ),
        "n_neighbors": lambda k: max(1, min(k, setting.smallest_class - 1)),
    }
    concrete = {}
    for name, values in space.items():
        if name in words and not hasattr(values, "rvs"):
            values = list(dict.fromkeys(words[name](value) for value in values))
        concrete[name] = values
    return concrete


def _is_share(value):
    return isinstance(value, float) and value < 1


def as_spaces(given):
    """Return search spaces by learner; a ``ValueError`` where they are none."""
    if given is None:
        return {}
    if not hasattr(given, "items"):
        raise ValueError(
            f"search_spaces must be a dict of learner to a dict of parameter name to values, got "
            f"{given!r:.80}"
        )
    for key, space in given.items():
        if not hasattr(space, "items"):
            raise ValueError(
                f"search_spaces[{key!r}] must be a dict of parameter name to values, got {space!r}"
            )
        for name, values in space.items():
            a_list = isinstance(values, Iterable) and not isinstance(values, str | bytes)
            if not hasattr(values, "rvs") and not (a_list and len(values)):
                raise ValueError(
                    f"search_spaces[{key!r}][{name!r}] must be a list of values to try or a scipy "
                    f"distribution, got {values!r}"
                )
    return dict(given)


def check_spaces(spaces, keys):
    """Check that search spaces name learners.

    Parameters
    ----------
    spaces : dict of str to dict
        By the name of the learner.
    keys : list of str
        The learners compared.
    """
    for key in spaces:
        if key not in keys:
            raise ValueError(
                f"search_spaces: {key!r} is not one of the learners compared ({', '.join(keys)})"
            )
