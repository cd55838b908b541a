"""The lab's view in a real browser, without an engine: the test plays the engine, with frames made here."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest
from test_browser import browser  # noqa: F401

from utils.lab.view import HERE, MODULES, STYLE, bundle, widget

BATCH, POINTS, HIGHEST, LOWEST = 16, 33, 16.6355, -88.7228
SETTINGS = {"data": "pulses", "fix": "no fix", "batch": BATCH, "seed": 0}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>The lab</title>
<style>:root {{ color-scheme: light dark }} body {{ margin: 0 }} {style}</style>
<body><main id="root"></main><script type="module">{code}
window.sent = [];
window.parts = {{ parseGuesses, score, chance, Series, ratesText, rateText }};
window.view = new View(document.getElementById("root"), command => window.sent.push(command));
const array = text => new Float32Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);
const revive = (key, value) => (value?.floats === undefined ? value : array(value.floats));
window.tell = text => window.view.receive(JSON.parse(text, revive));
</script>"""


class Engine:
    """What the page sees of an engine: tell() sends a message, sent() returns the commands of a type."""

    def __init__(self, page):
        self.page, self.iteration = page, 0

    def tell(self, **message):
        def plain(value):
            if not isinstance(value, np.ndarray):
                return value
            return {"floats": base64.b64encode(np.ascontiguousarray(value, dtype="<f4").tobytes()).decode()}

        self.page.evaluate("text => window.tell(text)", json.dumps({key: plain(value) for key, value in message.items()}))

    def sent(self, kind: str) -> list[dict]:
        return [command for command in self.page.evaluate("() => window.sent") if command["type"] == kind]

    def lab(self, **more):
        fields = [
            {"name": "data", "label": "Data", "kind": "choice", "value": "pulses", "options": ["pulses", "digits"]},
            {"name": "fix", "label": "Fix", "kind": "choice", "value": "no fix", "options": ["no fix", "logits loss"]},
            {"name": "batch", "label": "Batch", "kind": "whole", "value": BATCH, "min": 2, "max": 5000},
            {"name": "seed", "label": "Seed", "kind": "whole", "value": 0, "min": 0, "max": 1000},
        ]
        lives = [{"lr": 1e-3, "settings": {"fix": "no fix"}, "iterations": [8, 12, 14, 14, 15, 24]}]
        recorded = [{"id": "slow", "label": "pulses, 1e-4", "seeds": 2}]
        standard = {"lr": 1e-3, "fields": fields, "fork": "fix", "recorded": recorded}
        self.tell(**{"type": "lab", "lives": lives, **standard, **more})

    def again(self, **lab):
        """The page opened once more, offered another lab, without a guess."""
        self.page.goto(self.page.address)
        self.lab(**lab)
        self.run()
        self.press("No guess")

    def run(self, run=1, first=True, **more):
        """A new run, and its first frame, at iteration 0."""
        self.current, self.iteration, self.more = run, 0, more
        real = more.get("real", samples(20.0, 64))
        kind = {"kind": "series", "dimension": 64, "unit": "mV", "real": real, "most": float(np.abs(real).max())}
        cliffs = {"low": LOWEST, "high": HIGHEST, "scores": True, "signed": False, "hazard": "exact"}
        standard = {"settings": SETTINGS, "title": "pulses, seed 0", "reach": 6, "slice": False}
        rest = {"averaged": False, "recorded": False, "nanAt": None, "parent": None, "lr": 1e-3}
        self.tell(type="run", run=run, **{**kind, **cliffs, **standard, **rest, **more})
        if first:
            self.frame(0, state="ready")

    def picture(self, loud=1.0, logit=3.0, **more):
        """Arrays of one iteration: generated samples `loud` times as large as real ones, logits up to `logit`."""
        z, dimension = np.linspace(-2, 2, BATCH), self.more.get("dimension", 64)
        along = np.linspace(-6, 6, POINTS)
        arrays = {"z": z, "fakeLogits": np.linspace(-1, logit, BATCH), "realLogits": np.linspace(0, 4, BATCH)}
        arrays |= {"real": samples(20.0, dimension), "fake": samples(20.0 * loud, dimension)}
        arrays |= {"curve": along / 3, "image": np.outer(along, np.ones(dimension)).ravel()}
        return {"run": self.current, "iteration": self.iteration, "atlasAt": self.iteration, "verdict": None, **arrays, **more}

    def frame(self, new=1, state="running", rows=None, **more):
        self.iteration += new
        rows = np.tile([0.7, 1.3, 0.4, 0.6, 3.0, -1.0, 4.0, 0.0, 2.0], (new, 1)) if rows is None else rows
        standard = {"rates": [[1, 1e-3]], "rate": 1e-3, "speed": 300.0, "dead": False, "rewind": None}
        if state != "running" and self.iteration:
            standard["rewind"] = [max(1, self.iteration - 39), self.iteration]
        self.tell(**{"type": "frame", "state": state, "rows": rows, "chance": 0.01, **standard, **self.picture(), **more})

    def nan(self, at=14, sample=15, side="fake", state="ended", **more):
        """Iterations until `at`, the last of them fatal."""
        self.frame(at - 1 - self.iteration, **more)
        words = f"NaN at iteration {at}: log(1 - D(G(z))) of sample {sample} is -inf."
        verdict = {"iteration": at, "words": words, "side": side, "index": sample}
        broken = np.array([[0.3, np.inf, 0.9, 0.5, 18.0, 1.0, 4.0, 0.0, 2.0]])
        loud = self.picture(loud=6.0, logit=18.0)
        self.frame(1, state, broken, **{**loud, "iteration": at, "atlasAt": at, "verdict": verdict}, **more)

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).click()


