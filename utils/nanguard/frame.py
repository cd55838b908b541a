"""What frames tell: which of the user's lines is running, and what the error that leaves a loop has to do with a NaN."""

from __future__ import annotations

import ast
import contextlib
import dis
import gc
import itertools
import linecache
import sys
from pathlib import Path
from traceback import walk_stack, walk_tb
from types import FrameType, TracebackType

import torch
from torch.utils._pytree import tree_leaves

from .tensors import MOST, array, finite, mask
from .verdict import Collapse, attach

OURS = (str(Path(torch.__file__).parent), str(Path(__file__).parent))
LEFT = ("POP_TOP", "RETURN_VALUE", "DELETE_FAST")  # what a frame does where it leaves a loop by break, return, or its own end


def users(frame: FrameType) -> FrameType | None:
    """The innermost frame from `frame` outwards that is neither torch's nor ours; None if there is none."""
    return next((one for one, _ in walk_stack(frame) if not one.f_code.co_filename.startswith(OURS)), None)


def where() -> tuple[tuple | None, str]:
    """((code, instruction, line number) of the user's code that is running or None, what of torch runs between it and us).

    An optimiser of the user's own counts as torch's.
    """
    frame = users(sys._getframe(1))
    between = itertools.takewhile(lambda one: one[0] is not frame, walk_stack(sys._getframe(1)))
    parts = " ".join(f"{one.f_code.co_filename}:{one.f_code.co_name}" for one, _ in between).replace("\\", "/")
    if frame is None:
        return None, parts
    own = isinstance(frame.f_locals.get("".join(frame.f_code.co_varnames[:1])), torch.optim.Optimizer)
    return (frame.f_code, frame.f_lasti, frame.f_lineno), parts + " torch/optim/" * own


def source(place: tuple | None) -> tuple[str | None, str | None, str | None]:
    """(assigned name, expression, "file:line: text") of a place in somebody's code."""
    if place is None:
        return None, None, None
    code, instruction, number = place
    lines = linecache.getlines(code.co_filename)
    text = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    term, file = text or None, Path(code.co_filename)
    if hasattr(code, "co_positions") and lines:  # Python 3.11 knows which part of the line was running, or of some lines
        first, last, start, end = list(code.co_positions())[instruction // 2]
        if first is not None and start is not None:
            part = [one.encode() for one in lines[first - 1 : last]]
            part = [*part[:-1], part[-1][:end]]
            term = b"".join([part[0][start:], *part[1:]]).decode()
            if first != last:
                with contextlib.suppress(SyntaxError):
                    text = term = ast.unparse(ast.parse(f"({term}\n)", mode="eval"))  # in one line, without comments
    nodes = (node for node in ast.walk(parsed(code.co_filename)) if isinstance(node, ast.Assign) and code.co_name != "<lambda>")
    losses = [ast.unparse(node.targets[0]) for node in nodes if node.lineno <= number <= node.end_lineno]
    name = "notebook cell" if "ipykernel" in str(file) else file.name
    return losses[-1] if losses else None, term, f"{name}:{number}: {text}"


def parsed(file: str) -> ast.Module:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:  # a notebook cell with a % line: its text must do
        return ast.Module([], [])


def tracebacks(frame: FrameType | None) -> list[TracebackType]:
    """The tracebacks of errors on their way out of `frame`, which has just left its loop; not of a Collapse."""
    if frame is None or dis.opname[frame.f_code.co_code[frame.f_lasti]] in LEFT:
        return []
    found = [one for one in gc.get_referrers(frame) if isinstance(one, TracebackType) and one.tb_frame is frame]
    return [one for one in found if not list(walk_tb(one))[-1][0].f_code.co_filename.startswith(OURS[1])]


def evidence(raised: list[TracebackType | None], loop) -> bool:
    """Does one of the frames that an error came through hold a NaN or a loss that is infinite? A best loss so far may be.

    Of the loop's own frame only what its body assigns counts.
    """
    frames = [frame for trace in raised for frame, _ in walk_tb(trace)]
    if frames and frames[-1].f_code.co_name == "_engine_run_backward":  # detect_anomaly
        return True
    held = [(frame, name, value) for frame in frames for name, value in frame.f_locals.items()]
    for value in (value for frame, name, value in held if frame is not loop.frame or not loop.body or name in loop.bound):
        small = not isinstance(value, (dict, list, tuple)) or len(value) <= MOST
        if any(map(_ill, tree_leaves(value) if small else ())):
            return True
    return False


def _ill(value) -> bool:
    """Is it a NaN, or a tensor or an array that is not finite and no mask?"""
    if isinstance(value, array()) and value.dtype.kind == "f":
        value = torch.from_numpy(value)
    if isinstance(value, torch.Tensor):
        return not finite(value) and (value.dim() == 0 or not mask(value))
    return isinstance(value, float) and value != value


def raise_through(frame: FrameType, raised: list[TracebackType], verdict) -> bool:
    """Let the error that leaves `frame` carry the verdict: from Python 3.12 on it is found and keeps its kind.

    Before, it is on its way and nobody holds it, but a trace function meets it in the calling frame, and raises Collapse
    from it. False if neither can be done: another trace function is at work, or nobody called the frame.
    """
    errors = [one for trace in raised for one in gc.get_referrers(trace) if isinstance(one, BaseException)]
    for error in errors:
        attach(error, verdict)
    if errors or sys.gettrace() is not None or frame.f_back is None:
        return bool(errors)

    def meet(at: FrameType, event: str, argument):
        if at is frame and event == "line":  # it was caught where it was raised
            sys.settrace(None)
        elif event == "exception" and at is not frame and frame in dict(walk_tb(argument[2])):
            sys.settrace(None)
            raise Collapse(verdict) from argument[1]
        return meet

    for outer, _ in walk_stack(frame):
        outer.f_trace = meet
    sys.settrace(lambda *_: None)
    return True
