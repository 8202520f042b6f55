"""Sphinx configuration; the API page is written from the rooms themselves."""

from importlib import import_module
from importlib.metadata import version
from pathlib import Path

project = "metriclearn"
author = "The metriclearn developers"
copyright = f"2026, {author}"
release = version("metriclearn")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "metriclearn"
autodoc_default_options = {"members": True, "inherited-members": "Module,BaseEstimator"}
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

ROOMS = {
    "metriclearn": "Linear learners",
    "metriclearn.deep": "Deep embedders",
    "metriclearn.deep.losses": "Losses",
    "metriclearn.deep.miners": "Miners",
    "metriclearn.constraints": "Constraints",
    "metriclearn.neighbors": "Neighbours and retrieval",
    "metriclearn.verification": "Verification",
    "metriclearn.metrics": "Measures",
    "metriclearn.model_selection": "Splitters",
    "metriclearn.compare": "Comparing learners",
    "metriclearn.plots": "Pictures",
    "metriclearn.datasets": "Data",
}


def write_api_page(app):
    """List every public name of every room, so that none can be forgotten."""
    lines = ["API", "===", ""]
    for room, title in ROOMS.items():
        try:
            names = [n for n in import_module(room).__all__ if callable(getattr(import_module(room), n))]
        except ModuleNotFoundError:
            continue
        lines += [title, "-" * len(title), "", f".. currentmodule:: {room}", ""]
        lines += [".. autosummary::", "   :toctree: generated", "   :nosignatures:", ""]
        lines += [f"   {name}" for name in sorted(names)] + [""]
    page = Path(app.srcdir) / "api.rst"
    text = "\n".join(lines)
    if not page.exists() or page.read_text() != text:
        page.write_text(text)


def setup(app):
    """Write the API page before the sources are read."""
    app.connect("config-inited", lambda app, config: write_api_page(app))
