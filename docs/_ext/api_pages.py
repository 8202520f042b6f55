"""Which names are public and which page of the API each has."""

import re
from importlib import import_module

MODULES = {
    "metriclearn": "Linear learners",
    "metriclearn.deep": "Deep embedders",
    "metriclearn.deep.losses": "Losses",
    "metriclearn.deep.miners": "Miners",
    "metriclearn.deep.samplers": "Samplers",
    "metriclearn.deep.modules": "Modules",
    "metriclearn.deep.augment": "Augmentation",
    "metriclearn.deep.callbacks": "Callbacks",
    "metriclearn.images": "Photos",
    "metriclearn.constraints": "Constraints",
    "metriclearn.neighbors": "Neighbors and retrieval",
    "metriclearn.verification": "Verification",
    "metriclearn.metrics": "Measures",
    "metriclearn.model_selection": "Splitters",
    "metriclearn.compare": "Comparing learners",
    "metriclearn.recommend": "Recommendation",
    "metriclearn.persistence": "Saving and loading",
    "metriclearn.plots": "Plots",
    "metriclearn.datasets": "Data",
}
# Tables of names that are written as text, such as ``loss="triplet"``.
TABLES = [
    ("losses", "LOSSES"),
    ("losses", "WRAPPERS"),
    ("losses", "REGULARIZERS"),
    ("miners", "MINERS"),
    ("miners", "CLASS_MINERS"),
    ("samplers", "SAMPLERS"),
]
# Without their module these mean methods as often as functions.
ALWAYS_WITH_MODULE = {"load", "save", "Finding"}


def public_names(module):
    """Return the public names of a module, without its tables of names; aliases come last."""
    found = {name: getattr(import_module(module), name) for name in import_module(module).__all__}
    names = [name for name, thing in found.items() if callable(thing)]
    return sorted(names, key=lambda name: (getattr(found[name], "__name__", name) != name, name))


def documented():
    """Return, for each module, the full names that its section of the API lists.

    What a module shares with the top level has one page, of its shortest name.
    """
    top = import_module("metriclearn")
    sections, seen = {}, set()
    for module in [*list(MODULES)[1:], "metriclearn"]:
        sections[module] = []
        for name in public_names(module):
            thing = getattr(import_module(module), name)
            if id(thing) not in seen:
                seen.add(id(thing))
                home = "metriclearn" if getattr(top, name, None) is thing else module
                sections[module].append(f"{home}.{name}")
    return {module: sections[module] for module in MODULES}


def targets():
    """Return the full name behind each name: full, short, or the last module and the name."""
    pages = {id(locate(full)): full for names in documented().values() for full in names}
    table = {}
    for module in MODULES:
        for name in public_names(module):
            full = pages[id(getattr(import_module(module), name))]
            table[f"{module}.{name}"] = full
            if name not in ALWAYS_WITH_MODULE:
                table.setdefault(name, full)
            table.setdefault(f"{module.rpartition('.')[2]}.{name}", full)
    for family, registry in TABLES:
        classes = getattr(import_module(f"metriclearn.deep.{family}"), registry)
        for word, thing in classes.items():
            if id(thing) not in pages:
                raise LookupError(
                    f"{thing.__name__} is not in __all__ of metriclearn.deep.{family}"
                )
            table.setdefault(f'"{word}"', pages[id(thing)])
    return table


def locate(full):
    """Return the thing of a full name."""
    module, _, name = full.rpartition(".")
    return getattr(import_module(module), name)


def target_of(text, table):
    """Return the full name that a literal begins with, or None.

    ``LMNN``, ``LMNN(n_neighbors=5)``, ``metriclearn.LMNN`` and ``LMNN.fit`` are such literals,
    ``KNeighborsClassifier`` and ``result.plot()`` are not.
    """
    if text in table:
        return table[text]
    match = re.match(r"[A-Za-z_]\w*(?:\.\w+)*(?=$|\()", text)
    name, _, member = (match[0] if match else "").rpartition(".")
    if match and match[0] in table:
        return table[match[0]]
    if name in table and hasattr(locate(table[name]), member):
        return f"{table[name]}.{member}"
    return None
