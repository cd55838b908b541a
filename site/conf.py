"""Sphinx's settings for the reading edition; site/build.py calls it."""

import os
import re
import textwrap
from html import escape

from docutils.nodes import SkipNode, paragraph
from docutils.utils.math.latex2mathml import tex2mathml

project = "Why did my GAN's loss turn NaN, and what cures it?"
html_title = "Why did my GAN's loss turn NaN?"
language = "en"
extensions = ["myst_nb"]
suppress_warnings = ["misc.highlighting_failure"]

nb_execution_mode = "off"
nb_ipywidgets_js = {}  # otherwise scripts of other hosts
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

html_theme = "sphinx_book_theme"
html_theme_options = {
    "use_download_button": False,  # each page has its own line for that
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # the search is in the sidebar
    "show_toc_level": 2,
    "search_bar_text": "Search",
    "footer_content_items": [],
}
if repository := os.environ.get("REPOSITORY_URL"):  # a publisher knows where the code lies
    html_theme_options |= {"repository_url": repository, "repository_provider": "github", "use_repository_button": True}
html_favicon = "icon.svg"
html_static_path = ["style.css"]
html_css_files = ["style.css"]
# From a file no page may read another: the search finds there, too, and only quotes nothing.
html_js_files = [(None, {"body": 'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'})]
html_context = {"default_mode": "auto"}
html_copy_source = html_use_index = html_domain_indices = False
html_math_renderer = "mathml"


def mathml(node) -> str:
    """A formula as MathML, which needs no script, no font and no other host; a function keeps TeX's distance."""
    text = tex2mathml(node.astext())
    return re.sub(r"<mo>(&ApplyFunction;|\u2061)</mo>(?!\s*<mo[^>]*>\()", '<mspace width="0.17em"/>', text)


def inline(writer, node) -> None:
    writer.body.append(mathml(node))
    raise SkipNode  # all is written on entering


def block(writer, node) -> None:
    writer.body.append(mathml(node).replace("<math ", '<div class="math"><math display="block" ', 1) + "</div>")
    raise SkipNode


def describe(app, pagename, templatename, context, doctree) -> None:
    """What a search engine shows of a page: its first sentences."""
    if doctree:
        told = re.sub("<[^>]+>", "", " ".join(part.astext() for part in doctree.findall(paragraph)))
        short = textwrap.shorten(told, 160, placeholder=" ...")
        context["metatags"] += f'<meta name="description" content="{escape(short)}">'


def setup(app) -> None:
    app.connect("html-page-context", describe)
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
