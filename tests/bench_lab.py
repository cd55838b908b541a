"""`make bench ARGS=--lab`: all speed figures of the lab as one table. Takes six minutes or more; leave the machine alone."""

import os
import re
import subprocess
import sys
import time

from playwright.sync_api import sync_playwright
from test_browser import ARTEFACTS, BARE, PATIENCE, ROOT, chromium
from test_page import COUNT_FRAMES, FOLDER, button, choose, says, status, write

SECONDS, ROUNDS = 6, 4


def notebook() -> list[tuple[str, str, str]]:
    """What the browser's tests measure in JupyterLab; they leave it in artefacts/."""
    tests = ["tests/test_browser.py", "-k", "lab_in_a_browser or most_of_the_time"]
    environment = os.environ | {"ROUNDS": str(ROUNDS)}
    subprocess.run([sys.executable, "-m", "pytest", "-q", *tests], cwd=ROOT, check=True, env=environment)
    browser, speed = ((ARTEFACTS / name).read_text() for name in ("browser.txt", "speed.txt"))
    return [
        ("notebook: Start to first frame, s", re.search(r"first frame, s: ([\d.]+)", browser)[1], "below 0.3"),
        ("notebook: frames a second", re.search(r"frames/s: ([\d.]+)", speed)[1], "at least 20"),
        ("notebook: iterations kept with the view on", re.search(r"ratio ([\d.]+)", speed)[1], "at least 0.92"),
    ]


def bare() -> float:
    """Iterations a second of torch alone, in a process of its own."""
    code = BARE.format(seconds=SECONDS)
    return float(subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def flat_out(page) -> tuple[float, float]:
    """(iterations a second, frames a second) of the page at 1e-5."""

    def count() -> int:
        return int(re.search(r"iteration ([\d,]+)", page.locator(".facts").inner_text())[1].replace(",", ""))

    button(page, "Start").click()
    status(page, "running")
    page.wait_for_timeout(1000)
    page.evaluate("() => { window.acks = []; }")
    before, began = count(), time.monotonic()
    page.wait_for_timeout(1000 * SECONDS)
    made, gone = count() - before, time.monotonic() - began
    frames = page.evaluate("() => (window.acks.length - 1) / (window.acks.at(-1) - window.acks[0]) * 1000")
    button(page, "Pause").click()
    status(page, "paused")
    return made / gone, frames


def page_in(browser) -> list[tuple[str, str, str]]:
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(10 * PATIENCE)
    page.add_init_script(COUNT_FRAMES)
    page.goto((FOLDER / "index.html").as_uri() + "#lr=1e-5")
    button(page, "No guess").wait_for()
    ready = page.evaluate("() => performance.now()") / 1000
    button(page, "No guess").click()
    choose(page, "Speed", "flat out")
    here, frames, torch = [], [], []
    for _ in range(ROUNDS):  # A B A B: the machine's other work hits both alike
        for values, value in zip((here, frames), flat_out(page)):
            values.append(value)
        torch.append(bare())
    write(page, "Learning rate", "1e-4")
    button(page, "Reset").click()
    status(page, "ready")
    began = time.monotonic()
    button(page, "Start").click()
    sentence = says(page, "NaN at iteration")
    life = re.search(r"iteration ([\d,]+)", sentence)[1]
    return [
        ("page: opening to ready, s", f"{ready:.2f}", "below 1"),
        ("page: frames a second", f"{sum(frames) / ROUNDS:.1f}", "at least 25"),
        ("page: ms an iteration", f"{1000 * ROUNDS / sum(here):.2f}", ""),
        ("page: the same over torch's beside it", f"{sum(torch) / sum(here):.2f}", "at most 1.15"),
        (f"page: 1e-4 to its NaN (at {life}), s", f"{time.monotonic() - began:.0f}", "below 90"),
    ]


def main() -> None:
    rows = notebook()
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        rows += page_in(browser)
        browser.close()
    for what, measured, bar in [("what", "measured", "bar"), *rows]:
        print(f"{what:45} {measured:>9}   {bar}")


if __name__ == "__main__":
    main()
