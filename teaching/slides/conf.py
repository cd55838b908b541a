"""The deck for 90 minutes: `make slides` draws its pictures from the recorded runs and builds slides that need no network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import pictures  # noqa: E402

project = "Why did my GAN's loss turn NaN?"
author = "the series' authors"
extensions = ["sphinx_revealjs"]
exclude_patterns = ["_build", "drawn"]
html_static_path = revealjs_static_path = ["style"]
revealjs_css_files = ["deck.css"]
revealjs_style_theme = "white"
revealjs_script_conf = {
    "width": 1280,
    "height": 720,
    "margin": 0.03,
    "hash": True,
    "center": False,
    "transition": "none",
    "slideNumber": "c/t",
}
revealjs_script_plugins = [{"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"}]

pictures.draw(HERE / "drawn")
