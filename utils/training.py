"""train(), which turns a Recipe into a Trace; and what most need beside it: Recipe, GAN, Step, one_thread.

Uses everything above it: checks, machine, recipe, trace, gan, recording.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tqdm.auto import tqdm

from utils.checks import flag, function, number, whole
from utils.gan import GAN, Step
from utils.machine import interrupts_wait, one_thread
from utils.recipe import Recipe
from utils.recording import Recorder
from utils.trace import Trace

__all__ = ["GAN", "Recipe", "Step", "one_thread", "train"]


def train(
    recipe: Recipe | GAN,
    iterations: int,
    seed: int = 0,
    *,
    stop: Callable[[], bool] | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 30.0,
    atlas_at: Iterable[int] = (),
    watch: dict[str, Callable[[GAN], float]] | None = None,
    watch_every: int = 4,
    progress: bool = True,
) -> Trace:
    """Train until the first loss that is not finite, for at most `iterations`, and return what was recorded.

    recipe              a Recipe, or a GAN to go on with (its own seed counts then)
    stop                asked after each iteration; True ends the run
    checkpoint          file that keeps the run, written every `checkpoint_seconds` and at its end, however it ends; a run
                        that finds it there goes on from it, to the last bit as if it had never stopped
    atlas_at            iterations whose atlas of G is kept; the last iteration's always is
    watch               {name: function(gan)} asked before iterations 1, 1 + watch_every ..., with the weights that
                        these use; the answers stand in trace.watched. A function must not change the GAN.
    progress            show a bar on runs that last longer than two seconds

    The iteration with the broken loss is recorded, and its update made.
    KeyboardInterrupt ends the run like `stop`, after the iteration under way, and returns the Trace so far.
    Raises ValueError or TypeError for an argument no run can have, before any work starts.
    """
    iterations, seconds = whole("iterations", iterations, 1), number("checkpoint_seconds", checkpoint_seconds, at_least=0)
    stop = bool if stop is None else function("stop", stop)  # bool() is False
    flag("progress", progress)
    recorder = Recorder(recipe if isinstance(recipe, GAN) else GAN(recipe, seed), atlas_at, watch, watch_every)
    recorder.open(checkpoint, iterations)
    with one_thread(), interrupts_wait() as interrupted:
        _play(recorder, iterations, lambda: interrupted() or stop(), seconds, progress)
        return recorder.trace()


def _play(recorder: Recorder, iterations: int, ended: Callable[[], bool], seconds: float, progress: bool) -> None:
    """The loop of train."""
    gan, saved = recorder.gan, time.monotonic()
    bar = tqdm(
        total=iterations, initial=recorder.count, delay=2, mininterval=0.5, leave=False, unit=" iterations",
        disable=not progress,
    )  # fmt: skip
    try:
        while recorder.count < iterations and not recorder.broken:
            recorder.look()
            with recorder.iteration():
                step = gan.forward()
                recorder.record(step)
                gan.update(step)
            if recorder.count % 64 == 0:
                bar.update(recorder.count - bar.n)
                if time.monotonic() - saved > seconds:
                    recorder.save()
                    saved = time.monotonic()
            if ended():
                break
        bar.total = recorder.count  # a NaN or a stop ends a run well too
        bar.update(recorder.count - bar.n)
    except KeyboardInterrupt:
        pass
    finally:
        bar.close()
        recorder.save()
