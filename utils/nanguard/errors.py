"""The error that ends a loop from within: is a NaN behind it, and how does it come to carry the verdict?"""

from __future__ import annotations

import dis
import gc
import sys
from collections.abc import Iterator
from types import FrameType, TracebackType

import torch

from .frame import OURS, outwards
from .tensors import finite, mask
from .verdict import Collapse, attach


def tracebacks(frame: FrameType | None) -> list[TracebackType]:
    """The tracebacks of errors on their way out of `frame`, which has just left its loop; not of a Collapse."""
    if frame is None or dis.opname[frame.f_code.co_code[frame.f_lasti]] in ("POP_TOP", "RETURN_VALUE", "DELETE_FAST"):
        return []  # a break, a return, the end of the function
    found = [one for one in gc.get_referrers(frame) if isinstance(one, TracebackType) and one.tb_frame is frame]
    return [one for one in found if not list(inwards(one))[-1].f_code.co_filename.startswith(OURS[1])]


def inwards(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def evidence(raised: list[TracebackType | None]) -> bool:
    """Does one of the frames that an error came through hold a NaN or a loss that is infinite? A best loss so far may be."""
    frames = [frame for trace in raised for frame in inwards(trace)]
    if frames and frames[-1].f_code.co_name == "_engine_run_backward":  # detect_anomaly
        return True
    for value in (value for frame in frames for value in frame.f_locals.values()):
        if isinstance(value, float) and value != value:
            return True
        if isinstance(value, torch.Tensor) and not finite(value) and (value.dim() == 0 or not mask(value)):
            return True
    return False


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
        elif event == "exception" and at is not frame and frame in inwards(argument[2]):
            sys.settrace(None)
            raise Collapse(verdict) from argument[1]
        return meet

    for outer in outwards(frame):
        outer.f_trace = meet
    sys.settrace(lambda *_: None)
    return True
