"""The documentation site: this folder and the public docstrings; `make docs` builds it strictly."""

from importlib.metadata import version as installed_version

project = "diffusion-network"
author = "the diffusion-network founders"
version = release = installed_version("diffusion-network")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "myst_parser",
]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "diffusion-network"
html_copy_source = False
exclude_patterns = ["_build"]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": False}
autosummary_generate = False
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
nitpicky = False
# Attributes of one name in several classes: a bare word in a docstring is none of them.
suppress_warnings = ["myst.xref_missing", "ref.python"]
