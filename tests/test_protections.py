"""A twin whose protection has gone must fail, and not pass without having taken anything away."""

from types import SimpleNamespace

import pytest

from tests import protections
from tests.protections import Protection, Step, after, before, change, unlock, without

ALL = {name: found for name, found in vars(protections).items() if isinstance(found, Protection)}
STEPS = {name: found for name, found in vars(protections).items() if isinstance(found, Step)}


@pytest.mark.parametrize("name", ALL)
def test_every_protection_is_there_to_be_taken_away(name, monkeypatch):
    without(monkeypatch, ALL[name])


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_every_step_is_there(step):
    assert hasattr(step.owner, step.name)


@pytest.mark.parametrize(
    "take_away",
    [
        lambda patch: unlock(patch, "lock_nothing"),
        lambda patch: unlock(patch, "read_seats"),
        lambda patch: change(patch, "lock_seats", ("FOR SHARE", "")),
        lambda patch: before(patch, "lock_nothing", print),
        lambda patch: after(patch, Step(protections, "_nothing"), print),
        lambda patch: without(patch, protections._locks("lock_nothing")),
        lambda patch: without(patch, protections._part("lock_seats", ("NOT EXISTS", "NOT EXISTS"))),
        lambda patch: without(patch, protections._value(SimpleNamespace(n=1), "n", lambda n: n)),
        lambda patch: without(patch, protections._value(protections, "_nothing", lambda n: 1)),
    ],
)
def test_what_is_not_there_is_an_error(take_away, monkeypatch):
    with pytest.raises((AssertionError, AttributeError)):
        take_away(monkeypatch)