def samples(size: float, dimension: int) -> np.ndarray:
    """(16 * dimension,) waves with amplitudes up to `size`."""
    wave = np.sin(np.linspace(0, 20, dimension))
    return np.concatenate([size * (k + 1) / 16 * np.roll(wave, k) for k in range(16)])


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):  # noqa: F811
    """One page for all tests, which is much faster than one each; errors in it are errors of the test that caused them."""
    page, file = browser.new_page(), tmp_path_factory.mktemp("view") / "lab.html"
    page.set_default_timeout(20_000)
    page.failures, page.address = [], file.as_uri()
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    page.on("console", lambda message: message.type == "error" and page.failures.append(message.text))
    file.write_text(PAGE.format(style=STYLE, code=bundle()), encoding="utf-8")
    yield page
    page.close()


@pytest.fixture
def engine(page):
    """The view, said hello to and offered a run."""
    page.failures.clear()
    page.set_viewport_size({"width": 1366, "height": 768})
    page.emulate_media(color_scheme="light")
    page.goto(page.address)
    stub = Engine(page)
    stub.lab()
    stub.run()
    yield stub
    assert page.failures == []


@pytest.fixture
def started(engine):
    """The same with the guess declined."""
    engine.press("No guess")
    return engine


def drawn(page):
    """Wait until all that was told has been drawn; its words too, which change a few times a second while a run goes on."""
    page.evaluate("() => { view.told = -Infinity; view.fast = false; view.request(); }")
    two_frames(page)


def two_frames(page):
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def verdict(engine) -> str:
    drawn(engine.page)
    return engine.page.locator(".verdict").text_content()


def described(engine, panel: str) -> str:
    """The text alternative of a panel."""
    drawn(engine.page)
    return engine.page.locator(f".panel.{panel} canvas").get_attribute("aria-label")


def pixels(engine, panel: str) -> str:
    drawn(engine.page)
    return engine.page.locator(f".panel.{panel} canvas").evaluate("canvas => canvas.toDataURL()")


# ---- one module of many


def test_the_bundle_is_one_module_of_all_files():
    text = bundle()
    assert not re.search(r"^(import|export)\b", text, re.M) and widget().count("export default") == 1
    files = {path.stem for path in HERE.glob("*.js")}
    assert files == {*MODULES, "widget"}
    names = re.findall(r"^(?:class|function|const) (\w+)", text, re.M)
    assert len(names) == len(set(names)), "two modules use one name"


def test_the_view_is_small():
    """What it is, types.d.ts with it: it may shrink, not grow. Wished for: 700."""
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in HERE.glob("*.[jd]*s")) <= 1468


GUESSES = [  # text, the numbers in it, and the words that are none: read alike by the lab and by utils.exercises
    ("1e4", [10_000], []),
    ("33, 500, 12,600", [33, 500, 12_600], []),
    ("12,600", [12_600], []),
    ("", [], []),
    ("100,200,300", [100, 200, 300], []),
    ("33\n500;12k 7", [33, 500, 12_000, 7], []),
    ("1\u202f000 12\u2019600", [1000, 12_600], []),
]


@pytest.mark.parametrize("text, guesses, left", [*GUESSES, ("never 14 -3 0 1e9", [14], ["never", "-3", "0", "1e9"])])
def test_guesses_are_understood(engine, text, guesses, left):
    assert engine.page.evaluate("text => parts.parseGuesses(text)", text) == {"guesses": guesses, "left": left}


def test_numbers_are_written_as_people_say_them(engine):
    compared = engine.page.evaluate("() => [[100], [14], [20], [33, 500], []].map(guesses => parts.score(guesses, 14))")
    factors = ["you 100, it was 14: a factor of 7.", "you 14, it was 14: exactly right.", "you 20, it was 14: a factor of 1.4."]
    many = "2 guesses, median 266.5; nearest 33, it was 14: a factor of 2.4."
    assert compared == [*(f"Guess: {one}" for one in factors), many, ""]
    chances = engine.page.evaluate("() => [0.153, 0.0763, 1e-4, 0.997, 0, null, undefined].map(parts.chance)")
    assert chances == ["15 %", "7.6 %", "1 in 10,000", "> 99 %", "below 1 in a billion", "–", "–"]
    assert engine.page.evaluate("() => [3e-4, 0.1, 0.00123456789].map(parts.rateText)") == ["3e-4", "1e-1", "1.23456789e-3"]
    assert engine.page.evaluate("() => parts.ratesText([[1, 1e-4], [812, 1e-3]])") == "1e-4, then 1e-3 at 812"
    many = engine.page.evaluate("() => parts.ratesText(Array.from({length: 50}, (_, k) => [k + 1, (100 + k) / 1e5]))")
    assert len(many) < 80 and many.startswith("1e-3, ") and many.endswith("at 50")


def test_the_kernels_buffers_become_arrays(engine):
    script = """code => {
      const bytes = new Uint8Array(1 + 8);
      bytes.set(new Uint8Array(new Float32Array([1.5, -2]).buffer), 1); // odd offset, as in a message of several buffers
      const attach = new Function(`${code}; return attach`)();
      const { type, z } = attach({ type: "moment", arrays: ["z"] }, [new DataView(bytes.buffer, 1, 8)]);
      return [type, z instanceof Float32Array, ...z];
    }"""
    found = engine.page.evaluate(script, widget().replace("export default", "window.widget ="))
    assert found == ["moment", True, 1.5, -2]


def test_a_frame_that_wants_no_answer_gets_none(started):
    """An answer costs the kernel, its server and the page more than a frame does, so it asks for few."""
    counts = []
    for quiet in (True, True, False):
        started.frame(1, quiet=quiet)
        drawn(started.page)
        counts.append([ack["iteration"] for ack in started.sent("ack") if ack["iteration"]])
    assert counts == [[], [], [3]]
    started.frame(1)
    started.frame(1, quiet=True)  # both before the next picture: the first one is answered all the same
    drawn(started.page)
    assert started.sent("ack")[-1]["iteration"] == 4


