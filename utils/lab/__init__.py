"""The learning-rate lab: a live widget on one GAN run, and the recorded runs behind a second tab.

run       a GAN and its history
view      one figure, as PNG bytes
panel     the widgets, and the one thread that trains and draws
recorded  the recorded runs in the same figure
"""

from utils.lab.panel import Lab
from utils.lab.recorded import Recorded

__all__ = ["Lab", "Recorded"]
