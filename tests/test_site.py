"""The reading edition, built with the network cut and read in a real browser that reaches nothing else: below a path of a
server, from a file, on a phone, in the dark, without JavaScript, with the keyboard alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from served import served
from test_browser import ARTEFACTS, browser  # noqa: F401
from test_notebooks import NOTEBOOKS

ROOT = NOTEBOOKS.parent
BOOKS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
PATIENCE = 60_000  # milliseconds: a slow machine is no failure
CUT = """import runpy, socket, sys
def refuse(*_): raise OSError("the network is cut")
socket.socket.connect = socket.getaddrinfo = refuse
sys.argv[1:] = [{site!r}]
runpy.run_path({build!r}, run_name="__main__")"""
# What a keyboard should reach: of radio buttons the chosen one, of what a fold hides nothing.
CONTROLS = """() => {
  const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")];
  return all.filter(e => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length && !e.disabled
    && e.tabIndex >= 0 && !e.closest("[inert]") && !(e.type === "radio" && !e.checked));
}"""
LEFT = "() => (window.wanted = window.wanted.filter(e => e !== document.activeElement)).map(e => e.outerHTML)"


class Read(HTMLParser):
    """What the tests look for in a page: ids, links and what it loads, pictures with their texts, headings."""

    def __init__(self, path: Path):
        super().__init__()
        self.ids, self.links, self.loads, self.pictures, self.headings = [], [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "img":
            self.pictures.append(given)
        if given.get("src") or tag == "link":
            self.loads.append(given.get("src") or given["href"])
        if tag in ("article", "main"):
            self.headings.clear()  # before it stands what only the printer shows
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder of the site, below another one, built without a network."""
    folder = tmp_path_factory.mktemp("server") / "some" / "path"
    started = time.perf_counter()
    code = CUT.format(site=str(folder), build=str(ROOT / "site" / "build.py"))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    print(f"built in {time.perf_counter() - started:.0f} s")
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Read]:
    return {path.relative_to(site).as_posix(): Read(path) for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="module")
def address(site) -> str:
    """Where a server on this machine shows the site, below a path."""
    with served(site.parent.parent) as there:
        yield f"{there}/some/path"


