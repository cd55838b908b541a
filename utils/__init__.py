"""The shared module of the notebooks: Recipe -> GAN -> train -> Trace -> plots.

Each file imports only from those above it:
data, networks, losses, training (which uses trace), sweep, plots, lab.
"""

import torch

# The networks here are small: one thread is faster than two, and the machine stays usable.
torch.set_num_threads(1)
