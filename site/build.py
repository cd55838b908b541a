"""Builds the reading edition, a static site, from the executed notebooks: `python site/build.py [FOLDER]`, or `make site`.

Nothing is executed and nothing is fetched. README (the first page), the notebooks and the texts in teaching/ and data/ are
copied into a folder for Sphinx, whose settings are in conf.py. In the copies each picture becomes a file with its text (alt)
and an address, a cell that is nothing without a kernel says so, and a link leads to a page, to the lab, or to a copy of the
file it names.
"""

from __future__ import annotations

import argparse
import ast
import base64
import html
import io
import os
import re
import shutil
import tempfile
from pathlib import Path

import nbformat
from PIL import Image
from sphinx.cmd.build import main as sphinx

HERE = Path(__file__).parent
ROOT = HERE.parent
LAB = "site/lab/index.html"
PARTS = {"The notebooks": "notebooks/[0-9][0-9]_*.ipynb", "For teachers": "teaching/*.md", "The data": "data/*.md"}
PAGES = [path for pattern in PARTS.values() for path in sorted(ROOT.glob(pattern))]
TEXT = re.compile(
    r"^ *```.*?^ *```|`[^`\n]+`"  # code, where nothing is a link or a heading
    r"|^#+ +(?=(?P<heading>[^\n]+))"
    r"|(?P<picture>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)",
    flags=re.S | re.M,
)
USELESS = ("*.map", "*macros.html", ".buildinfo", "objects.inv", "_sources")  # of what Sphinx and the theme write
KERNEL = "These controls need a kernel: run the notebook."
GUESS = "A running notebook keeps your guess here. On this page: write it down, and compare it below."
LAB_ICON = b'<link rel="icon" href="../_static/icon.svg">\n'
LAB_BACK = b' <a href="../index.html">The notebooks</a> say why it ends.'
RUN = re.compile(r"pulses, learning rate (\S+), seed (\d+)")  # how utils.plots names a run


class Page:
    """One text on its way to Sphinx: rewrites its links and pictures, and notes in `files` what has to lie beside it."""

    def __init__(self, path: Path, files: dict[str, bytes]):
        self.folder, self.files = path.parent.relative_to(ROOT), files
        self.section, self.count = "top", {}

    def up(self, name: str) -> str:
        """The address of a file of the site, from this page."""
        return os.path.relpath(name, self.folder).replace(os.sep, "/")

    def markdown(self, text: str) -> str:
        """The text, with addresses that hold on the site; code stays as it is."""
        return TEXT.sub(self.piece, text)

    def piece(self, found: re.Match) -> str:
        if heading := found["heading"]:
            self.section = re.sub(r"\W+", "-", heading.lower()).strip("-")
        return self.link(found) if found["target"] else found[0]

    def link(self, found: re.Match) -> str:
        text, target = " ".join(found["text"].split()), found["target"]
        name, _, fragment = target.partition("#")
        if not name or re.match(r"\w+:", name):
            return found[0]
        path = Path(os.path.normpath(ROOT / self.folder / name))
        place = path.relative_to(ROOT).as_posix()
        if found["picture"]:
            return self.figure(path.read_bytes(), place, text)
        if path in PAGES:
            return found[0]
        if place == "README.md":
            place = "index.html"
        elif place == LAB:
            place = "lab/index.html"
        elif path.is_file():
            for one in [path, *(path.parent.glob("*.css") if path.suffix == ".html" else ())]:
                self.files[one.relative_to(ROOT).as_posix()] = one.read_bytes()
        elif path.is_dir():
            return text
        else:
            raise SystemExit(f"{self.folder}: the link [{text}]({target}) leads nowhere.")
        return f'<a href="{self.up(place)}{"#" * bool(fragment)}{html.escape(fragment)}">{text}</a>'

    def figure(self, image: bytes, place: str, alt: str) -> str:
        """A picture as HTML, with its text and an address that stays when other sections change."""
        self.files[place] = image
        self.count[self.section] = number = self.count.get(self.section, 0) + 1
        name = f"{self.section}-figure" + f"-{number}" * (number > 1)
        caption = f'<a href="#{name}">Link to this picture</a>'
        if run := RUN.search(alt):
            lab = self.up(f"lab/index.html#lr={run[1]}&amp;seed={run[2]}")
            caption += f' · <a href="{lab}">try this rate and seed in your browser</a>'
        with Image.open(io.BytesIO(image)) as opened:
            size, still = 'width="{}" height="{}"'.format(*opened.size), io.BytesIO()
            if getattr(opened, "is_animated", False):  # for those whose system asks for no motion
                opened.seek(opened.n_frames - 1)
                opened.convert("RGB").save(still, "png")
        source = ""
        if still.getvalue():
            self.files[f"{place}.png"] = still.getvalue()
            source = f'<source srcset="{self.up(place)}.png" media="(prefers-reduced-motion: reduce)">'
        shown = f'<img class="dark-light" src="{self.up(place)}" alt="{html.escape(alt)}" {size} loading="lazy">'
        picture = f"<picture>{source}{shown}</picture>"
        return f'<figure class="picture" id="{name}">{picture}<figcaption>{caption}</figcaption></figure>'


