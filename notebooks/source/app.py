# %% [markdown]
# # The learning-rate lab
#
# Type your guess, press *Start*, drag the learning rate. The menu *Show* has recorded runs.

# %%
from utils.lab import Lab

Lab()
