"""The lab's page, site/lab/index.html, in a real browser without a network: from a file, below a path, in a sandboxed frame."""

from __future__ import annotations

import base64
import json
import random
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from served import served
from test_browser import ARTEFACTS, PRESS, browser  # noqa: F401
from test_engine import FIRST_LIVES

from utils.autopsy import explain, explain_trace, rarity
from utils.hazard import cliffs, hazard
from utils.sweep import recorded
from utils.training import GAN, Recipe

FOLDER = Path(__file__).parent.parent / "site" / "lab"
PATIENCE = 60_000  # milliseconds: a slow machine is no failure
BUILD = runpy.run_path(str(FOLDER / "build.py"))
COUNT_FRAMES = """const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (message, ...rest) {
  if (message.type === "ack") (window.acks ??= []).push(performance.now());
  return post.call(this, message, ...rest);
};"""


@pytest.fixture
def open_page(browser):  # noqa: F811
    """Opens the page at an address; afterwards nothing may have left it, and its console must have stayed silent."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    context.set_default_timeout(PATIENCE)
    context.add_init_script(COUNT_FRAMES)
    asked, said = [], []

    def start(address: str = "", at: str = (FOLDER / "index.html").as_uri(), gate: bool = True):
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(at + address)
        if gate:
            button(page, "No guess").click()
        return page

    yield start
    context.close()
    outside = [url for url in asked if not url.startswith(("file:", "blob:", "http://127.0.0.1:"))]
    assert not outside and not said
    assert sum(not url.startswith("blob:") for url in asked) == len([url for url in asked if re.search(r"\.html", url)])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a folder, in which the page lies two folders down and frame.html holds it in a sandboxed frame."""
    root = tmp_path_factory.mktemp("site")
    (root / "some" / "path").mkdir(parents=True)
    (root / "some" / "path" / "lab.html").write_text((FOLDER / "index.html").read_text())
    frame = '<!doctype html><iframe sandbox="allow-scripts" src="some/path/lab.html" width="1300" height="900"></iframe>'
    (root / "frame.html").write_text(frame)
    with served(root) as there:
        yield there


def button(page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def choose(page, menu: str, option: str) -> None:
    page.get_by_label(menu, exact=True).select_option(option)


def write(page, box: str, value) -> None:
    page.get_by_role("textbox", name=box, exact=True).fill(str(value))


def says(page, pattern: str) -> str:
    """Waits until the sentence below the status line matches, and returns it."""
    page.wait_for_function("pattern => new RegExp(pattern).test(document.querySelector('.verdict').textContent)", arg=pattern)
    return page.locator(".verdict").inner_text()


def status(page, pattern: str) -> str:
    page.wait_for_function("pattern => new RegExp(pattern).test(document.querySelector('.facts').textContent)", arg=pattern)
    return page.locator(".facts").inner_text()


def test_a_life_from_a_file_is_the_engines(open_page):
    for seed in (0, 4):
        page = open_page(f"#lr=1e-3&seed={seed}&loss=naive")
        ready = page.evaluate("performance.now()")
        choose(page, "Speed", "flat out")
        button(page, "Start").click()
        sentence = says(page, "NaN at iteration")
        assert sentence.startswith(f"NaN at iteration {FIRST_LIVES[seed]}: log(1 - D(G(z))) of sample ")
        assert "Its latent is z = " in sentence and "above 16.64 float32 rounds D to 1" in sentence
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / "page.png")
    assert ready < 10_000  # it was below a second; a busy machine is no failure


def test_it_runs_below_a_path_and_in_a_sandboxed_frame(open_page, server):
    page = open_page("#lr=1e-3&seed=4", at=f"{server}/some/path/lab.html")
    button(page, "Start").click()
    says(page, f"NaN at iteration {FIRST_LIVES[4]}")

    frame = open_page(at=f"{server}/frame.html", gate=False).frame_locator("iframe")
    frame.get_by_role("button", name="No guess").click()
    frame.get_by_role("button", name="Start", exact=True).click()
    frame.locator(".verdict", has_text=f"NaN at iteration {FIRST_LIVES[0]}").wait_for()


