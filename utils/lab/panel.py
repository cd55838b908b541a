"""The lab's widget: what the view's commands do, and the one thread that trains. What they say: view/types.d.ts."""

from __future__ import annotations

import itertools
import sys
import threading
import time
import weakref
from pathlib import Path

import anywidget
import numpy as np
from IPython.display import display

from utils.checks import flag
from utils.lab.controls import Controls, rate
from utils.lab.recorded import Recorded, checked, listed, lives
from utils.lab.run import Run
from utils.lab.view import STYLE, widget
from utils.machine import one_thread
from utils.recipe import Recipe
from utils.sweep import DATA

FRAME, SILENCE = 0.045, 25.0  # seconds between two frames at least, 22 a second; after which nobody seems to look
AHEAD, ASK = 16, 8  # frames under way at most; one in 8 wants an answer, which costs kernel, server and page more than a frame
EVERY = 5  # iterations from frame to frame at least, unless they take long or wait: a frame costs a third of one
IN_TURN = 15.0  # seconds that Start runs for where no thread can update the view
ASLEEP = "If no lab stands below, its kernel has gone: run this cell again."
# JupyterLab shows the sentence only where no live view follows, and then instead of its own "model not found".
NOTE = f"""<p class="ganlab-asleep">{ASLEEP}</p><style>
.jp-OutputArea-child:has(.ganlab-asleep):has(+ .jp-OutputArea-child .ganlab),
.jp-OutputArea-child:has(.ganlab-asleep) + .jp-OutputArea-child:not(:has(.ganlab)) {{ display: none }}</style>"""


