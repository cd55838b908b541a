"""nanguard: why did the loss of a PyTorch loop become NaN?  `for batch in guard(loader, model, optimiser):`

Uses torch and the standard library, so that the folder can be copied into any project under any name. In four steps:
the recorder copies weights, gradients and optimiser state after every few iterations and looks whether they are finite;
if they are not, it puts the last copy back, random state included, and the iterations since then run again one by one
until one breaks; that one runs once more on the same batch, while the tracer sees every tensor operation; and the
weight that broke is followed back to the operation it came from, which the verdict puts in words.
"""

from .guard import guard, replay
from .recorder import FlightRecorder
from .tracer import Tracer
from .verdict import Collapse, Verdict

__all__ = ["Collapse", "FlightRecorder", "Tracer", "Verdict", "guard", "replay"]