def test_the_rate_acts_in_flight_and_is_remembered(open_page):
    page = open_page("#lr=1e-5")
    choose(page, "Speed", "flat out")
    button(page, "Start").click()
    status(page, "running · iteration [1-9]")
    write(page, "Learning rate", "3e-3")
    says(page, "NaN at iteration")
    assert "rate in force 3e-3" in status(page, "ended")
    row = page.locator(".outcomes tbody tr").first.inner_text()
    assert re.search(r"1e-5, then 3e-3 at [\d,]+\s", row), row
    assert "lr=1e-5" in page.url, "with 3e-3 in it, the address would be of another run"


def test_a_rate_typed_before_the_new_run_is_on_show_counts(open_page):
    page = open_page("#lr=1e-5&seed=0")
    write(page, "Seed", 5)
    page.evaluate("""() => {
        [...document.querySelectorAll("button")].find(one => one.textContent === "Start").click();
        const rate = document.querySelector("input[aria-label='Learning rate']");
        rate.value = "2e-5";
        rate.dispatchEvent(new Event("input", { bubbles: true }));
    }""")
    assert "rate in force 2e-5" in status(page, "rate in force 2e-5")


def test_the_address_carries_rate_seed_and_loss(open_page):
    page = open_page("#lr=3e-4&seed=4&loss=BCELoss")
    assert page.get_by_role("textbox", name="Learning rate", exact=True).input_value() == "3e-4"
    assert page.get_by_label("Loss", exact=True).input_value() == "BCELoss"
    assert page.get_by_label("Seed", exact=True).input_value() == "4"
    write(page, "Learning rate", "2.5e-3")
    write(page, "Seed", 7)
    choose(page, "Loss", "from the logit")
    button(page, "One iteration").click()
    status(page, "iteration 1 ")
    sent = page.url
    again = open_page(sent[sent.index("#") :])
    assert again.get_by_role("textbox", name="Learning rate", exact=True).input_value() == "2.5e-3"
    assert again.get_by_label("Seed", exact=True).input_value() == "7"
    assert again.get_by_label("Loss", exact=True).input_value() == "from the logit"


@pytest.mark.parametrize("wrong", ["lr=7", "lr=fast", "seed=-1", "seed=1.5", "loss=hinge", "batch=1", "latent=0"])
def test_an_address_that_no_run_can_have_is_said_and_left_out(open_page, wrong):
    page = open_page(f"#{wrong}")
    assert wrong in says(page, "The address")
    button(page, "One iteration").click()
    status(page, "iteration 1 ")


def test_frames_come_many_times_a_second(open_page):
    page = open_page("#lr=1e-5")
    choose(page, "Speed", "flat out")
    button(page, "Start").click()
    status(page, "running · iteration [1-9]")
    page.evaluate("() => { window.acks = []; }")
    page.wait_for_timeout(3000)
    rate = page.evaluate("() => (window.acks.length - 1) / (window.acks.at(-1) - window.acks[0]) * 1000")
    button(page, "Pause").click()
    speed = re.search(r"[\d,]+ iterations/s", page.locator(".facts").inner_text())
    print(f"{rate:.1f} frames/s, {speed and speed[0]}")
    assert rate > 1  # it was 30 and more; a busy machine is no failure, and tests/bench.py --lab measures a quiet one


def test_the_keyboard_reaches_everything(open_page):
    page = open_page()
    seen = []
    name = "() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(name))
    assert {"Start", "Pause", "One iteration", "Only D", "Only G", "Reset"} <= set(seen)
    button(page, "One iteration").focus()
    page.keyboard.press("Enter")
    status(page, "iteration 1 ")
    button(page, "Start").focus()
    page.keyboard.press("Space")
    status(page, "running")
    button(page, "Pause").focus()
    page.keyboard.press("Enter")
    status(page, "paused|ended")


