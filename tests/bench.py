"""`make bench`: what recording and the guard cost, A B A B in one process, and what the tools name on the gallery of loops.

With --gallery only the latter: guard, detect_anomaly, and a dispatch hook that raises at the first number that is not finite;
then they go into data/gallery.csv, a line a loop, which notebook 10 shows.
With --lab the speed figures of the learning-rate lab, in JupyterLab and in its page (bench_lab.py).
"""

import contextlib
import io
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from gallery import LOOPS, carried
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from utils.losses import matlab
from utils.machine import provenance, replacing
from utils.nanguard import guard
from utils.training import GAN, Recipe, one_thread, train


def plain(iterations: int) -> None:
    """The loop of notebook 01, without a record."""
    gan = GAN(Recipe(lr=1e-5))
    data, random, generator, discriminator = gan.data.samples, gan.random, gan.generator, gan.discriminator
    for _ in range(iterations):
        real = data[torch.randint(len(data), (64,), generator=random)]
        z = torch.randn(64, 1, generator=random)
        loss_d, loss_g = matlab(discriminator(real), discriminator(generator(z)))
        gradients_d = torch.autograd.grad(loss_d, gan.weights_d, retain_graph=True)
        gradients_g = torch.autograd.grad(loss_g, gan.weights_g)
        for weight, gradient in zip(gan.weights_d + gan.weights_g, gradients_d + gradients_g):
            weight.grad = gradient
        gan.optimiser_d.step()
        gan.optimiser_g.step()


def recording(iterations: int) -> None:
    train(Recipe(lr=1e-5), iterations, progress=False)


def repeated(step: Callable, batches: Iterator, around=contextlib.nullcontext) -> Callable:
    """A function that runs so many iterations of one loop, and goes on with the same loop when it is called again."""

    def run(iterations: int) -> None:
        with around():
            for _ in zip(range(iterations), batches):
                step()

    return run


def small_cnn() -> tuple[Callable, nn.Module, torch.optim.Optimizer]:
    """(one iteration of a classifier of 14 x 14 images in batches of 32, its network, its optimiser)."""
    torch.manual_seed(0)
    first = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32)]
    net = nn.Sequential(*first, nn.ReLU(), nn.Flatten(), nn.Linear(32 * 49, 128), nn.ReLU(), nn.Linear(128, 10))
    opt, x, y = torch.optim.Adam(net.parameters()), torch.randn(32, 1, 14, 14), torch.randint(10, (32,))

    def step() -> None:
        opt.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        opt.step()

    return step, net, opt


class Hook(TorchDispatchMode):
    """Raises at the first operation that makes a number that is not finite."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        unwritten = "empty" in function._schema.name  # memory that holds whatever was there
        for one in () if unwritten else tree_leaves(result):
            if isinstance(one, torch.Tensor) and one.is_floating_point() and not one.is_sparse:
                if not bool(torch.isfinite(one).all()):
                    raise ArithmeticError(function._schema.name.split("::")[-1])
        return result


def seconds(function, iterations: int) -> float:
    start = time.perf_counter()
    function(iterations)
    return time.perf_counter() - start


def ratio(function, base, rounds: int = 15, iterations: int = 150) -> str:
    """Of function's time to base's: the median over A B rounds, and the quartiles."""
    seconds(base, 50), seconds(function, 50)
    ratios = [seconds(function, iterations) / seconds(base, iterations) for _ in range(rounds)]
    low, median, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return f"{median:.3f} ({low:.3f} to {high:.3f})"


def costs(name: str, make: Callable) -> None:
    """Each tool's time over that of the bare loop; short turns, for a machine's pace changes within seconds."""
    (alone, *_), (step, *parts) = make(), make()
    base, held = repeated(alone, count()), repeated(step, iter(guard(count(), *parts)))
    print(f"{name}: guard / plain: {ratio(held, base, 60, 24)} (bar: 1.10)")
    for tool, around in (("detect_anomaly", torch.autograd.detect_anomaly), ("dispatch hook", Hook)):
        print(f"{name}: {tool} / plain: {ratio(repeated(alone, count(), around), base, 10, 12)}")


# ---------------------------------------------------------------- what each names


def with_guard(loop) -> tuple[str, str]:
    try:
        loop(guard)
    except (Exception, SystemExit) as error:
        if verdict := carried(error):
            return verdict.operation or "", verdict.line or ""
    return "", ""


def with_anomaly(loop) -> tuple[str, str]:
    """The operation is that of the backward node in its message, the line the last one of ours in its warning."""
    with warnings.catch_warnings(record=True) as told, torch.autograd.detect_anomaly():
        warnings.simplefilter("always")
        try:
            loop(lambda iterable, *_: iterable)
        except (Exception, SystemExit) as error:
            node = re.search(r"'(\w+)Backward\d*'", str(error))
            lines = re.findall(r'gallery.py", line \d+, in .*\n\s+(.*)', "".join(str(one.message) for one in told))
            return (node.group(1).lower() if node else ""), (lines[-1] if lines else "")
    return "", ""


def with_hook(loop) -> tuple[str, str]:
    try:
        with Hook():
            loop(lambda iterable, *_: iterable)
    except ArithmeticError as error:
        lines = [one.line for one in traceback.extract_tb(error.__traceback__) if one.filename.endswith("gallery.py")]
        return str(error), lines[-1] if lines else ""
    except (Exception, SystemExit):
        pass
    return "", ""


def named(found: tuple[str, str], expected: dict) -> bool:
    """Are operation and line right?"""

    def options(value) -> set:
        return value if isinstance(value, set) else {value}

    operation = any(found[0].strip("_") == one.strip("_") for one in options(expected["operation"]))
    return operation and any(one in found[1] for one in options(expected["line"]))


def gallery() -> pd.DataFrame:
    """A line for each loop of the gallery with an operation and a line: did each tool name both?"""
    rows = []
    for name, (loop, expected) in LOOPS.items():
        if "operation" in expected and "line" in expected and name != "in_thread":  # the hook and the mode stay in their thread
            with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                right = {tool: named(look(loop), expected) for tool, look in TOOLS.items()}
            rows.append({"loop": name} | right)
    return pd.DataFrame(rows)


def show_gallery(table: pd.DataFrame) -> None:
    for _, row in table.iterrows():
        print(f"{row['loop']:45}", *("right" if row[tool] else "-    " for tool in TOOLS))
    print(f"operation and line right, of {len(table)}:", ", ".join(f"{tool} {table[tool].sum()}" for tool in TOOLS))


TOOLS = {"guard": with_guard, "detect_anomaly": with_anomaly, "dispatch hook": with_hook}
GALLERY = Path(__file__).parent.parent / "data" / "gallery.csv"


if __name__ == "__main__":
    if "--lab" in sys.argv:
        import bench_lab

        sys.exit(bench_lab.main())
    warnings.simplefilter("ignore")  # detect_anomaly says that it is slow
    found = gallery()
    show_gallery(found)
    if "--gallery" in sys.argv:
        made = {name: provenance()[name] for name in ("torch", "python", "processor", "commit", "date")}
        with replacing(GALLERY) as path:
            found.assign(**made).to_csv(path, index=False)
    else:
        with one_thread():
            print(f"train() with recording / plain loop: {ratio(recording, plain)} (bar: 1.10)")
            costs("GAN of this series", lambda: (gan.step, gan) if (gan := GAN(Recipe(loss="logits"))) else ())
            costs("small CNN", small_cnn)