def shows_only_widgets(cell) -> bool:
    """Does the cell end with a value that left no output? The settings of a notebook do, too."""
    if cell.outputs or "setup" in cell.metadata.get("tags", []) or not cell.source.strip():
        return False
    lines = ast.parse(re.sub(r"^[%!].*", "", cell.source, flags=re.M)).body
    return bool(lines) and isinstance(lines[-1], ast.Expr)


def outputs(cell, page: Page, name: str) -> None:
    """Pictures become files, and what only a kernel can show becomes a sentence."""
    for number, output in enumerate(cell.outputs):
        data = output.get("data", {})
        if "image/png" in data:
            alt = output.metadata.get("image/png", {}).get("alt", "")
            place = f"_images/{name}-{cell.id}-{number}.png"
            data = {"text/html": page.figure(base64.b64decode(data["image/png"]), place, alt)}
        elif "ganlab-asleep" in data.get("text/html", ""):  # the lab's own line for a kernel that has gone
            lab = f'<a href="{page.up("lab/index.html")}">Make your own NaN</a> needs none.'
            data = {"text/html": f'<p class="kernel">{KERNEL} {lab}</p>'}
        output.update({"data": data} if data else {})
    if shows_only_widgets(cell):
        text = GUESS if "guess(" in cell.source else KERNEL
        cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": f'<p class="kernel">{text}</p>'})]


def notebook(path: Path, files: dict[str, bytes]) -> str:
    """An executed notebook, ready for myst-nb."""
    book, page = nbformat.read(path, as_version=4), Page(path, files)
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = page.markdown(cell.source)
        elif cell.cell_type == "code":
            outputs(cell, page, path.stem)
    place = path.relative_to(ROOT).as_posix()
    files[place] = path.read_bytes()
    book.cells.insert(1, nbformat.v4.new_markdown_cell(
        f'<p class="take"><a href="{path.name}" download>Download this notebook</a> ({len(files[place]) / 1000:,.0f} kB). '
        f'It runs in the folder <code>notebooks/</code> of the project, which <code>make lab</code> opens '
        f'(<a href="../index.html">how</a>). In this browser: <a href="../lab/index.html">make your own NaN</a>.</p>',
        id="take",
    ))  # fmt: skip
    return nbformat.writes(book)


def text(path: Path, files: dict[str, bytes]) -> str:
    return Page(path, files).markdown(path.read_text(encoding="utf-8"))


def contents() -> str:
    """The side bar: the pages of each part, in the order of their names."""
    text = ""
    for part, pattern in PARTS.items():
        names = [path.relative_to(ROOT).with_suffix("").as_posix() for path in PAGES if path.match(pattern)]
        text += "\n".join(["\n```{toctree}", ":hidden:", f":caption: {part}", *names, "```\n"]) if names else ""
    return text


def index(readme: str) -> str:
    """README as the first page: the lab in its first line, and without what only matters inside the repository."""
    title, rest = readme.split("\n", 1)
    lab = f"**[Make your own NaN]({LAB})**: a GAN trains in your browser, you drag the learning rate, and the NaN comes."
    paragraphs = [one for one in rest.split("\n\n") if LAB not in one]
    sections = re.split(r"(?m)^(?=## )", "\n\n".join(paragraphs))
    return "\n\n".join([title, lab, *(one for one in sections if not one.startswith("## What is where")), contents()])


def lab() -> bytes:
    """The page that trains, with the site's icon and the way back, neither of which it has alone."""
    page = (ROOT / LAB).read_bytes()
    for place, more in [(b"</head>", LAB_ICON), (b"</footer>", LAB_BACK)]:
        page = page.replace(place, more + place, 1)
    return page


def stage(folder: Path) -> dict[str, bytes]:
    """Write what Sphinx reads into a folder; returns the files of the site that Sphinx does not write."""
    files = {"lab/index.html": lab()}
    front = index((ROOT / "README.md").read_text(encoding="utf-8"))
    (folder / "index.md").write_text(Page(ROOT / "README.md", files).markdown(front), encoding="utf-8")
    for path in PAGES:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(exist_ok=True)
        make = notebook if path.suffix == ".ipynb" else text
        target.write_text(make(path, files), encoding="utf-8")
    return files


def build(site: Path) -> None:
    """Build the site, and put it in place of what the folder `site` held; raises SystemExit where Sphinx warns."""
    with tempfile.TemporaryDirectory() as temporary:
        source, made, doctrees = (Path(temporary, name) for name in ("source", "made", "doctrees"))
        source.mkdir()
        files = stage(source)
        # -W: what Sphinx warns of is a link or a heading that readers trip over
        if failed := sphinx(["-q", "-W", "--keep-going", "-c", str(HERE), "-d", str(doctrees), str(source), str(made)]):
            raise SystemExit(failed)
        for place, content in files.items():
            (made / place).parent.mkdir(parents=True, exist_ok=True)
            (made / place).write_bytes(content)
        for path in made.rglob("*.html"):  # without JavaScript there is one mode, the light one
            path.write_bytes(path.read_bytes().replace(b'data-theme="auto"', b'data-theme="light"'))
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(made, site, ignore=shutil.ignore_patterns(*USELESS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=HERE / "_build", help="where to (default: site/_build)")
    site = parser.parse_args().folder
    build(site)
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    print(f"{site / 'index.html'}: {len(list(site.rglob('*.html')))} pages, {size / 1e6:.1f} MB. Open it with a double click.")


if __name__ == "__main__":
    main()
