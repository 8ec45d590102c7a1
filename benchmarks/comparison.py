"""Two results side by side."""

from collections.abc import Iterator, Mapping
from typing import Any

# Where less is better; everywhere else more is.
LESS_IS_BETTER = (
    "_ms",
    "_seconds",
    "_failures",
    "_of_small",
    "_of_scattered",
    "queue_p95_of_hello",
)
# Counts that ought to be the same, not better.
NOT_COMPARED = ("_breaches", "_doubles", "_lost", "_errors", "_out_of_order", "_winners")


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield a Markdown table of the figures that both have: the gain is above 1 where the new result is better.

    Results of different forms are measured differently, which a line in front says.
    """
    yield f"{old['commit']} ({old['form']}, {old['taken_at'][:10]}) and {new['commit']} ({new['form']}):"
    if old["form"] != new["form"]:
        yield "They are of different forms: compare ratios to a floor at most."
    yield ""
    yield "| figure | before | now | gain |"
    yield "|---|--:|--:|--:|"
    for name, value in new["figures"].items():
        before = old["figures"].get(name)
        if before is None or name.endswith(NOT_COMPARED):
            continue
        yield f"| {name} | {before:,g} | {value:,g} | {_gain(name, before, value)} |"


def _gain(name: str, before: float, now: float) -> str:
    worse, better = (before, now) if not name.endswith(LESS_IS_BETTER) else (now, before)
    return f"{better / worse:.2f}" if worse else "–"