def test_the_last_iterations_come_back_and_fork(open_page):
    page = open_page("#lr=1e-3&seed=3")
    choose(page, "Speed", "flat out")
    button(page, "Start").click()
    says(page, f"NaN at iteration {FIRST_LIVES[3]}")
    scrub = page.get_by_role("slider", name="Iteration shown")
    assert scrub.get_attribute("max") == str(FIRST_LIVES[3] - 1)
    scrub.focus()
    page.keyboard.press("Home")
    page.locator(".where", has_text="iteration 1 ").wait_for()
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    page.locator(".where", has_text="iteration 10 ").wait_for()

    button(page, "Fork here").click()  # the same rate and loss: the same end
    status(page, "ready")
    button(page, "Start").click()
    says(page, f"NaN at iteration {FIRST_LIVES[3]}")

    scrub.focus()
    page.keyboard.press("End")
    choose(page, "Loss", "from the logit")
    button(page, "Fork here").click()
    status(page, "ready")
    button(page, "Start").click()
    status(page, f"running · iteration {FIRST_LIVES[3] + 20}|running · iteration [1-9][0-9][0-9]")
    button(page, "Pause").click()
    status(page, "paused")
    assert "NaN" not in page.locator(".verdict").inner_text()


def test_a_forks_rates_are_told_from_its_parents_beginning(open_page):
    page = open_page("#lr=1e-5&seed=0")
    for _ in range(3):
        button(page, "One iteration").click()
    status(page, "iteration 3 ")
    write(page, "Seed", 9)
    button(page, "Fork here").click()  # before iteration 3, at the same rate
    status(page, "iteration 2 ")
    for rate in ("3e-4", "1e-5", "2e-5"):
        write(page, "Learning rate", rate)
    button(page, "One iteration").click()
    status(page, "iteration 3 · rate in force 2e-5")
    button(page, "Reset").click()
    row = page.locator(".outcomes tbody tr", has_text="forked at 3").inner_text()
    assert "1e-5, then 2e-5 at 3" in row, row
    assert "seed=0" in page.url, "the box said 9, the run's parent began with 0"


def test_a_run_can_be_paused_before_its_first_iteration_is_over(open_page):
    page = open_page("#lr=1e-5&batch=1024&latent=64")
    choose(page, "Speed", "flat out")
    button(page, "Start").click()
    status(page, "running")
    button(page, "Pause").click()
    status(page, "paused")
    assert int(re.search(r"iteration ([\d,]+)", page.locator(".facts").inner_text())[1]) < 20


def test_the_chance_of_an_earlier_iteration_is_that_of_its_own_weights(open_page):
    """In slow steps and going back it is the same number."""
    page, chance = open_page("#lr=1e-3&seed=3"), lambda: page.locator(".chance").inner_text()
    seen = []
    for at in range(1, 9):
        button(page, "One iteration").click()
        status(page, f"iteration {at} ")
        seen.append(chance())
    page.get_by_role("slider", name="Iteration shown").focus()
    for at in range(7, 0, -1):
        page.keyboard.press("ArrowLeft")
        page.locator(".where", has_text=f"iteration {at} of").wait_for()
        page.wait_for_function("text => document.querySelector('.chance').textContent === text", arg=seen[at - 1])
    assert len(set(seen)) > 1


def test_a_loss_may_be_named_as_torch_does(open_page):
    page = open_page("#loss=logits")
    assert page.get_by_label("Loss", exact=True).input_value() == "from the logit"


def test_a_dead_run_is_said_to_be_dead_while_it_runs(open_page):
    page = open_page("#lr=1e-3&seed=2&loss=BCELoss")
    choose(page, "Speed", "flat out")
    button(page, "Start").click()
    says(page, "Finite but dead")
    status(page, "running")


def test_a_wide_latent_and_an_odd_batch_run_too(open_page):
    page = open_page("#lr=3e-3&latent=16&batch=10")
    choose(page, "Speed", "flat out")
    button(page, "Start").click()
    assert re.search(r"\|z\| = \d", says(page, "NaN at iteration"))
    page.locator(".hazard", has_text="estimated from sampled draws").wait_for()
    assert page.locator(".chance").inner_text().endswith("%")


def test_a_recorded_run_says_what_python_says_of_it(open_page):
    page = open_page()
    choose(page, "Show", "pulses, 1e-5")
    for seed, trace in enumerate(recorded("pulses_lr1e-5")[:2]):
        if seed:
            choose(page, "Recorded seed", str(seed))
        status(page, f"recorded with PyTorch, naive loss, batch 64, seed {seed}, ")
        page.get_by_role("slider", name="Iteration shown").focus()
        page.keyboard.press("Home")
        page.keyboard.press("End")
        assert explain_trace(trace).words in says(page, f"NaN at iteration {trace.nan_at:,}")
    choose(page, "Show", "live run")
    button(page, "One iteration").click()
    status(page, "iteration 1 ")


