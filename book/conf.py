"""Sphinx's configuration of the book: ``make book`` builds it from the notebooks as they are stored."""

import sys
import tomllib
from pathlib import Path

from docutils import nodes
from docutils.utils.math import latex2mathml

BOOK = Path(__file__).parent
sys.path[:0] = [str(BOOK), str(BOOK.parent)]

import pages  # noqa: E402

version = release = tomllib.loads((BOOK.parent / "pyproject.toml").read_text())["project"]["version"]
project = "Convolutional neural networks"
author = "The authors of the course"
copyright = "The authors of the course, MIT licence"
extensions = ["myst_nb"]
exclude_patterns = ["data", "static"]
smartquotes = False

# The stored outputs are shown; nothing is executed, and no widget code is fetched.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_render_markdown_format = "commonmark"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_heading_slug_func = "pages.anchor"

html_theme = "sphinx_book_theme"
html_title = project
html_css_files = ["book.css"]
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_math_renderer = "mathml"
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_persistent": [],
    "navbar_end": [],
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "use_download_button": False,
    "search_bar_text": "Search the course",
}

epub_show_urls = "no"
epub_tocdepth = 2

# The theme settles on dark or light after the explorers have drawn themselves; this does so before.
LIGHT_OR_DARK = """{
  const { dataset } = document.documentElement;
  if (!["light", "dark"].includes(dataset.mode)) {
    dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }
}"""
# A search page without a server cannot fetch the pages that it found, to show parts of them.
SEARCH_FROM_A_FILE = 'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'


def place_static(app, config):
    """What pages load is made beside them."""
    static = Path(app.srcdir) / "static"
    static.mkdir(exist_ok=True)
    config.html_static_path = [str(static)]


def write_pages(app):
    """The source folder of the build is filled from the notebooks."""
    pages.write(Path(app.srcdir), alive=app.builder.name != "epub")


def visit_math(translator, node):
    """A formula as MathML, which browsers draw by themselves."""
    is_block = node.tagname == "math_block"
    mathml = latex2mathml.tex2mathml(node.astext(), as_block=is_block).replace("&ApplyFunction;", "&#8289;")
    translator.body.append(f'<div class="formula">{mathml}</div>' if is_block else mathml)
    raise nodes.SkipNode


def add_scripts(app, pagename, templatename, context, doctree):
    """A page gets the scripts that it has a use for."""
    body = context.get("body", "")
    if app.builder.name == "epub":  # MyST-NB names its stylesheet there, and does not copy it
        context["css_files"] = [file for file in context["css_files"] if "mystnb" not in str(file.filename)]
        return
    app.add_js_file(None, body=LIGHT_OR_DARK)
    if "data-explorer" in body:
        app.add_js_file("explorers.js", loading_method="defer")
    if pagename == "search":
        app.add_js_file(None, body=SEARCH_FROM_A_FILE)


def setup(app):
    """What Sphinx calls first."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
    app.connect("config-inited", place_static, priority=100)
    app.connect("builder-inited", write_pages)
    app.connect("html-page-context", add_scripts)