@pytest.fixture
def tab(browser):  # noqa: F811
    """Opens an empty page; afterwards nothing may have been asked of another host, and no error said on the console."""
    contexts, outside, said = [], [], []

    def blocked(route):
        outside.append(route.request.url)
        route.abort()

    def start(**options):
        context = browser.new_context(**{"viewport": {"width": 1300, "height": 800}} | options)
        context.set_default_timeout(PATIENCE)
        context.route(lambda url: not url.startswith(("http://127.0.0.1:", "file:", "blob:", "data:")), blocked)
        page = context.new_page()
        page.on("console", lambda message: message.type == "error" and said.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
        contexts.append(context)
        return page

    yield start
    for context in contexts:
        context.close()
    assert not outside and not said


# ---- what lies in the folder


def test_every_notebook_is_there_and_the_site_is_small(site, pages):
    assert {f"notebooks/{book.stem}.html" for book in BOOKS} < set(pages) and len(BOOKS) >= 10
    assert {"index.html", "search.html", "lab/index.html", "data/README.html"} < set(pages)
    assert {f"teaching/{page.stem}.html" for page in ROOT.glob("teaching/*.md")} <= set(pages)
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 20e6
    for book in BOOKS:
        assert (site / "notebooks" / book.name).read_bytes() == book.read_bytes()
        assert book.name in pages[f"notebooks/{book.stem}.html"].links


def test_the_lab_comes_first(site, pages):
    text = (site / "index.html").read_text()
    article = text[text.index("<article") :]
    assert re.search(r'</h1>\s*<p><strong><a href="lab/index.html">Make your own NaN</a>', article)
    more = [b'<link rel="icon" href="../_static/icon.svg">\n', b' <a href="../index.html">The notebooks</a> say why it ends.']
    page = (site / "lab/index.html").read_bytes()
    assert all(page.count(piece) == 1 for piece in more)
    for piece in more:
        page = page.replace(piece, b"")
    assert page == (ROOT / "site/lab/index.html").read_bytes()
    assert all("../lab/index.html" in pages[f"notebooks/{book.stem}.html"].links for book in BOOKS)


def test_no_link_and_no_anchor_is_broken_and_nothing_is_loaded_from_elsewhere(site, pages):
    broken = []
    for name, page in pages.items():
        broken += [f"{name} loads {url}" for url in page.loads if re.match(r"(\w+:)?//", url)]
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or link == "#":
                continue
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            place = target.resolve().relative_to(site.resolve()).as_posix()
            anchored = place in pages and place != "lab/index.html"  # there the fragment is a run
            if not target.is_file() or (anchored and parts.fragment and unquote(parts.fragment) not in pages[place].ids):
                broken.append(f"{name} -> {link}")
    assert not broken


def texts(book: Path) -> list[str]:
    """What the notebook's metadata say of each of its pictures."""
    cells = nbformat.read(book, as_version=4).cells
    outs = [out for cell in cells if cell.cell_type == "code" for out in cell.outputs if "image/png" in out.get("data", {})]
    return [out.metadata["image/png"]["alt"] for out in outs]


def test_every_picture_has_the_text_of_its_notebook_and_an_address(pages):
    for book in BOOKS:
        page = pages[f"notebooks/{book.stem}.html"]
        made = [picture["alt"] for picture in page.pictures if f"_images/{book.stem}-cell-" in picture["src"]]
        assert made == texts(book), book.stem
    for name, page in pages.items():
        assert all(len(picture.get("alt", "")) > 10 for picture in page.pictures), name
        assert len(page.ids) == len(set(page.ids)), name
        addresses = [link for link in page.links if re.fullmatch(r"#.*-figure(-\d+)?", link)]
        assert len(addresses) == len(page.pictures), name


def test_every_page_says_what_it_is_and_has_an_icon(site, pages):
    sheets = {f"teaching/{path.name}" for path in ROOT.glob("teaching/*.html")}  # for print
    for name in set(pages) - sheets:
        assert any(url.endswith("_static/icon.svg") for url in pages[name].loads), name
        if name not in ("search.html", "lab/index.html"):
            said = re.search(r'<meta name="description" content="([^"]*)"', (site / name).read_text())
            assert 40 < len(said[1]) < 200 and "&lt;" not in said[1], name
    assert (site / "_static/icon.svg").is_file()


def test_headings_come_in_order(pages):
    for name, page in pages.items():
        assert page.headings.count(1) == 1, name
        assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:])), (name, page.headings)


def test_what_needs_a_kernel_says_so(site):
    asleep = (site / "notebooks" / "03_learning_rate_lab.html").read_text()
    assert "These controls need a kernel" in asleep and "If no lab stands below" not in asleep


# ---- in the browser


# Of what looks the same again and again a few are kept: axe takes its time for each element.
THIN = """() => {
  for (const [all, most] of Object.entries({"tbody tr": 6, ".cell_input": 4, ".cell_output": 8, "math": 4, "article p": 12,
      "article li": 10, ".bd-sidebar li": 6})) [...document.querySelectorAll(all)].slice(most).forEach(e => e.remove());
}"""