def test_a_long_run_costs_little_to_draw(started):
    """Long zigzags are one pixel wide, and no canvas is emptied or its axes drawn again while they stay as they are."""
    started.page.evaluate("""() => {
      const pen = CanvasRenderingContext2D.prototype, { beginPath, lineTo, stroke, fillText } = pen;
      const { prototype } = HTMLCanvasElement;
      const { get, set } = Object.getOwnPropertyDescriptor(prototype, "width");
      let points = 0;
      pen.beginPath = function () { points = 0; beginPath.call(this); };
      pen.lineTo = function (x, y) { points++; lineTo.call(this, x, y); };
      pen.stroke = function () { if (this.lineWidth > 1) window.widest = Math.max(window.widest, points); stroke.call(this); };
      pen.fillText = function (...words) { window.texts.push(words[0]); fillText.apply(this, words); };
      Object.defineProperty(prototype, "width", { get, set(v) { window.emptied += this.isConnected; set.call(this, v); } });
    }""")
    noisy = np.random.default_rng(0).uniform(1, 2, (5000, 9))
    found = []
    for new in (5000, 10):
        started.page.evaluate("() => { window.widest = window.emptied = 0; window.texts = []; }")
        started.frame(new, rows=noisy[:new])
        drawn(started.page)
        found.append(started.page.evaluate("() => [window.emptied > 0, window.texts.includes('0.1'), window.widest < 300]"))
    assert found == [[True, True, True], [False, False, True]]  # a number of an axis is written when the axis grows


def test_panels_take_turns_only_while_frames_come_fast(started):
    """The dots and the atlas are in each frame, the others follow within five; whatever stands still is drawn whole."""
    page = started.page
    page.evaluate("""() => { window.starts = {}; for (const { panel, plot } of view.figure.parts) {
        const start = plot.start.bind(plot);
        plot.start = (...all) => { starts[panel.name] = (starts[panel.name] ?? 0) + 1; start(...all); }; } }""")

    def starts(**frames) -> dict[str, int]:
        page.evaluate("() => { window.starts = {}; }")
        started.frame(**frames)
        page.evaluate("() => { view.fast = view.frame.state === 'running'; for (let k = 0; k < 12; k++) view.draw(); }")
        return page.evaluate("() => starts")

    others = {"losses", "scores", "logits", "real", "fake"}
    fast = starts()
    assert fast["atlas"] == fast["along"] >= 12 and all(2 <= fast[name] <= 4 for name in others), fast
    page.locator(".panel.scores canvas").hover()
    assert (pointed := starts())["scores"] >= 12 and pointed["losses"] <= 4, pointed
    still = starts(state="paused")
    assert len(set(still.values())) == 1 and others < set(still), still


def test_a_long_curve_keeps_its_spike_in_few_entries(engine):
    found = engine.page.evaluate("""() => {
      const series = new parts.Series(), rows = new Float32Array(9 * 100000).fill(1);
      rows[9 * 54321] = 50;
      series.append({ rows, iteration: 100000 });
      series.append({ rows: rows.subarray(0, 9 * 10), iteration: 100000 }); // sent twice: dropped
      const { entries } = series, [before, spike] = series.between(54322, 54322 + 2 * series.stride);
      const steps = entries.map(({ at }, k) => at - (entries[k - 1]?.at ?? 0));
      const kept = spike.high[0] === 50 && before.at < 54322;
      return [series.last, series.entries.length < 2048, kept, steps.at(-1), new Set(steps).size <= 2];
    }""")
    assert found == [100_000, True, True, 1, True]


# ---- pressing


def test_the_picture_waits_for_a_guess(engine):
    page = engine.page
    assert page.locator(".figure").is_hidden() and "which iteration" in page.locator(".gate").inner_text()
    for name in ("Start", "One iteration", "Only D", "Keep my guess"):
        engine.press(name)
    assert not engine.sent("start") and not engine.sent("one")
    assert page.locator("textarea").evaluate("e => e === document.activeElement")
    page.locator("textarea").fill("1e4")
    page.keyboard.press("Enter")
    assert page.locator(".figure").is_visible() and page.locator(".gate").count() == 0
    engine.press("Start")
    assert engine.sent("start") == [{"type": "start", "settings": SETTINGS, "lr": 1e-3, "speed": "normal"}]


def test_without_a_picture_there_is_no_empty_one(engine):
    """An engine may take seconds to build its first run: the canvases would be black."""
    engine.page.goto(engine.page.address)
    engine.lab()
    engine.press("No guess")
    assert engine.page.locator(".figure").is_hidden()
    engine.run()
    assert engine.page.locator(".figure").is_visible()


def test_a_change_goes_along_with_the_next_press_and_costs_no_run(started):
    page = started.page
    started.press("Start")
    started.frame(5)
    before = page.evaluate("() => window.sent.length")
    page.get_by_label("Fix", exact=True).select_option("logits loss")
    page.get_by_label("Batch", exact=True).fill("5000")
    page.get_by_label("Batch", exact=True).hover()
    page.mouse.wheel(0, 300)
    assert "Fix logits loss, Batch 5000: Pause, then Start begins a new run" in verdict(started)
    assert all(command["type"] == "ack" for command in page.evaluate("() => window.sent")[before:])
    started.frame(1, "paused")
    started.press("Start")
    assert started.sent("start")[-1]["settings"] == SETTINGS | {"fix": "logits loss", "batch": 5000}


@pytest.mark.parametrize("text, rate", [("3e-4", 3e-4), ("0.00123456", 0.00123456), ("1e-6", 1e-6), (".1", 0.1)])
def test_any_rate_is_kept_to_the_last_digit(started, text, rate):
    box = started.page.get_by_label("Learning rate", exact=True)
    box.fill(text)
    assert started.sent("rate")[-1] == {"type": "rate", "run": 1, "lr": rate}
    started.press("Start")
    assert started.sent("start")[-1]["lr"] == rate and box.input_value() == text


