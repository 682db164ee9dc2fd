"""Sphinx configuration: `python -m sphinx -W --keep-going -b html docs docs/_build/html`."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import matplotlib

matplotlib.use("Agg")

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import imgrestore

project = "imgrestore"
author = "The imgrestore developers"
copyright = author
release = version = imgrestore.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "mathml",
]
root_doc = "index"
exclude_patterns = ["_build", "examples", "images", "**/GALLERY_HEADER.rst"]
default_role = "py:obj"

html_theme = "furo"
html_title = f"imgrestore {release}"
html_show_sourcelink = False
html_show_sphinx = False
html_math_renderer = "mathml"
html_copy_source = False

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False

numpydoc_show_class_members = False
numpydoc_xref_param_type = False
numpydoc_validation_checks = {
    "GL03",  # blank lines
    "GL06",  # unknown section
    "GL07",  # sections in the wrong order
    "GL08",  # no docstring
    "PR02",  # parameters that do not exist
    "PR05",  # type ends with a period
    "PR10",  # space before the colon
    "RT02",  # a single value with a name
    "SS01",  # no summary
    "SS02",  # summary does not begin with a capital letter
    "SS03",  # summary does not end with a period
    "YD01",  # no yields section
}
numpydoc_validation_exclude = {r"\.__init__$", r"\.StainLayers\."}

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": True,
    "within_subsection_order": "ExampleTitleSortKey",
    "min_reported_time": 1000,
    "show_memory": False,
    "show_signature": False,
    "plot_gallery": True,
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "remove_config_comments": True,
    "write_computation_times": False,
    "download_all_examples": False,
}


def _changelog(app, docname, source):
    """Give the page of changes the file of changes, where there is one."""
    path = HERE.parent / "CHANGELOG.md"
    if docname == "changelog" and path.is_file():
        source[0] = path.read_text(encoding="utf-8")
        app.env.note_dependency(str(path))


def setup(app):
    app.connect("source-read", _changelog)
