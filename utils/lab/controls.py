"""What the lab's controls offer, and the Recipe that a choice of theirs means. Uses recipe and its fixes."""

from __future__ import annotations

from functools import partial

from utils.checks import number, of_type, one_of, whole
from utils.data import DATA_SETS
from utils.recipe import FIXES, RECOMMENDED, Recipe

MENU = FIXES | {"recommended": RECOMMENDED}  # one fix at a time, or what the series recommends
BOXES = {  # of whole numbers: what is written beside it, the smallest number, and the largest
    "batch": ("Batch", 2, 8192), "seed": ("Seed", 0, 2**32 - 1), "latent": ("Latent", 1, 1024),
    "hidden_g": ("Width of G", 1, 8192), "hidden_d": ("Width of D", 1, 8192),
}  # fmt: skip
rate = partial(number, "the lab's learning rate", at_least=1e-6, at_most=0.1)  # one that the slider has


def read(boxes: dict, whose: str = "") -> dict:
    """What the boxes hold; ValueError or TypeError for what they may not."""
    return {name: whole(whose + name, boxes.get(name), low, high) for name, (_, low, high) in BOXES.items()}


class Controls:
    """The controls of a lab whose own recipe this is: `values` are what they show at the start."""

    def __init__(self, recipe: Recipe, seed: int):
        of_type("recipe", recipe, Recipe, "a Recipe")
        self.lr, boxes = rate(recipe.lr), read(vars(recipe) | {"seed": seed}, "the lab's ")
        own = {name: getattr(recipe, name) for name in ("lr", "data", *BOXES) if name != "seed"}
        fix = next((fix for fix, changes in MENU.items() if Recipe(**own | changes) == recipe), None)
        self.base, self.menu = Recipe(), MENU
        if fix is None:  # one option more, which the fixes are applied to
            fix = "own recipe: " + ", ".join(f"{name} {value}" for name, value in recipe.changes.items() if name not in own)
            self.base, self.menu = recipe, {fix: {}} | {name: changes for name, changes in MENU.items() if changes}
        self.values = {"data": recipe.data, "fix": fix, **boxes}

    def fields(self) -> list[dict]:
        """The Fields of types.d.ts."""
        menus = {"data": list(DATA_SETS), "fix": list(self.menu)}
        fields = {name: {"label": name.title(), "kind": "choice", "options": menu} for name, menu in menus.items()}
        for name, (label, low, high) in BOXES.items():
            fields[name] = {"label": label, "kind": "whole", "min": low, "max": high}
        return [{"name": name, "value": self.values[name], **field} for name, field in fields.items()]

    def recipe(self, settings: dict, lr: float) -> tuple[Recipe, dict, str]:
        """(recipe, settings, title) of a choice; the title says what a fix made of the boxes."""
        one_of("fix", settings.get("fix"), self.menu)
        boxes = read(settings)
        seed = boxes.pop("seed")
        recipe = Recipe(**vars(self.base) | boxes | {"lr": lr, "data": settings.get("data")} | self.menu[settings["fix"]])
        latent = f"latent {recipe.latent}" if recipe.latent > 1 else ""
        usual = (recipe.hidden_g, recipe.hidden_d) == (512, 2048)
        widths = "" if usual else f"widths {recipe.hidden_g} and {recipe.hidden_d}"
        parts = [recipe.data, settings["fix"], f"batch {recipe.batch}", latent, widths, f"seed {seed}"]
        return recipe, dict(settings), ", ".join(filter(None, parts))
