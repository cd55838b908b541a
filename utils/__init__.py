"""The shared module of the notebooks: Recipe -> GAN -> train -> Trace -> plots. Importing it changes no global state.

Each file imports only from those above it: plans, checks, machine, data, networks, losses, recipe, trace, gan, recording,
training; then hazard, metrics, sweep, plots, autopsy; then the tools lab and nanguard.
"""