class Lab(anywidget.AnyWidget):
    """The learning-rate lab as one widget: put `Lab()` on the last line of a cell.

    recipe    what the controls show at the start; a fix is applied to it, and all else stays as it is there
    seed      of the first run
    threads   False where a thread cannot update the view (Google Colab, recognised by itself): Start then runs for 15 seconds
    folder    of the recorded runs

    A new lab pauses those that exist; a run that no page shows is paused, and let go when another lab is made.
    Raises ValueError or TypeError for an argument no lab can have.
    """

    _esm, _css = widget(), STYLE
    existing: weakref.WeakSet = weakref.WeakSet()

    def __init__(self, recipe: Recipe | None = None, seed: int = 0, *, threads: bool | None = None, folder: Path | str = DATA):
        self.controls = Controls(Recipe(lr=1e-3) if recipe is None else recipe, seed)
        self.threads = "google.colab" not in sys.modules if threads is None else flag("threads", threads)
        self.folder, self.lr = checked(folder), self.controls.lr
        self.lock, self.thread = threading.RLock(), None
        self.stop: threading.Event | None = None  # of the thread that trains, if one does
        self.run: Run | None = None  # the live one; built when a page asks for it
        self.shown: Run | Recorded | None = None  # that one, or a recorded one
        self.tags, self.outcomes, self.pages, self.waiting = itertools.count(1), {}, 0, set()
        self.unseen, self.heard, self.pace, self.speed = [], 0.0, "normal", None  # unseen: iterations of frames under way
        super().__init__()
        self.on_msg(lambda _, command, __: self.hear(command))
        for other in list(Lab.existing):
            other.retire()
        Lab.existing.add(self)

    def _ipython_display_(self) -> None:
        display({"text/html": NOTE, "text/plain": ASLEEP}, raw=True)
        bundle = self._repr_mimebundle_()
        display(*bundle[:1] if isinstance(bundle, tuple) else [bundle], raw=True)

    @property
    def running(self) -> bool:
        """Is a run going on? It is until its last iteration has been made."""
        return self.stop is not None

    def pause(self) -> None:
        """Stop after one more iteration. Takes no lock, so it never waits."""
        if stop := self.stop:
            stop.set()

    def join(self, seconds: float = 30.0) -> None:
        """Wait until the thread, if there is one, has ended."""
        if self.thread is not None and self.thread is not threading.current_thread():
            self.thread.join(seconds)

    def retire(self) -> None:
        """Pause; and let the run go if no page shows it."""
        self.pause()
        self.join()
        with self.lock:
            if self.pages <= 0:
                self.run = self.shown = None

    # ---- what the view says

    def hear(self, command: dict) -> None:
        """One Command of the view. An error goes back as a sentence: nothing else would be seen."""
        self.heard, kind, tag = time.monotonic(), command.get("type"), command.get("run")
        self.pages -= kind == "bye"
        if kind == "pause" or (kind == "bye" and self.pages <= 0):
            self.pause()
        if kind == "ack":  # the thread need not step aside for this
            self.unseen = [iteration for iteration in self.unseen if iteration > command.get("iteration", 0)]
            return
        self.waiting.add(me := object())  # so that the thread steps aside
        try:
            with self.lock:
                self.waiting.discard(me)
                # a rate may be typed before its new run is on show
                if kind != "hello" and (self.run is None or (kind != "rate" and tag not in (None, self.shown.tag))):
                    return
                try:
                    getattr(self, f"_hear_{kind}", lambda command: None)(command)
                except Exception as error:
                    self.pause()
                    self._publish(stopped(error))
        except KeyboardInterrupt:  # the kernel's, while this waited or worked
            self.waiting.discard(me)
            self.pause()
            if self.run and not self.running:
                self.run.mend()
                self._publish(stopped(KeyboardInterrupt()))

    def _hear_hello(self, command: dict) -> None:
        self.pages += 1
        recorded = listed(self.folder)
        self._tell({
            "type": "lab", "lr": self.lr, "fields": self.controls.fields(), "fork": "fix",
            "recorded": recorded, "lives": lives(self.folder), "outcomes": list(self.outcomes.values()),
            "note": "" if recorded else "There are no recorded runs here; make record makes them.",
        })  # fmt: skip
        if self.run is None:
            self._begin(self.controls.values)
        else:
            self._show(self.shown)

    def _hear_rate(self, command: dict) -> None:
        self.lr = rate(command["lr"])
        if not self.running:
            self._publish()

    def _hear_speed(self, command: dict) -> None:
        self.pace, self.started = command["speed"], self.run.count

    def _hear_start(self, command: dict) -> None:
        self._meant(command)
        if self.stop and not self.stop.is_set():
            return
        # Each start has its own Event, so that a thread told to stop is never woken by the next start: that one takes over.
        self.stop = threading.Event()
        self.speed, self.started = None, self.run.count  # from where normal speed accelerates
        self._publish()  # so that it can be paused before its first iteration is over
        if not self.threads:
            return self._work(self.run, self.stop)
        self.thread = threading.Thread(target=self._work, args=(self.run, self.stop), daemon=True, name="lab")
        self.thread.start()

    def _hear_one(self, command: dict) -> None:
        self._meant(command)
        if not self.running:
            self.run.advance(self.lr, True, command["only"] != "g", command["only"] != "d")
            self._publish()

    def _hear_reset(self, command: dict) -> None:
        self.lr = rate(command["lr"])
        self._begin(command["settings"])

    def _hear_scrub(self, command: dict) -> None:
        if not self.running and self.shown.rewind:
            self._tell(self.shown.moment(int(command["iteration"])) | {"type": "moment"})

    def _hear_fork(self, command: dict) -> None:
        if not self.running and self.shown is self.run and self.run.rewind:
            self.lr = rate(command["lr"])
            changed = self.run.settings | {"fix": command["settings"]["fix"]}
            recipe = self.controls.recipe(changed, self.lr)
            self._show(self.run.fork(next(self.tags), int(command["iteration"]), *recipe))

    def _hear_open(self, command: dict) -> None:
        self.pause()
        folder = self.folder / Path(command["id"]).name
        paths = sorted(folder.glob("seed*.npz")) or [folder / "seed000.npz"]
        self._show(Recorded(next(self.tags), paths[min(max(int(command["seed"]), 0), len(paths) - 1)]))

    def _hear_live(self, command: dict) -> None:
        self._show(self.run)

    def _hear_outcome(self, command: dict) -> None:
        self.outcomes[command["outcome"]["run"]] = command["outcome"]

    # ---- runs

    def _begin(self, settings: dict) -> None:
        self._show(Run(next(self.tags), *self.controls.recipe(settings, self.lr)))

    def _meant(self, command: dict) -> None:
        """The run that a choice means: the live one, unless that has ended or is another."""
        self.lr, self.pace, self.unseen = rate(command["lr"]), command["speed"], []  # whoever presses a button sees the page
        if command["settings"] != self.run.settings or self.run.verdict:
            self._begin(command["settings"])
        elif self.shown is not self.run:
            self._show(self.run)

    def _show(self, run: Run | Recorded) -> None:
        """A run comes on show, with all its rows."""
        self.shown = run
        if isinstance(run, Run) and run is not self.run:
            self.pause()
            self.run, self.stop = run, None
        self._tell(run.about())
        self.unseen = []
        self._publish(everything=True)

    def _publish(self, said: str = "", everything: bool = False) -> None:
        self.unseen = [*self.unseen, self.run.count]
        quiet = len(self.unseen) % ASK > 0 and time.monotonic() - self.heard < SILENCE / 5  # iterations may take seconds
        more = {"speed": self.speed, "said": said, "quiet": quiet}
        self._tell(self.shown.frame(self.lr, self.running, everything) | more)

    def _tell(self, message: dict) -> None:
        arrays = {name: value for name, value in message.items() if isinstance(value, np.ndarray)}
        rest = {name: value for name, value in message.items() if name not in arrays}
        self.send(rest | {"arrays": list(arrays)}, [np.ascontiguousarray(array, "<f4").tobytes() for array in arrays.values()])

    # ---- the thread

    def _work(self, run: Run, stop: threading.Event) -> None:
        said = ""
        try:
            with one_thread():
                said = self._train(run, stop)
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, KeyboardInterrupt):  # where there is no thread
                run.mend()
            said = stopped(error)
        with self.lock:
            if self.stop is stop:
                self.stop = None
                if self.shown is run:
                    self._publish(said)

    def _train(self, run: Run, stop: threading.Event) -> str:
        """Train until told to stop, NaN, or nobody looks, which is said; a frame now and then."""
        began = counted = time.monotonic()
        framed, drawn, before = 0.0, run.count, run.count
        while True:
            while self.waiting:  # somebody wants the lock
                time.sleep(0.001)
            with self.lock:
                if self.stop is not stop:  # another run, or another Start of this one
                    return ""
                now, wait = time.monotonic(), self._wait(run)
                silent = self.threads and now - max(self.heard, began) > SILENCE
                last = silent or stop.is_set() or (not self.threads and now - began > IN_TURN)
                late = now - framed > (FRAME if wait > 0.002 or run.count >= drawn + EVERY else 0.2)
                due = last or (late and (len(self.unseen) < AHEAD or not self.threads))
                run.advance(self.lr, due and (1 if last or wait > 0.002 else 2))  # half an atlas where 20 go by a second
                if now - counted > 0.5:
                    self.speed, counted, before = (run.count - before) / (now - counted), now, run.count
                if last or run.verdict:
                    return "Paused: for half a minute nobody looked." if silent else ""
                if due:
                    self._publish()
                    framed, drawn = max(framed + FRAME, now - FRAME), run.count  # an iteration too late does not add up
            if wait > 0.002:
                stop.wait(wait)

    def _wait(self, run: Run) -> float:
        """Seconds until the next iteration. Normal speed starts slow, so that a short life can be seen."""
        return {"slow": 0.4, "normal": 0.4 * 0.85 ** min(run.count - self.started, 100)}.get(self.pace, 0.0)


def stopped(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Paused by an interrupt of the kernel."
    plain = isinstance(error, (TypeError, ValueError, OSError))
    return str(error) if plain else f"Stopped by an error: {type(error).__name__}: {error}"