def test_showing_the_lab_changes_no_rate(started):
    started.again(lr=3e-4)
    assert started.page.get_by_label("Learning rate", exact=True).input_value() == "3e-4"
    started.press("Start")
    assert started.sent("start")[-1]["lr"] == 3e-4 and not started.sent("rate")


def test_a_rate_chosen_before_the_first_iteration_is_asked_for_and_has_its_lives(engine):
    engine.page.get_by_label("Learning rate", exact=True).fill("3e-4")
    engine.frame(0, "ready", rates=[[1, 3e-4]])
    drawn(engine.page)
    assert "learning rate 3e-4" in engine.page.locator(".gate").inner_text()
    guess(engine, "33, 500")
    engine.press("Keep my guess")
    engine.nan(20, rates=[[1, 3e-4]])
    assert "; 0 recorded lives" in described(engine, "lives"), "those that are recorded are of another rate"


def test_nothing_can_be_chosen_before_a_run_is_there(engine):
    """The first run's settings would take its place."""
    engine.page.goto(engine.page.address)
    engine.lab()
    assert engine.page.get_by_label("Fix", exact=True).is_disabled()
    engine.run()
    assert engine.page.get_by_label("Fix", exact=True).is_enabled()


def test_the_slider_acts_in_flight_and_fills_the_box(started):
    started.press("Start")
    started.frame(3)
    slider = started.page.get_by_label("Learning rate, slider")
    slider.fill("-3.5")
    assert started.sent("rate")[-1]["lr"] == 3.2e-4 and slider.get_attribute("aria-valuetext") == "3.2e-4"
    assert started.page.get_by_label("Learning rate", exact=True).input_value() == "3.2e-4"


@pytest.mark.parametrize(
    "label, text",
    [("Learning rate", "1"), ("Learning rate", "fast"), ("Batch", "1"), ("Seed", "-1"), ("Seed", "1.5"), ("Seed", "")],
)
def test_a_box_that_cannot_be_read_says_so_and_starts_nothing(started, label, text):
    box = started.page.get_by_label(label, exact=True)
    box.fill(text)
    assert verdict(started).startswith(f"{label} must be") and f'not "{text}"' in verdict(started)
    started.press("Start")
    started.press("Reset")
    assert not started.sent("start") and not started.sent("reset") and not box.evaluate("box => box.validity.valid")
    box.fill("0.001" if label == "Learning rate" else "12")
    started.press("Start")
    assert len(started.sent("start")) == 1 and "must be" not in verdict(started)


def test_only_buttons_with_an_effect_are_offered(started):
    def on():
        drawn(started.page)
        buttons = started.page.locator(".keys button").all()
        return [button.text_content() for button in buttons if button.get_attribute("aria-disabled") != "true"]

    assert on() == ["Start", "One iteration", "Only D", "Only G", "Reset"]
    started.frame(1)
    assert on() == ["Pause", "Reset"]
    started.nan()
    assert on() == ["Start", "Reset"]
    started.press("Start")
    assert started.sent("start")


def test_single_steps_say_which_network(started):
    for name in ("One iteration", "Only D", "Only G"):
        started.press(name)
    assert [command["only"] for command in started.sent("one")] == [None, "d", "g"]


def test_keys_stay_inside(started):
    """JupyterLab listens where a key has bubbled up to, and Notebook 7 before all others, unless its target says no."""
    started.page.evaluate("""() => {
      window.heard = [];
      document.addEventListener("keydown", ({ key }) => window.heard.push(key));
      const notebook = ({ key, target }) => target.hasAttribute("data-lm-suppress-shortcuts") || window.heard.push(key);
      document.addEventListener("keydown", notebook, true);
    }""")
    for control in (started.page.get_by_label("Fix", exact=True), started.page.locator(".panel.losses canvas")):
        control.focus()
        started.page.keyboard.press("m")
    assert started.page.evaluate("() => window.heard") == []


# ---- guesses


def guess(engine, text):
    engine.page.get_by_label("I guess: NaN at iteration").fill(text)


def test_a_guess_is_judged_and_does_not_stay_for_the_next_run(engine):
    guess(engine, "100")
    engine.press("Keep my guess")
    engine.press("Start")
    engine.nan(14)
    assert "you 100, it was 14: a factor of 7" in verdict(engine)
    line = {"run": 1, "rates": "1e-3", "settings": "pulses, seed 0", "guess": "100", "outcome": "NaN at 14"}
    assert engine.sent("outcome")[-1]["outcome"] == line
    engine.press("Start")  # a new run, without a guess
    engine.run(2)
    engine.nan(14)
    assert "you" not in verdict(engine) and engine.sent("outcome")[-1]["outcome"]["guess"] == "none"


def test_a_guess_typed_while_a_run_goes_on_belongs_to_the_next(started):
    started.press("Start")
    started.frame(3)
    guess(started, "50")
    started.nan(14)
    assert "it was" not in verdict(started)
    started.press("Start")
    started.run(2)
    started.nan(14)
    assert "you 50, it was 14" in verdict(started)


def test_reset_clears_the_guess(started):
    guess(started, "50")
    started.press("Reset")
    started.run(2)
    started.press("Start")
    started.nan(14)
    assert "it was" not in verdict(started) and started.page.get_by_label("I guess: NaN at iteration").input_value() == ""


def test_without_guesses_their_panel_is_not_there_from_the_start(engine):
    assert engine.page.evaluate("() => view.figure.of.lives.hidden"), "before anything is drawn"