def serious(page, rules: list[str] | None = None) -> list[str]:
    """What axe finds serious or critical, as lines."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed").Axe()
    options = {"resultTypes": ["violations"], "preload": False} | ({"runOnly": rules} if rules else {})
    found = axe.run(page, options=options).response["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{page.url}: {one['id']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])})" for one in grave]


def test_every_page_loads_fits_a_phone_and_is_accessible_in_light_and_dark(tab, address, pages):
    # Without motion: half-way from one scheme to the other a button's words have neither's colour.
    page, wrong = tab(color_scheme="light", reduced_motion="reduce"), []
    for name in pages:
        page.set_viewport_size({"width": 390, "height": 844})
        page.emulate_media(color_scheme="light")
        page.goto(f"{address}/{name}")
        width = page.evaluate("document.documentElement.scrollWidth")
        wrong += [f"{name} is {width} pixels wide on a phone"] if width > 390 else []
        page.set_viewport_size({"width": 1300, "height": 800})
        page.wait_for_timeout(400)  # the theme waits before it makes what scrolls reachable
        page.evaluate(THIN)
        wrong += serious(page)
        page.emulate_media(color_scheme="dark")
        wrong += serious(page, ["color-contrast"])
    assert not wrong, "\n".join(wrong)


def test_the_dark_keeps_pictures_on_white(tab, address):
    page = tab(color_scheme="dark")
    page.goto(f"{address}/notebooks/02_reproduce_the_nan.html")
    paper, card, filtered = page.evaluate("""() => {
      const [body, image] = ["body", "figure.picture img"].map(name => getComputedStyle(document.querySelector(name)));
      return [body.backgroundColor, image.backgroundColor, image.filter];
    }""")
    assert max(map(int, re.findall(r"\d+", paper))) < 60 and card == "rgb(255, 255, 255)" and filtered == "none"
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / "site_dark.png")


def test_from_a_file_the_search_finds_and_the_next_page_comes(tab, site):
    page = tab()
    page.goto((site / "index.html").as_uri())
    page.locator("a.right-next").click()
    page.wait_for_url("**/00_start_here.html")
    page.goto((site / "search.html").as_uri() + "?q=sigmoid")
    page.locator("#search-results li a", has_text="autopsy").first.click()
    page.wait_for_url(re.compile("04_autopsy.html"))
    page.get_by_role("heading", level=1, name=re.compile("autopsy")).wait_for()


def test_without_javascript_text_pictures_and_folds_are_there(tab, address):
    page = tab(java_script_enabled=False, color_scheme="dark", viewport={"width": 390, "height": 844})
    for book in BOOKS:
        page.goto(f"{address}/notebooks/{book.stem}.html")
        assert page.locator("figure.picture").count() >= len(texts(book))
        paper, ink = page.evaluate("['backgroundColor', 'color'].map(what => getComputedStyle(document.body)[what])")
        assert paper == "rgb(255, 255, 255)" and max(map(int, re.findall(r"\d+", ink)[:3])) < 60
        for picture in page.locator("figure.picture img").all()[:2]:
            picture.scroll_into_view_if_needed()
            page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())
        for fold in page.locator("article details").all()[:3]:
            assert not fold.evaluate("fold => fold.open")
            fold.locator("> summary").click()
            assert fold.evaluate("fold => fold.open")


@pytest.mark.parametrize("name", ["index.html", "search.html", "notebooks/02_reproduce_the_nan.html", "lab/index.html"])
def test_the_keyboard_reaches_every_control(tab, address, name):
    page = tab()
    page.goto(f"{address}/{name}")
    page.wait_for_timeout(500)
    if name.startswith("lab"):
        page.get_by_role("button", name="No guess", exact=True).press("Enter")
    wanted = page.evaluate(f"() => (window.wanted = ({CONTROLS})()).length")
    assert wanted > 4
    for _ in range(2 * wanted + 20):
        page.keyboard.press("Tab")
        missing = page.evaluate(LEFT)
        if not missing:
            return
    assert not missing


def test_the_first_nan_comes_within_ten_seconds(tab, address):
    page = tab()
    page.goto(f"{address}/index.html")
    started = time.perf_counter()
    page.get_by_role("link", name="Make your own NaN").first.click()
    page.get_by_role("button", name="No guess", exact=True).click()
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator(".verdict", has_text="NaN at iteration").wait_for()
    share = max(1, os.getloadavg()[0] / os.cpu_count()) if hasattr(os, "getloadavg") else 1  # of a busy machine
    assert time.perf_counter() - started < 10 * share


def test_a_link_opens_the_lab_with_its_run(tab, address):
    page = tab()
    page.goto(f"{address}/notebooks/02_reproduce_the_nan.html")
    page.get_by_role("link", name=re.compile("try this rate and seed")).nth(1).click()
    page.wait_for_url(re.compile(r"lab/index\.html#lr=1e-4&seed=0"))
    page.get_by_role("button", name="No guess", exact=True).click()
    assert page.get_by_role("textbox", name="Learning rate", exact=True).input_value() == "1e-4"
