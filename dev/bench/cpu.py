"""CPU time of process groups, from the counters of the operating system.

A group is a process with everything that it has started. What a child used up is added to its parent once the parent has waited
for it (`cutime` and `cstime` of proc(5)), so no time is lost with processes that end during a measurement.
"""

import resource
from collections.abc import Iterable, Mapping
from contextlib import suppress

import psutil

GENERATOR = "generator"


def cpu_seconds(groups: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Return the seconds that each group, named by its root processes, has used up so far.

    The generator's are those of all children of this process that have ended.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = {name: sum(map(_of_tree, roots)) for name, roots in groups.items()}
    return {**seconds, GENERATOR: ended.ru_utime + ended.ru_stime}


def cpu_between(
    before: Mapping[str, float], after: Mapping[str, float], *, units: int
) -> dict[str, float]:
    """Return milliseconds for one unit of work by group, and `service` for all of them but the load's two ends."""
    spent = {name: (after[name] - before[name]) * 1_000 / units for name in before}
    spent["service"] = sum(
        amount for name, amount in spent.items() if name not in (GENERATOR, "receiver", "floors")
    )
    return {name: round(amount, 4) for name, amount in spent.items()}


def _of_tree(root: int) -> float:
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(root)
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += sum(member.cpu_times()[:4])
    return total