def test_a_classs_guesses_are_ticks_over_recorded_lives(started):
    guess(started, "33, 500, 12,600")
    started.press("Start")
    started.frame(3, "paused")
    assert "0 recorded lives" in described(started, "lives"), "the lives would tell the answer"
    started.nan(14)
    assert "3 guesses, median 500; nearest 33, it was 14: a factor of 2.4" in verdict(started)
    assert described(started, "lives") == "3 guesses, median 500; 6 recorded lives, median 14"


# ---- hearing


def test_frames_are_answered_after_drawing_and_stale_ones_dropped(started):
    started.run(2)
    started.frame(1)
    drawn(started.page)
    assert started.sent("ack")[-1] == {"type": "ack", "run": 2, "iteration": 1}
    count = len(started.sent("ack"))
    started.current = 1
    started.frame(5)
    drawn(started.page)
    assert len(started.sent("ack")) == count and "iteration 1" in started.page.locator(".facts").text_content()


def test_a_hidden_page_goes_on_answering(started):
    started.page.evaluate("() => Object.defineProperty(document, 'hidden', { get: () => true })")
    count = len(started.sent("ack"))
    started.frame(1)
    assert len(started.sent("ack")) == count + 1


def test_the_fatal_sample_is_named_and_drawn(started):
    started.nan(14, sample=15)
    assert "log(1 - D(G(z))) of sample 15" in verdict(started)
    assert started.page.locator(".panel.fake .remark").text_content() == "sample 15 ended the run"
    started.run(2)
    started.nan(14, sample=3, side="real")
    drawn(started.page)
    assert started.page.locator(".panel.real .remark").text_content() == "sample 3 ended the run"


def test_real_samples_stay_readable_beside_loud_ones(started):
    started.frame(1)
    before = pixels(started, "real"), pixels(started, "fake")
    started.frame(1, "paused", fake=samples(2000.0, 64))
    assert pixels(started, "real") == before[0] and pixels(started, "fake") != before[1]
    assert "±2,000 mV; real data ±20" in described(started, "fake")


def test_words_are_told_at_once_in_a_page_that_was_just_opened(started):
    started.page.evaluate("() => { performance.now = () => 50; }")  # milliseconds since then
    started.frame(3, dead=True)
    two_frames(started.page)
    assert "G gets no gradient" in started.page.locator(".verdict").text_content()
    started.page.evaluate("() => { delete performance.now; }")


def test_what_leaves_an_axis_is_named(started):
    dead = np.tile([0.0, 84.0, 1.0, 0.5, 5e6, -1.0, 4.0, 0.0, 2.0], (3, 1))
    started.frame(3, rows=dead, dead=True)
    assert "G gets no gradient" in verdict(started), "dead is said while it runs"
    assert started.page.locator(".panel.losses .remark").text_content() == "G's loss is 0"
    started.frame(1, "paused", dead[:1])
    assert "G 0, D 84" in described(started, "losses")
    before = pixels(started, "logits")
    started.run(2)
    started.frame(3, rows=np.where(dead == 5e6, 1e6, dead))
    assert pixels(started, "logits") != before, "an arrow with the value stands where it is beyond the axis"


@pytest.mark.parametrize("kind, dimension", [("series", 64), ("image", 64), ("plane", 2)])
def test_every_kind_of_data_is_drawn(started, kind, dimension):
    more = {"kind": kind, "dimension": dimension, "real": samples(16.0, dimension)}
    started.run(2, **more)
    blank = pixels(started, "fake")
    plane = {"heat": np.linspace(-5, 5, 121), "box": np.array([-20, 20, -20, 20])} if kind == "plane" else {}
    started.frame(2, **plane, fake=samples(40.0, dimension), **({"cloud": samples(40.0, 2)} if plane else {}))
    assert pixels(started, "fake") != blank
    started.frame(1, **plane, fake=np.full(16 * dimension, np.nan), curve=np.full(POINTS, np.nan))
    drawn(started.page)


def test_losses_without_probabilities_or_cliffs(started):
    started.run(2, scores=False, signed=True, low=None, high=None, hazard=None)
    started.frame(3, "paused", np.tile([-7.0, 20.0, 0, 0, 3.0, -1.0, 4.0, 0.0, 2.0], (3, 1)))
    assert "no probabilities" in described(started, "scores") and started.page.locator(".hazard").is_hidden()
    assert "G −7, D 20" in described(started, "losses")


def test_the_hazard_is_a_number_and_says_how_it_was_found(started):
    started.run(2, hazard="sampled")
    started.frame(1, chance=0.153)
    drawn(started.page)
    assert started.page.locator(".chance").text_content() == "15 %"
    assert "sampled draws" in started.page.locator(".hazard").inner_text()


def test_a_wide_latent_is_called_one_slice_and_an_old_atlas_old(started):
    started.run(2, slice=True)
    started.frame(5, atlasAt=3, lengths=np.full(BATCH, 4.0))
    drawn(started.page)
    assert "one slice" in started.page.locator(".panel.atlas").inner_text()
    assert "projected" in started.page.locator(".panel.along").inner_text()
    assert started.page.locator(".panel.atlas .remark").text_content() == "as of iteration 3"


def test_words_of_the_engine_never_become_html(started):
    evil = "<img src=x onerror=alert(1)>"
    started.again(note=evil, outcomes=[{"rates": evil, "settings": evil, "guess": evil, "outcome": evil}])
    started.run(2, title=evil, unit=evil)
    started.nan(14)
    started.frame(0, "ended", said=evil)
    drawn(started.page)
    assert started.page.locator("img").count() == 0 and evil in started.page.locator("table").inner_text()


def test_a_reload_notes_no_run_twice(started):
    started.nan(14)
    assert len(started.sent("outcome")) == 1
    noted = [command["outcome"] for command in started.sent("outcome")]
    started.page.goto(started.page.address)
    started.lab(outcomes=noted)
    started.run(1, first=False)
    started.iteration = 0
    started.frame(14, "ended")
    drawn(started.page)
    assert not started.sent("outcome")


