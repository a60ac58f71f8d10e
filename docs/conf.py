"""How Sphinx builds the documentation: `make docs`. Nothing is read from the network."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
_project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "kdbench"
author = "The kdbench authors"
copyright = author
version = release = _project["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "Thumbs.db"]
source_suffix = {".md": "markdown"}
default_role = "code"  # one backtick in docstrings
nitpicky = False  # type hints name torch's classes, whose inventory is not at hand offline

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3  # so that pages may link to one another's headings, as on GitHub

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True

html_theme = "furo"
html_title = f"kdbench {version}"
html_static_path: list[str] = []
html_theme_options = {"navigation_with_keys": True}
html_show_sphinx = False
html_copy_source = False
copybutton_prompt_text = "$ "
