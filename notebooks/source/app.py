# %% [markdown]
# # The learning-rate lab
#
# Type your guess, press *Start*, drag the learning rate. The second tab has recorded runs.

# %%
from utils.lab import Lab

Lab()