def test_a_run_that_was_left_is_noted(started):
    started.frame(812, rates=[[1, 1e-4], [700, 1e-3]], dead=True)
    started.run(2)
    assert started.sent("outcome")[-1]["outcome"]["outcome"] == "none by 812, but dead"
    assert "1e-4, then 1e-3 at 700" in started.page.locator("table").inner_text()


def test_an_engine_out_of_reach_is_said(started):
    started.page.evaluate("() => view.fail('The kernel is gone: run the cell again.')")
    assert "run the cell again" in started.page.locator(".verdict").text_content()
    assert started.page.get_by_role("button", name="Start", exact=True).is_disabled()


def test_a_second_page_of_the_engine_takes_nothing_from_this_one(started):
    started.page.get_by_label("Batch", exact=True).fill("32")
    started.lab()  # the engine answers another page's hello: all pages hear it
    started.run(1)
    started.press("Start")
    assert started.sent("start")[-1]["settings"]["batch"] == 32


def test_a_recipe_outside_the_menu_is_one_choice_more(engine):
    engine.page.goto(engine.page.address)
    field = {"name": "fix", "label": "Fix", "kind": "choice", "value": "loss = softplus", "options": ["no fix"]}
    engine.lab(fields=[field])
    engine.run(settings={"fix": "loss = softplus"})
    engine.press("No guess")
    engine.press("Start")
    assert engine.sent("start")[-1]["settings"] == {"fix": "loss = softplus"} and "new run" not in verdict(engine)


def test_a_look_at_a_record_costs_the_live_run_nothing(started):
    guess(started, "50")
    started.press("Start")
    started.nan(14)
    started.run(7, recorded=True, stops=np.array([1, 2]))
    started.frame(2, "paused")
    started.run(1, first=False)
    started.frame(14, "ended")
    assert "you 50, it was 14" in verdict(started) and len(started.sent("outcome")) == 1


def test_destroy_leaves_nothing(started):
    started.page.evaluate("() => view.destroy()")
    assert started.sent("bye") and started.page.locator("#root").evaluate("e => e.childElementCount") == 0
    count = started.page.evaluate("() => window.sent.length")
    started.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    started.page.evaluate("() => window.dispatchEvent(new Event('pagehide'))")
    assert started.page.evaluate("() => window.sent.length") == count


# ---- pointing, and the past


def test_pointing_gives_numbers_and_a_click_shows_the_sample(started):
    page = started.page
    started.frame(5)
    drawn(page)
    canvas = page.locator(".panel.losses canvas")
    canvas.hover(position={"x": 150, "y": 40})
    assert re.match(r"iteration \d\nG 0.7\nD 1.3", page.locator(".tip").text_content())
    started.frame(1, "paused")
    page.locator(".panel.along canvas").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    drawn(page)
    tip = page.locator(".tip").text_content()
    sample = re.search(r"generated sample (\d+)\nz = ", tip)[1]
    before = pixels(started, "fake")
    page.keyboard.press("Enter")
    drawn(page)
    assert pixels(started, "fake") != before
    assert page.locator(".panel.fake .remark").text_content().startswith(f"sample {sample} of iteration 6, logit")
    page.keyboard.press("Escape")
    drawn(page)
    assert "favourite" in page.locator(".panel.fake .remark").text_content()


def test_the_last_iterations_can_be_stepped_back(started):
    page = started.page
    started.nan(60)
    drawn(page)
    scrub = page.get_by_label("Iteration shown")
    scrub.fill("3")
    scrub.fill("5")
    assert started.sent("scrub") == [{"type": "scrub", "run": 1, "iteration": 24}], "one question at a time"
    started.iteration = 24
    started.tell(type="moment", **started.picture())
    assert started.sent("scrub")[-1]["iteration"] == 26
    started.iteration = 26
    started.tell(type="moment", **started.picture(logit=11.0))
    assert "to 11" in described(started, "along") and "iteration 26 of 60" in page.locator(".where").text_content()
    scrub.fill("3")
    drawn(page)
    assert started.sent("scrub")[-1]["iteration"] == 24
    page.get_by_label("Fix", exact=True).select_option("logits loss")
    started.press("Fork here")
    fork = started.sent("fork")[-1]
    assert (fork["run"], fork["iteration"], fork["settings"]["fix"]) == (1, 24, "logits loss")


def test_a_fork_keeps_its_parent_in_the_picture(started):
    started.frame(60, "paused")
    started.run(2, parent=1, forkedAt=30, settings=SETTINGS | {"fix": "logits loss"})
    started.iteration = 29
    started.frame(5)
    both = pixels(started, "losses")
    started.run(3)  # a run of its own: the others are ghosts
    started.run(4, parent=99, forkedAt=30)
    started.iteration = 29
    started.frame(5)
    assert pixels(started, "losses") != both
    started.press("Reset")
    assert started.sent("reset")[-1]["settings"] == SETTINGS, "a fork's settings are shown in the controls"


def test_a_recorded_run_does_not_tell_its_end_before(started):
    page = started.page
    guess(started, "20")
    page.get_by_label("Show", exact=True).select_option("pulses, 1e-4")
    assert started.sent("open") == [{"type": "open", "id": "slow", "seed": 0}]
    stops = np.array([1, 10, 30])
    started.run(7, recorded=True, nanAt=30, stops=stops)
    started.nan(30, state="paused")
    drawn(page)
    assert "iteration 1" == page.locator(".where").text_content() and "NaN" not in verdict(started)
    assert page.get_by_role("button", name="Start", exact=True).is_hidden()
    page.get_by_label("Iteration shown").fill("1")
    assert started.sent("scrub")[-1]["iteration"] in (1, 10)
    page.get_by_label("Iteration shown").fill("2")
    assert "sample 15" in verdict(started) and "you 20, it was 30" in verdict(started)
    page.get_by_label("Show", exact=True).select_option("live run")
    assert started.sent("live") and not started.sent("outcome")


