"""Sphinx configuration; the API page is written from the modules themselves."""

import inspect
import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

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
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "api_names",
    "mathml",
    "pictures",
]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
extlinks = {"doi": ("https://doi.org/%s", "doi:%s")}
myst_heading_anchors = 3
exclude_patterns = ["_build", "gallery/**/*.ipynb", "gallery/**/*.py"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = "metriclearn"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_math_renderer = "mathml"
# Docstrings say the types in words; ArrayLike alone would be five lines.
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "inherited-members": "Module,BaseEstimator"}
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "subsection_order": [
        f"../examples/{section}"
        for section in ("tutorials", "distances", "constraints", "deep", "search")
    ],
    "within_subsection_order": "ExampleTitleSortKey",
    "nested_sections": False,
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("metriclearn",),
    "reference_url": {"metriclearn": None},
    "image_srcset": ["2x"],
    "thumbnail_size": (400, 280),
    "download_all_examples": False,
    "write_computation_times": False,
    "min_reported_time": 3600,
    "show_signature": False,
    "remove_config_comments": True,
    "plot_gallery": True,
    "capture_repr": ("_repr_html_",),  # the last value of a cell is often an artist
    "abort_on_example_error": True,
}


def skip_what_is_not_ours(app, what, name, obj, skip, options):
    """Leave methods of scikit-learn, torch and skorch to their own pages."""
    origin = getattr(obj, "__module__", None) or ""
    return skip or origin.split(".")[0] in ("sklearn", "torch", "skorch")


def show_constructor(app, what, name, obj, options, signature, returns):
    """Show the arguments of ``__init__``, where autodoc would show those of ``__new__``."""
    if what != "class" or signature is None or not inspect.isclass(obj):
        return None
    plain = inspect.Parameter.empty
    arguments = inspect.signature(obj)
    shown = [each.replace(annotation=plain) for each in arguments.parameters.values()]
    return str(arguments.replace(parameters=shown, return_annotation=plain)), None


def setup(app):
    """Keep the pages of the API to our own names, with their true arguments."""
    app.connect("autodoc-process-signature", show_constructor)
    app.connect("autodoc-skip-member", skip_what_is_not_ours)
