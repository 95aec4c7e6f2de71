"""How Sphinx builds the site: `nox -s docs`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from click import Context
from sphinx.application import Sphinx

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]

project = _PROJECT["name"]
version = release = _PROJECT["version"]
copyright = "the authors of goldmark"  # noqa: A001 (the name that Sphinx reads)
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
exclude_patterns = ["_build"]
smartquotes = False  # options of commands keep their two hyphens
default_role = "code"  # docstrings write `name` for code
html_theme = "furo"
html_title = f"goldmark {version}"

# Pages are read on the repository's web page, too: they are plain Markdown, and link to files and headings as there.
myst_heading_anchors = 3

autodoc_mock_imports = ["torch", "safetensors"]  # the site is built without them
autodoc_member_order = "bysource"

_OUTSIDE = {"examples/digits/README.md": "project/digits.md", "CONTRIBUTING.md": "project/contributing.md"}


def _link_inside(app: Sphinx, page: str, source: list[str]) -> None:
    """Lead links to pages of the repository outside of this folder to the pages of the site that include them."""
    up = "../" * page.count("/")
    for outside, inside in _OUTSIDE.items():
        source[0] = source[0].replace(f"({up}../{outside})", f"({up}{inside})")


def _escape_stars(app: Sphinx, context: Context, lines: list[str]) -> None:
    """Keep reStructuredText from taking the patterns of a help text for emphasis."""
    lines[:] = [line.replace("*", r"\*") for line in lines]


def setup(app: Sphinx) -> None:
    """Connect what pages and help texts need."""
    app.connect("source-read", _link_inside)
    for part in ("description", "options", "arguments"):
        app.connect(f"sphinx-click-process-{part}", _escape_stars)
