"""Two results side by side."""

from collections.abc import Iterator, Mapping
from typing import Any

from dev.bench.bounds import BOUNDS
from dev.bench.markdown import table

# Where less is better; everywhere else more is.
LESS_IS_BETTER = (
    "_ms",
    "_seconds",
    "_failures",
    "_bytes",
    "_trips",
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
    yield f"{old['commit']} ({named(old)}, {old['taken_at'][:10]}) and {new['commit']} ({named(new)}):"
    if old["form"] != new["form"]:
        yield "They are of different forms: compare ratios to a floor at most."
    yield ""
    yield from table(
        "figure | before | now | gain",
        "lrrr",
        (
            f"{name} | {before:,g} | {value:,g} | {_gain(name, before, value)}"
            for name, value in new["figures"].items()
            if (before := old["figures"].get(name)) is not None and not name.endswith(NOT_COMPARED)
        ),
    )


def with_and_without(without: Mapping[str, Any], history: Mapping[str, Any]) -> Iterator[str]:
    """Yield a Markdown table of the bounded figures: the cost is above 1 where history makes something dearer."""
    sizes = history["history"]
    yield (
        f"{sizes['concerts']:,} past concerts, {sizes['reservations']:,} past reservations and {sizes['accounts']:,} accounts; "
        f"{named(history)}, commit `{history['commit']}`, beside {named(without)}, commit `{without['commit']}`."
    )
    yield ""
    pairs = [
        (bound, without["figures"][bound.figure], history["figures"][bound.figure])
        for bound in BOUNDS
        if bound.figure in without["figures"].keys() & history["figures"].keys()
    ]
    yield from table(
        "figure | without | with | cost",
        "lrrr",
        (
            f"{bound.what} | {before:,.3g} | {now:,.3g} | {_gain(bound.figure, now, before)}"
            for bound, before, now in pairs
            if not bound.figure.endswith(NOT_COMPARED)
        ),
    )


def named(result: Mapping[str, Any]) -> str:
    """Return the form of a result, and that it was taken with history."""
    return f"{result['form']}, with history" if result.get("history") else str(result["form"])


def _gain(name: str, before: float, now: float) -> str:
    worse, better = (before, now) if not name.endswith(LESS_IS_BETTER) else (now, before)
    return f"{better / worse:.2f}" if worse else "–"