def test_random_presses_leave_no_dead_button(open_page):
    page, chance = open_page("#lr=1e-3"), random.Random(12)
    for _ in range(60):
        act = chance.choice(["press", "press", "press", "rate", "menu", "seed", "speed"])
        if act == "press":
            name = chance.choice(["Start", "Pause", "One iteration", "Only D", "Only G", "Reset", "Play", "Stop", "Fork here"])
            button(page, name).evaluate_all(PRESS)  # those that have no effect just now too
        elif act == "rate":
            write(page, "Learning rate", chance.choice(["1e-6", "3e-4", "1e-2", "1e-1", "nonsense", ""]))
        elif act == "menu":
            choose(page, "Loss", chance.choice(["naive", "from the logit", "BCELoss", "epsilon"]))
        elif act == "seed":
            write(page, chance.choice(["Seed", "Batch", "Latent"]), chance.choice(["2", "7", "33", "-1", "x"]))
        else:
            choose(page, "Speed", chance.choice(["slow motion", "normal", "flat out"]))
    for box, value in (("Learning rate", "1e-3"), ("Seed", "0"), ("Batch", "64"), ("Latent", "1")):
        write(page, box, value)
    choose(page, "Loss", "naive")
    choose(page, "Speed", "flat out")
    button(page, "Reset").click()
    status(page, "ready · iteration 0")
    button(page, "Start").click()
    says(page, f"NaN at iteration {FIRST_LIVES[0]}:")


# ---- words and chances, held to Python's


@pytest.fixture(scope="module")
def module(browser):  # noqa: F811
    """A page with the worker's first modules: evaluates an expression, in which `given` is what is handed over."""
    page = browser.new_page()
    code = BUILD["join"](*(BUILD["text"](f"{name}.js") for name in ("chances", "verdict", "run")))
    yield lambda expression, given: page.evaluate(f"given => {{ {code}\nreturn {expression}; }}", given)
    page.close()


FLOAT32 = """(x, real) => { const p = Math.fround(1 / Math.fround(1 + Math.fround(Math.exp(-x))));
  return !Number.isFinite(Math.log(real ? p : Math.fround(1 - p))); }"""


@pytest.mark.parametrize(
    "real, fake, term, side, index",
    [
        ([1, 2, 3], [0, 17, 30], "log(1 - D(G(z)))", "fake", 1),
        ([1, 2, 3], [0, -5, -95], "log D(G(z))", "fake", 2),
        ([1, -90, -99], [0, 1, 2], "log D(x)", "real", 1),
        ([50, 2, -120], [0, 40, -200], "log D(x)", "real", 2),
        ([1, 2, 3], [25, -95, 40], "log(1 - D(G(z)))", "fake", 0),
        ([1, np.inf, 3], [0, 1, 2], None, "real", 1),
        ([1, 2, 3], [0, np.nan, -np.inf], None, "fake", 1),
        ([1, 2, 3], [0, 1, 2], None, None, None),
    ],
)
@pytest.mark.parametrize("latent", [1, 4])
def test_the_verdict_names_pythons_sample_in_pythons_words(module, real, fake, term, side, index, latent):
    z = torch.randn(3, latent, generator=torch.Generator().manual_seed(1)) * 2
    logits = [torch.tensor(values, dtype=torch.float32) for values in (real, fake)]
    expected = explain(*logits, z, Recipe(latent=latent))
    # as text: JSON has no infinity
    given = {"logits": [[str(v) for v in values] for values in (real, fake)], "z": z.tolist(), "cliffs": cliffs()}
    sides = "...given.logits.map(side => Float32Array.from(side, v => Number(v.replace('inf', 'Infinity'))))"
    found = module(f"explain({sides}, k => given.z[k], 0, {FLOAT32}, ...given.cliffs)", given)
    assert found["words"] == expected.words
    assert (found["side"], found["index"]) == (side, index)
    assert (expected.term, expected.sample) == (term, index)