def test_play_steps_through_a_record_and_stops(started):
    started.run(7, recorded=True, nanAt=None, stops=np.arange(1, 6))
    started.frame(5, "paused")
    started.press("Play")
    for at in range(1, 5):  # the fifth is here already
        asked = "at => window.sent.some(command => command.type === 'scrub' && command.iteration === at)"
        started.page.wait_for_function(asked, arg=at)
        started.tell(type="moment", **{**started.picture(), "iteration": at, "atlasAt": at})
    started.page.wait_for_function("() => document.querySelector('.where').textContent.startsWith('iteration 5')")
    started.page.get_by_role("button", name="Play", exact=True).wait_for()


def test_panels_can_be_hidden(started):
    for name in ("real", "generated"):
        started.page.get_by_label(f"show {name}", exact=True).uncheck()
    assert started.page.locator(".panel.fake canvas").is_hidden() and started.page.locator(".panel.atlas canvas").is_visible()
    started.frame(1)
    started.page.get_by_label("show generated", exact=True).check()
    assert started.page.locator(".panel.fake canvas").is_visible()


# ---- facts that were shown wrong


def test_frames_come_fast_or_not_whatever_else_is_drawn(started):
    page = started.page
    started.frame(1)
    assert page.evaluate("() => { view.take(view.frame); view.take(view.frame); return view.fast; }")
    assert not page.evaluate("() => { view.taken -= 200; view.take(view.frame); view.draw(); view.draw(); return view.fast; }")
    page.evaluate("() => { view.take(view.frame); view.take(view.frame); }")
    started.frame(1, state="paused")
    assert not page.evaluate("() => view.fast")


def test_a_rate_is_heard_while_another_box_cannot_be_read(started):
    started.frame(1)
    started.page.get_by_label("Seed", exact=True).fill("")
    started.page.get_by_role("textbox", name="Learning rate", exact=True).fill("2e-5")
    assert started.sent("rate")[-1]["lr"] == 2e-5
    started.page.get_by_role("textbox", name="Learning rate", exact=True).fill("2e")
    assert started.sent("rate")[-1]["lr"] == 2e-5


def test_the_gate_asks_about_the_run_that_start_begins(engine):
    engine.page.get_by_label("Fix", exact=True).select_option("logits loss")
    engine.page.get_by_label("Seed", exact=True).fill("5")
    drawn(engine.page)
    assert "with Fix logits loss, Seed 5" in engine.page.locator(".gate").inner_text()


def test_guesses_of_many_ways_to_write_them(engine):
    read = "text => { const { guesses, left } = parts.parseGuesses(text); return [guesses, left]; }"
    assert engine.page.evaluate(read, "12.600 1.5k 33,500") == [[12_600, 1500, 33_500], []]
    assert engine.page.evaluate(read, "0.5 12.5 7") == [[7], ["0.5", "12.5"]]
    scores = engine.page.evaluate("() => [parts.score([5104], 5103), parts.score([9, 10], 40)]")
    assert scores[0] == "Guess: you 5,104, it was 5,103: off by 1." and "median 9.5" in scores[1]


def test_lives_at_one_rate_are_not_drawn_below_a_run_at_two(started):
    guess(started, "20, 30")
    started.press("Start")
    started.nan(14)
    assert "6 recorded lives" in described(started, "lives")
    started.frame(0, state="ended", rates=[[1, 1e-3], [9, 1e-2]], verdict={"iteration": 14, "words": "NaN at iteration 14"})
    assert "0 recorded lives" in described(started, "lives")


@pytest.mark.parametrize("values", [(1e4, -1e4), (2e3, -2e3), (4e5, -4e5), (30.0, -150.0)])
def test_numbers_beside_an_axis_are_whole(started, values):
    """Each stands right of the canvas' left edge: -10,000 without its first two characters would be another number."""
    started.page.evaluate("""() => { window.edges = []; const { fillText } = CanvasRenderingContext2D.prototype;
        CanvasRenderingContext2D.prototype.fillText = function (words, x, y) {
          if (this.textAlign === "right") edges.push([words, x - this.measureText(words).width]);
          return fillText.call(this, words, x, y); }; }""")
    rows = np.tile([0.7, 9e5, 0.4, 0.6, values[0], values[1], 4.0, 0.0, 2.0], (3, 1))
    started.frame(3, rows=rows, fakeLogits=np.linspace(*values, BATCH), fake=samples(max(values), 64))
    drawn(started.page)
    edges = started.page.evaluate("() => edges")
    assert len(edges) > 10 and min(left for _, left in edges) >= 0, [edge for edge in edges if edge[1] < 0]


def test_a_fork_that_has_not_begun_is_in_the_picture_and_is_no_run(started):
    started.frame(360, "paused")
    started.run(2, parent=1, forkedAt=361, first=False)
    started.iteration = 360
    started.frame(0, state="ready", rewind=None)
    low, high = started.page.evaluate("() => view.scene().x.slice(0, 2)")
    assert low < 361 < high
    rows = started.page.locator(".outcomes tbody tr").count()
    started.run(3)
    assert started.page.locator(".outcomes tbody tr").count() == rows


def test_a_records_axis_does_not_tell_its_end(started):
    started.run(7, recorded=True, nanAt=30_000, stops=np.array([1, 10, 15_000, 30_000]))
    started.nan(30_000, state="paused")
    assert started.page.evaluate("() => view.scene().x[1]") < 40
    started.page.get_by_label("Iteration shown").fill("2")
    assert 15_000 < started.page.evaluate("() => view.scene().x[1]") < 25_000


