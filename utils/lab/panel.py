"""The lab's widgets, and the one thread that trains and draws."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from functools import partial
from html import escape
from pathlib import Path

import ipywidgets as widgets

from utils import data
from utils.checks import flag, number, shown, whole
from utils.lab.recorded import PICTURE_LAYOUT, Recorded
from utils.lab.run import Run
from utils.lab.view import HIGHEST, LOWEST, ORANGE, View
from utils.metrics import alive
from utils.recipe import FIXES, RECOMMENDED, Recipe, rate_text
from utils.sweep import DATA
from utils.trace import QUANTITIES
from utils.training import one_thread

SPEEDS = {"slow motion": 0.4, "normal": None, "flat out": 0.0}  # seconds an iteration; normal accelerates
DUTY = 0.2  # the share of the time that drawing may take
MENU = FIXES | {"the combination": RECOMMENDED}  # one fix at a time, or what notebook 06 recommends
IN_TURN = 15.0  # seconds that Start runs for where no thread can update the view
LARGEST = {"batch": 10_000, "seed": 10**6}  # what the boxes take
CELL = "padding:2px 14px; text-align:right"


class Lab(widgets.VBox):
    """The learning-rate lab as one widget: put `Lab()` on the last line of a cell.

    recipe       what the controls show at the start, and what the chosen fix is applied to: all else stays as it is there
    seed         of the first run
    iterations   Start runs no longer than this ...
    minutes      ... and for no longer than this
    threads      False where a thread cannot update the view (Google Colab, recognised by itself): then Start runs for
                 15 seconds at a time
    folder       of the recorded runs

    A new lab pauses those that exist, so running the cell again leaves no thread behind; Start goes on with either.
    Raises ValueError or TypeError for an argument no lab can have.
    """

    existing: weakref.WeakSet = weakref.WeakSet()

    def __init__(
        self, recipe: Recipe | None = None, seed: int = 0, *, iterations: int = 400_000, minutes: float = 30,
        threads: bool | None = None, folder: Path | str = DATA,
    ):  # fmt: skip
        self.recipe = Recipe(lr=1e-3) if recipe is None else recipe
        if not isinstance(self.recipe, Recipe):
            raise TypeError(f"recipe must be a Recipe, not {shown(recipe)}")
        number("the lab's learning rate", self.recipe.lr, at_least=1e-6, at_most=0.1)  # what the slider has
        whole("the lab's batch", self.recipe.batch, at_most=LARGEST["batch"])
        seed = whole("seed", seed, at_most=LARGEST["seed"])
        self.cap, self.minutes = whole("iterations", iterations, at_least=1), number("minutes", minutes, above=0)
        self.threads = "google.colab" not in sys.modules if threads is None else flag("threads", threads)
        second = Recorded(folder)
        self.lock, self.stop, self.thread = threading.RLock(), threading.Event(), None
        self.stop.set()
        self.outcomes, self.guessed, self.run = [], None, None
        self._build(seed)
        for other in list(Lab.existing):
            other.pause()
            other.join()
        Lab.existing.add(self)
        self.reset()
        super().__init__([widgets.Tab([self.live, second], titles=("Live run", "Recorded runs"))])

    def _build(self, seed: int) -> None:
        """All widgets of the first tab, in self.live."""
        self.rate = widgets.FloatLogSlider(
            value=self.recipe.lr, base=10, min=-6, max=-1, step=0.05, description="Learning rate", readout=False,
            layout={"width": "520px"}, style={"description_width": "100px"}, continuous_update=True,
        )  # fmt: skip
        self.rate.observe(self._label, "value")
        self.data = widgets.Dropdown(options=list(data.DATA_SETS), value=self.recipe.data, description="Data")
        self.fix = widgets.Dropdown(options=list(MENU), description="Fix")
        self.batch = widgets.BoundedIntText(self.recipe.batch, min=2, max=LARGEST["batch"], description="Batch")
        self.seed = widgets.BoundedIntText(seed, min=0, max=LARGEST["seed"], description="Seed")
        menus = [self.data, self.fix, self.batch, self.seed]
        for menu, width, room in zip(menus, (140, 190, 140, 140), (45, 25, 45, 45)):
            menu.layout.width, menu.style.description_width = f"{width}px", f"{room}px"
            menu.observe(self.reset, "value")
        self.guess = widgets.BoundedIntText(
            0, min=0, max=10**7, description="I predict: NaN at iteration",
            layout={"width": "290px"}, style={"description_width": "initial"},
        )  # fmt: skip
        self.buttons = {name: self._button(name, act, tip) for name, act, tip in (
            ("Start", self.start, "train, and draw while training"),
            ("Pause", self.pause, "stop after the next iteration"),
            ("One iteration", self.one, "both networks, once"),
            ("Only D", partial(self.one, g=False), "one update of the discriminator alone"),
            ("Only G", partial(self.one, d=False), "one update of the generator alone"),
            ("Reset", self.reset, "the same recipe and seed from the beginning"),
        )}  # fmt: skip
        self.speed = widgets.ToggleButtons(options=list(SPEEDS), value="normal", style={"button_width": "106px"})
        self.image = widgets.Image(format="png", layout=PICTURE_LAYOUT)
        self.rate_label, self.status, self.table = widgets.HTML(), widgets.HTML(), widgets.HTML()
        first, wrap = widgets.HBox([self.rate, self.rate_label]), {"flex_flow": "row wrap"}
        rows = [widgets.HBox(row, layout=wrap) for row in ([*menus, self.guess], [*self.buttons.values(), self.speed])]
        self.live = widgets.VBox([first, *rows, self.status, self.image, self.table])
        self._label()

    def _button(self, name: str, act, tip: str) -> widgets.Button:
        button = widgets.Button(description=name, tooltip=tip, layout={"width": "112px" if len(name) > 6 else "80px"})
        button.on_click(act)
        return button

    # What the buttons do. Callbacks may come from several threads at once, so whatever touches the run holds the lock.

    @property
    def lr(self) -> float:
        """The slider's learning rate, to the three digits that the text beside it shows."""
        return float(f"{self.rate.value:.3g}")

    @property
    def running(self) -> bool:
        """Is a run going on?"""
        return not self.stop.is_set()

    def start(self, *_) -> None:
        """Go on from where the run stands; nothing happens if it is going on already, or has ended in NaN."""
        with self.lock:
            if not self._may_go_on():
                return
            # Each start has its own Event, so that a thread told to stop is never woken by the next start.
            self.stop = threading.Event()
            self._enable()
            if self.threads:
                arguments = (self.stop, self.minutes * 60)
                self.thread = threading.Thread(target=self._work, args=arguments, daemon=True, name="lab")
                return self.thread.start()
        self._work(self.stop, IN_TURN)

    def _may_go_on(self) -> bool:
        if self.run.count == 0:
            self.guessed = self.guess.value or None
        return not (self.running or self.run.broken)

    def pause(self, *_) -> None:
        """Stop after one more iteration. Takes no lock, so it never waits."""
        self.stop.set()

    def join(self, seconds: float = 30.0) -> None:
        """Wait until the thread, if there is one, has ended."""
        thread = self.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    def reset(self, *_) -> None:
        """The recipe and the seed of the controls, from the beginning."""
        self.pause()
        with self.lock:
            if self.run is not None and self.run.count and not self.run.broken:
                self._keep(f"none by {self.run.count:,}{'' if alive(self.run.gan) else ', but dead'}")
            fields = {"lr": self.lr, "data": self.data.value, "batch": self.batch.value, **MENU[self.fix.value]}
            self.run = Run(Recipe(**{**vars(self.recipe), **fields}), self.seed.value)
            self.view = View(self.run.gan.recipe)
            self.guessed, self.fixed = None, self.fix.value
            self._show()
            self._enable()

    def one(self, *_, d: bool = True, g: bool = True) -> None:
        """One iteration, of both networks or of one."""
        with self.lock:
            if not self._may_go_on():
                return
            try:
                self.run.advance(self.lr, True, d, g)
            except Exception as error:
                self._show(_stopped(error))
            else:
                self._finished()

    # The thread.

    def _work(self, stop: threading.Event, seconds: float) -> None:
        """Train and draw until told to stop, NaN or a cap. An error goes to the status line: a thread has no other voice."""
        try:
            with one_thread():
                self._train(stop, seconds)
        except Exception as error:
            stop.set()
            self._show(_stopped(error), draw=False)
            self._enable()

    def _train(self, stop: threading.Event, seconds: float) -> None:
        run, first = self.run, self.run.count
        started = last_frame = time.monotonic()
        drawing, counted = 0.0, first
        while True:
            now = time.monotonic()
            wait = SPEEDS[self.speed.value]
            if wait is None:
                wait = 0.4 * 0.85 ** (run.count - first)
            with self.lock:
                if self.run is not run or run.broken:  # Reset, or one iteration by hand, came in between
                    stop.set()
                    return self._enable()
                capped = now - started > seconds or run.count + 1 - first >= self.cap
                last = stop.is_set() or capped
                due = last or wait > 0.05 or now - last_frame > max(0.1, drawing * (1 / DUTY - 1))
                run.advance(self.lr, due)
                if last or run.broken:
                    stop.set()
                    return self._finished("Stopped at the cap of this lab; Start goes on." if capped else "")
                if due:
                    begun, axes = time.monotonic(), self.view.background
                    self._show(f"{(run.count - counted) / max(begun - last_frame, 1e-3):,.0f} iterations/s", going=True)
                    last_frame, counted = time.monotonic(), run.count
                    if self.view.background is axes:  # not when the axes were drawn too: that is rare
                        drawing = last_frame - begun
            if wait > 0.002:
                stop.wait(wait)

    def _finished(self, words: str = "") -> None:
        if self.run.broken:
            self._keep(f"{self.run.count:,}")
        elif not alive(self.run.gan):
            words = f"Finite but dead: G gets no gradient. {words}"
        self._show(words)
        self._enable()

    # What the reader sees.

    def _label(self, *_) -> None:
        self.rate_label.value = f"<span style='font-size:22px'>learning rate <b>{rate_text(self.lr)}</b></span>"

    def _enable(self) -> None:
        running, broken = self.running, self.run.broken
        for name, button in self.buttons.items():
            button.disabled = {"Pause": not running, "Reset": False}.get(name, running or broken)
        self.buttons["Start"].button_style = "" if running or broken else "success"
        self.buttons["Reset"].button_style = "warning" if broken else ""

    def _show(self, words: str = "", draw: bool = True, going: bool = False) -> None:
        """The picture as it stands, and the status line with `words`, which are plain text."""
        run = self.run
        if draw:
            self.image.value = self.view.png(run.picture())
        state = "running" if going else "ended" if run.broken else "paused" if run.count else "ready"
        rate = run.gan.optimiser_g.param_groups[0]["lr"]  # the slider's, times what a warm-up leaves of it
        facts = [f"<b>{state}</b>", f"iteration {run.count:,}", f"rate in force {rate_text(rate)}"]
        if going:
            facts, words = [*facts, words], ""
        if run.count:
            low, high = (float(run.rows[QUANTITIES.index(name), run.count - 1]) for name in ("fake_min", "fake_max"))
            cliff = f" (cliffs {LOWEST:.1f}, {HIGHEST:.2f})" if self.view.cliff else ""
            facts.append(f"generated logits {low:.1f} to {high:.1f}{cliff}")
        hint = {"ready": "Predict first (0 means no guess), then press Start."}.get(state, "")
        colour = ORANGE if run.broken else "inherit"
        self.status.value = (
            f"<div style='font-size:16px; line-height:1.35; min-height:4.1em'>{' &middot; '.join(facts)}<br>"
            f"<span style='color:{colour}; font-weight:bold'>{escape(run.verdict or words or hint)}</span></div>"
        )

    def _keep(self, outcome: str) -> None:
        """One line more in the table of predictions."""
        recipe, rates = self.run.gan.recipe, " then ".join(rate_text(lr) for lr in self.run.rates)
        guess = f"{self.guessed:,}" if self.guessed else "none"
        self.outcomes.append((rates, recipe.data, self.fixed, recipe.batch, self.run.gan.seed, guess, outcome))
        head = ("learning rate", "data", "fix", "batch", "seed", "predicted NaN", "NaN at iteration")
        lines = [_line("th", head), *(_line("td", row) for row in reversed(self.outcomes[-12:]))]
        self.table.value = f"<table style='font-size:15px'>{''.join(lines)}</table>"


def _line(kind: str, cells: tuple) -> str:
    return "<tr>" + "".join(f"<{kind} style='{CELL}'>{escape(str(cell))}</{kind}>" for cell in cells) + "</tr>"


def _stopped(error: Exception) -> str:
    return f"Stopped by an error: {type(error).__name__}: {error}"