@pytest.mark.parametrize("latent", [1, 2, 3, 16, 64])
def test_rarity_is_pythons(module, latent):
    for scale in (0.1, 1, 2, 4, 6):
        z = torch.full((latent,), scale / latent**0.5)
        assert module("rarity(given)", z.tolist()) == rarity(z)


@pytest.mark.parametrize("lr, steps", [(1e-3, 0), (1e-3, 4), (1e-3, 6), (1e-4, 40)])
def test_the_hazard_is_pythons(module, lr, steps):
    gan = GAN(Recipe(lr=lr), seed=0)
    for _ in range(steps):
        gan.step()
    z = torch.linspace(-8, 8, 321)
    logits = gan.sample(z[:, None])[1]
    for cliff in (cliffs(), (-20.0, 6.0), (float(logits.min()) - 1, float(logits.quantile(0.9)))):
        given = {"grid": [z.tolist(), logits.tolist()], "cliff": cliff}
        found = module("gridHazard(...given.grid.map(row => Float32Array.from(row)), ...given.cliff, 64)", given)
        assert found == pytest.approx(hazard(gan, cliff), rel=1e-6, abs=1e-14)


@pytest.mark.parametrize("latent", [2, 16])
def test_the_sampled_hazard_is_near_the_known_one(module, latent):
    """A linear D of a linear G: the logit is normal, and the chance of a batch is known."""
    draws = np.array(module("someNormals(given)", 320 * latent)).reshape(320, latent)
    assert abs(draws.mean()) < 0.05 and abs(draws.std() - 1) < 0.05
    logits = 5 * draws.sum(1) / latent**0.5
    for cliff in (5.0, 12.0, 16.6):
        exact = -np.expm1(64 * stats.norm.logcdf(cliff / 5))
        found = module("sampledHazard(Float32Array.from(given[0]), -88, given[1], 64)", [logits.tolist(), cliff])
        assert exact / 5 < found < exact * 5


def test_the_tail_of_a_known_distribution_is_found(module):
    """Of 10,000 numbers of an exponential distribution none is as large as 12; the chance to pass it is e^-12."""
    values = torch.zeros(10_000).exponential_(generator=torch.Generator().manual_seed(0))
    found = module("tail(Float32Array.from(given), 12)", values.tolist())
    assert np.exp(-12) / 5 < found < np.exp(-12) * 5


def test_the_last_forty_iterations_and_a_fork_are_what_they_were(module):
    """Past two checkpoints, with a changed rate and single networks on the way; a fork is the same run once more."""
    differing = module(
        """(() => {
          const bytes = Uint8Array.from(atob(given), c => c.charCodeAt(0));
          const engine = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
          const run = new Run(engine, 1, { loss: "naive", batch: 300, latent: 3, seed: 5 }, 1e-5), seen = [], wrong = [];
          const numbers = picture => JSON.stringify(Object.values(picture).filter(part => part?.length).map(part => [...part]));
          const step = (one, at) => {
            one.lr = at > 100 ? 2e-5 : 1e-5;
            one.advance(true, at % 7 > 0, at % 5 > 0);
          };
          for (let at = 1; at <= 125; at++) {
            step(run, at);
            seen[at] = numbers(run.shown);
            if ([39, 40, 41, 81, 125].includes(at))
              for (let k = Math.max(at - 39, 1); k <= at; k++) if (numbers(run.moment(k)) !== seen[k]) wrong.push(k);
          }
          const fork = run.fork(2, 90, "naive", 1e-5);
          for (let at = 90; at <= 125; at++) {
            step(fork, at);
            if (numbers(fork.shown) !== seen[at]) wrong.push(at);
          }
          return [wrong, fork.rates];
        })()""",
        base64.b64encode(BUILD["ENGINE"].read_bytes()).decode(),
    )
    assert differing == [[], [[1, 1e-5], [101, 2e-5]]]


def test_the_page_is_small():
    page = (FOLDER / "index.html").read_text()
    (records,) = re.findall(r'id="records">(.*?)</script>', page)
    assert len(page) - len(records) < 60_000 and len(page) < 400_000
    assert json.dumps(BUILD["unpacked"](page)[0]).count("http") == 0  # no address outside