def test_a_picture_that_takes_long_is_said_to(started):
    started.nan(60)
    started.page.get_by_label("Iteration shown").fill("3")
    started.page.evaluate("() => { view.past.askedAt -= 400; }")
    drawn(started.page)
    assert started.page.locator(".where").text_content() == "computing iteration 24 …"
    started.iteration = 24
    started.tell(type="moment", **started.picture(chance=0.25))
    drawn(started.page)
    assert started.page.locator(".where").text_content() == "iteration 24 of 60"
    assert started.page.locator(".chance").text_content() == "25 %", "of this picture's weights"


def test_ghosts_are_told_apart_and_a_look_at_a_record_drops_none(started):
    for run, (lr, fix) in enumerate([(1e-4, "no fix"), (3e-3, "no fix"), (1e-3, "logits loss")], 2):
        started.run(run, lr=lr, settings=SETTINGS | {"fix": fix})
        started.frame(3, rates=[[1, 1e-5], [2, lr]])
    started.run(9)
    names = "() => view.scene().ghosts.map(({ name }) => name)"
    assert started.page.evaluate(names) == ["1e-4", "3e-3", "logits loss"]
    started.frame(3)
    started.run(10, recorded=True, nanAt=None, stops=np.array([1, 3]))
    started.run(9)
    assert started.page.evaluate(names) == ["1e-4", "3e-3", "logits loss"]


def test_a_tap_on_a_dot_is_a_click(started):
    """A finger's pointer comes and goes without a move."""
    started.frame(3, state="paused")
    drawn(started.page)
    started.page.evaluate("""() => { const { canvas, plot } = view.figure.parts.find(({ panel }) => panel.name === "along");
        const { x, y } = plot.spots.find(({ side, index }) => side === "fake" && index === 10);
        const box = canvas.getBoundingClientRect();
        const at = { clientX: box.left + x, clientY: box.top + y, pointerType: "touch", bubbles: true };
        for (const type of ["pointerdown", "pointerup", "pointerleave", "click"])
          canvas.dispatchEvent(new PointerEvent(type, at)); }""")
    drawn(started.page)
    assert started.page.locator(".panel.fake .remark").text_content().startswith("sample 10 of iteration 3")
    assert "sample 10" in started.page.locator(".tip").text_content()


def test_a_sample_that_was_not_sent_is_said_to_be(started):
    started.frame(3, state="paused", fakeIndex=np.array([1, 2, BATCH - 1]), fake=samples(20.0, 64)[: 3 * 64])
    drawn(started.page)
    started.page.evaluate("""() => { const { plot } = view.figure.parts.find(({ panel }) => panel.name === "along");
        const part = view.figure.parts.find(({ panel }) => panel.name === "along");
        const { x, y } = plot.spots.find(({ side, index }) => side === "fake" && index === 10);
        view.figure.point({ part, x, y }); view.figure.pin(); }""")
    drawn(started.page)
    assert "sample 10 of iteration 3" in (text := started.page.locator(".panel.fake .remark").text_content())
    assert "was not sent" in text and "favourite" in text


# ---- every screen, every reader


@pytest.mark.parametrize("width, height", [(390, 844), (700, 900), (1010, 768), (1366, 768), (1920, 1080)])
def test_it_fits_the_screen(started, width, height):
    page = started.page
    page.set_viewport_size({"width": width, "height": height})
    started.nan(14)
    drawn(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    boxes = [canvas.bounding_box() for canvas in page.locator(".figure canvas").all()]
    assert all(box["width"] > 100 and box["height"] > 40 for box in boxes)
    if width >= 1000:  # JupyterLab's own bars take about 110 pixels
        last = page.locator(".past").bounding_box()
        assert last["y"] + last["height"] <= height - 115


def test_it_follows_dark_mode_and_jupyterlabs_theme(started):
    def dark():
        started.page.wait_for_timeout(1200)  # nobody tells of a change: a clock looks
        drawn(started.page)
        return started.page.locator(".ganlab").get_attribute("data-dark")

    assert dark() == "false"
    started.page.emulate_media(color_scheme="dark")
    assert dark() == "true"
    started.page.evaluate("() => { document.body.style.color = '#222'; }")  # a light theme of JupyterLab's, Sphinx's, Colab's
    assert dark() == "false"
    started.page.emulate_media(color_scheme="light")
    started.page.evaluate("() => { document.body.style.color = 'rgba(255, 255, 255, 0.87)'; }")
    assert dark() == "true"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(engine, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed").Axe()

    def serious():
        drawn(engine.page)
        found = axe.run(engine.page).response["violations"]
        return [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")]

    engine.page.emulate_media(color_scheme=scheme)
    assert serious() == []
    guess(engine, "33, 500")
    engine.press("Keep my guess")
    engine.press("Start")
    engine.frame(3)
    assert serious() == []
    engine.nan(14)
    assert serious() == []


def test_the_state_is_told_to_screen_readers(started):
    live = started.page.locator("p[role=status]")
    started.frame(1)
    drawn(started.page)
    assert "Running" in live.text_content()
    started.nan(14)
    drawn(started.page)
    assert "sample 15" in live.text_content()
    figure = started.page.locator(".figure")
    drawn(started.page)
    text = started.page.locator(f"#{figure.get_attribute('aria-describedby')}").text_content()
    assert "NaN at iteration 14" in text and "logits of 16 generated samples" in text


def test_everything_can_be_reached_by_keyboard(started):
    seen, name_of = set(), "e => e.getAttribute('aria-label') ?? e.labels?.[0]?.innerText ?? e.innerText"
    for _ in range(60):
        started.page.keyboard.press("Tab")
        seen.add(started.page.evaluate(f"() => ({name_of})(document.activeElement)"))
    for name in ("Learning rate", "Learning rate, slider", "Start", "Reset", "Speed", "Fix", "Batch", "show losses", "Play"):
        assert any(text and text.startswith(name) for text in seen), name
