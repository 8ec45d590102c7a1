"""Foretell when the queue of a room will be empty, by how long its visits have lasted lately."""

from dataclasses import dataclass

from apps.queue.core.room import SECOND, Figures


@dataclass(frozen=True, slots=True)
class Forecast:
    """`per_minute` is how many visitors a minute get a turn, `seconds` how long it takes until no visitor waits; 0 if none does."""

    per_minute: float
    seconds: float


def forecast(figures: Figures, *, capacity: int, per_minute: int | None) -> Forecast:
    """Return how fast a queue would empty under a policy, if no visitor joined any more; `per_minute` is its limit, None without one.

    Turns free up at capacity / length of a visit (Little's law), as `waits_for` in `core/scripts/common.lua` tells visitors.
    """
    mean_visit = max(figures.mean_visit / SECOND, 1.0)
    by_turns = capacity * 60 / mean_visit
    free = max(0, capacity - figures.active)
    seconds = max(0, figures.waiting - free) * 60 / by_turns
    if per_minute is None:
        return Forecast(by_turns, seconds)
    return Forecast(min(by_turns, per_minute), max(seconds, figures.waiting * 60 / per_minute))
