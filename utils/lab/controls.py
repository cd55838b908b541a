"""What the lab's controls offer, and the Recipe that a choice of theirs means. Uses recipe and its fixes."""

from __future__ import annotations

from utils.checks import number, of_type, one_of, whole
from utils.data import DATA_SETS
from utils.recipe import FIXES, RECOMMENDED, Recipe

MENU = FIXES | {"recommended": RECOMMENDED}  # one fix at a time, or what the series recommends
BOXES = {"batch": (2, 8192), "seed": (0, 2**32 - 1), "latent": (1, 1024), "hidden_g": (1, 8192), "hidden_d": (1, 8192)}
LABELS = {"hidden_g": "Width of G", "hidden_d": "Width of D"}


def rate(lr) -> float:
    """A learning rate that the slider has, to its last digit."""
    return number("the lab's learning rate", lr, at_least=1e-6, at_most=0.1)


class Controls:
    """The controls of a lab whose own recipe this is: `values` are what they show at the start."""

    def __init__(self, recipe: Recipe, seed: int):
        of_type("recipe", recipe, Recipe, "a Recipe")
        self.lr, boxes = rate(recipe.lr), {"seed": seed} | {name: getattr(recipe, name) for name in BOXES if name != "seed"}
        boxes = {name: whole(f"the lab's {name}", boxes[name], *limits) for name, limits in BOXES.items()}
        own = {"lr": recipe.lr, "data": recipe.data} | {name: value for name, value in boxes.items() if name != "seed"}
        fix = next((fix for fix, changes in MENU.items() if Recipe(**own | changes) == recipe), None)
        self.base, self.menu = Recipe(), MENU
        if fix is None:  # one option more, which the fixes are applied to
            fix = "own recipe: " + ", ".join(f"{name} {value}" for name, value in recipe.changes.items() if name not in own)
            self.base, self.menu = recipe, {fix: {}} | {name: changes for name, changes in MENU.items() if changes}
        self.values = {"data": recipe.data, "fix": fix, **boxes}

    def fields(self) -> list[dict]:
        """The Fields of types.d.ts."""
        menus = {"data": list(DATA_SETS), "fix": list(self.menu)}
        kinds = {name: {"kind": "choice", "options": options} for name, options in menus.items()}
        kinds |= {name: {"kind": "whole", "min": low, "max": high} for name, (low, high) in BOXES.items()}
        labels = {name: LABELS.get(name, name.title()) for name in self.values}
        return [{"name": name, "label": labels[name], "value": value, **kinds[name]} for name, value in self.values.items()]

    def recipe(self, settings: dict, lr: float) -> tuple[Recipe, dict, str]:
        """(recipe, settings, title) of a choice; the title says what a fix made of the boxes."""
        one_of("fix", settings.get("fix"), self.menu)
        boxes = {name: whole(name, settings.get(name), *limits) for name, limits in BOXES.items()}
        own = {"lr": lr, "data": settings.get("data")} | {name: value for name, value in boxes.items() if name != "seed"}
        recipe = Recipe(**vars(self.base) | own | self.menu[settings["fix"]])
        parts = [recipe.data, settings["fix"], f"batch {recipe.batch}"]
        parts += [f"latent {recipe.latent}"] if recipe.latent > 1 else []
        wide = (recipe.hidden_g, recipe.hidden_d) == (512, 2048)
        parts += [] if wide else [f"widths {recipe.hidden_g} and {recipe.hidden_d}"]
        return recipe, dict(settings), ", ".join([*parts, f"seed {boxes['seed']}"])
