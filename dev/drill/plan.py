"""Plan of a drill: drawn from the seed before anything starts, so that a seed names one drill."""

import random
from collections.abc import Sequence

from dev.drill.faults import FAULTS, PlannedFault


def make_plan(*, seed: int, names: Sequence[str] = (), seconds: float) -> list[PlannedFault]:
    """Return all faults, or those of `names`, in the order that `seed` gives them.

    A fault has the same times whichever others are in the plan.
    """
    order = sorted(FAULTS)
    random.Random(seed).shuffle(order)
    return [_planned(name, seed, seconds) for name in order if name in (names or FAULTS)]


def _planned(name: str, seed: int, seconds: float) -> PlannedFault:
    dice = random.Random(f"{seed} {name}")
    begins_after = seconds * dice.uniform(0.15, 0.3)
    drawn = seconds * dice.uniform(0.4, 0.5)
    lasts = max(drawn, FAULTS[name].lasts_min)
    blows = sorted(lasts * dice.uniform(0, 0.9) for _ in range(FAULTS[name].blows))
    return PlannedFault(
        name=name,
        load_seconds=round(seconds + lasts - drawn, 2),
        begins_after=round(begins_after, 2),
        lasts=round(lasts, 2),
        blows=tuple(round(blow, 2) for blow in blows),
        seed=dice.randrange(2**32),
    )
