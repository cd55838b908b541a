"""The learning-rate lab: one live run, and the recorded ones, in a view that the browser draws.

view/     the view, in JavaScript, and types.d.ts: what a view and an engine say to each other
run       the engine: a GAN with its history, its pictures and the way back
recorded  recorded runs in the same words
panel     the widget, and the one thread that trains
"""

from utils.lab.panel import Lab

__all__ = ["Lab"]
