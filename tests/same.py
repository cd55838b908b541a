"""Are two Traces the same?"""

import numpy as np

from utils.trace import GROUPS, Trace


def same(one: Trace, other: Trace) -> bool:
    """Equal to the last bit, NaN included?"""
    groups = [{"width": {"": one.width}, **{group: getattr(one, group) for group in GROUPS}}]
    groups += [{"width": {"": other.width}, **{group: getattr(other, group) for group in GROUPS}}]
    mine, its = ({(group, name): array for group in all_ for name, array in all_[group].items()} for all_ in groups)
    return (one.recipe, one.seed, mine.keys()) == (other.recipe, other.seed, its.keys()) and all(
        mine[key].dtype == its[key].dtype and np.array_equal(mine[key], its[key], equal_nan=True) for key in mine
    )
