"""Sphinx configuration; the API page is written from the modules themselves."""

from importlib import import_module, metadata
from pathlib import Path

project = "metriclearn"
author = "The metriclearn developers"
copyright = f"2026, {author}"
release = metadata.version("metriclearn")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
extlinks = {"doi": ("https://doi.org/%s", "doi:%s")}
myst_heading_anchors = 3
exclude_patterns = ["_build"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = "metriclearn"
autodoc_default_options = {"members": True, "inherited-members": "Module,BaseEstimator"}
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

MODULES = {
    "metriclearn": "Linear learners",
    "metriclearn.deep": "Deep embedders",
    "metriclearn.deep.losses": "Losses",
    "metriclearn.deep.miners": "Miners",
    "metriclearn.deep.samplers": "Samplers",
    "metriclearn.deep.modules": "Modules",
    "metriclearn.deep.augment": "Augmentation",
    "metriclearn.deep.callbacks": "Callbacks",
    "metriclearn.constraints": "Constraints",
    "metriclearn.neighbors": "Neighbors and retrieval",
    "metriclearn.verification": "Verification",
    "metriclearn.metrics": "Measures",
    "metriclearn.model_selection": "Splitters",
    "metriclearn.compare": "Comparing learners",
    "metriclearn.plots": "Plots",
    "metriclearn.datasets": "Data",
}


def public_names(module):
    """Return the public names of a module, without its tables of names."""
    return [name for name in module.__all__ if callable(getattr(module, name))]


def write_api_page(app):
    """List every public name of every module, so that none can be forgotten."""
    lines = ["API", "===", ""]
    # Verifiers are also exported at the top level; they have one page each.
    verifiers = import_module("metriclearn.verification").__all__
    for module, title in MODULES.items():
        names = public_names(import_module(module))
        if module == "metriclearn":
            names = [name for name in names if name not in verifiers]
        lines += [title, "-" * len(title), "", f".. currentmodule:: {module}", ""]
        lines += [".. autosummary::", "   :toctree: generated", "   :nosignatures:", ""]
        lines += [f"   {name}" for name in sorted(names)] + [""]
    page = Path(app.srcdir) / "api.rst"
    text = "\n".join(lines)
    if not page.exists() or page.read_text() != text:
        page.write_text(text)


def skip_what_is_not_ours(app, what, name, obj, skip, options):
    """Leave methods of scikit-learn, torch and skorch to their own pages."""
    origin = getattr(obj, "__module__", None) or ""
    return skip or origin.split(".")[0] in ("sklearn", "torch", "skorch")


def setup(app):
    """Write the API page before the sources are read, and keep it to our own names."""
    app.connect("config-inited", lambda app, config: write_api_page(app))
    app.connect("autodoc-skip-member", skip_what_is_not_ours)
