"""A hold that comes while staff delete or correct its hall: one of the two loses, and is told so."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError

from apps.accounts.models import User
from apps.concerts import corrections
from apps.concerts.errors import PerformanceNotFound
from apps.concerts.models import Grade, Performance, Seat
from apps.concerts.services import generate_seats
from apps.core.deletion import DeletionRefused
from apps.core.transactions import run_in_transaction
from apps.reservations.errors import SeatAlreadyHeld
from apps.reservations.models import Hold, SeatClaim
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import hold
from tests.protections import unlock
from tests.reservations.racing import (
    PATIENCE,
    Elsewhere,
    breaches,
    outcome_of,
    pause_before,
    wait_until_blocked,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def performance() -> Performance:
    return PerformanceFactory(seats=3)


@pytest.fixture
def customer() -> User:
    return CustomerFactory()


def first_seat(performance: Performance) -> Seat:
    return Seat.objects.of_performance(performance.pk).in_map_order()[0]


def delete(performance: Performance) -> Any:
    call = partial(corrections.delete_performances, ids=[performance.pk])
    return run_in_transaction(call)


def reprice(performance: Performance) -> int:
    return corrections.correct_prices(
        performance_id=performance.pk,
        prices={Grade.R: 10_000},
        seat_map_version=performance.seat_map_version,
    )


def pause_in(monkeypatch: pytest.MonkeyPatch, step: str) -> tuple[threading.Event, threading.Event]:
    """Stop a correction right before one of its steps, when it has its locks."""
    is_there, may_go_on = threading.Event(), threading.Event()
    original: Callable[..., Any] = getattr(corrections, step)

    def pause(*args: Any, **kwargs: Any) -> Any:
        is_there.set()
        assert may_go_on.wait(PATIENCE)
        return original(*args, **kwargs)

    monkeypatch.setattr(corrections, step, pause)
    return is_there, may_go_on


class TestDeletionAndHold:
    def test_a_hold_is_refused_while_its_date_is_deleted(
        self,
        performance: Performance,
        customer: User,
        elsewhere: Elsewhere,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        seat = first_seat(performance)
        is_there, may_go_on = pause_in(monkeypatch, "delete_rows")
        deletion = elsewhere(partial(delete, performance))
        assert is_there.wait(PATIENCE)

        with pytest.raises(SeatAlreadyHeld) as refused:
            hold(customer, [seat])
        may_go_on.set()
        outcome_of(deletion)

        assert refused.value.retry_after == 1
        with pytest.raises(PerformanceNotFound):
            hold(customer, [seat])
        assert not Seat.objects.exists()
        assert not Hold.objects.exists()
        assert breaches() == []

    def raced(
        self,
        performance: Performance,
        customer: User,
        elsewhere: Elsewhere,
        monkeypatch: pytest.MonkeyPatch,
    ) -> tuple[Any, Any]:
        """Let a deletion begin when a hold has found its seat free, and the hold go on once the deletion waits for it."""
        is_there, may_go_on = pause_before(monkeypatch, "hold")
        held: Future[Any] = elsewhere(partial(hold, customer, [first_seat(performance)]))
        assert is_there.wait(PATIENCE)
        deletion = elsewhere(partial(delete, performance))
        wait_until_blocked()
        may_go_on.set()
        return outcome_of(held), outcome_of(deletion)

    def test_a_deletion_waits_for_a_hold_and_is_refused(
        self,
        performance: Performance,
        customer: User,
        elsewhere: Elsewhere,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        held, deletion = self.raced(performance, customer, elsewhere, monkeypatch)

        assert isinstance(held, Hold)
        assert isinstance(deletion, DeletionRefused)
        assert "seat claims: 1" in deletion.reason
        assert (Seat.objects.count(), SeatClaim.objects.count()) == (3, 1)
        assert breaches() == []

    def test_without_its_lock_only_the_reference_keeps_the_seats(
        self,
        performance: Performance,
        customer: User,
        elsewhere: Elsewhere,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        unlock(monkeypatch, "lock_halls")

        held, deletion = self.raced(performance, customer, elsewhere, monkeypatch)

        # It had counted no claim, so the race is real.
        assert isinstance(held, Hold)
        assert isinstance(deletion, DeletionRefused)
        assert isinstance(deletion.__cause__, IntegrityError)
        assert (Seat.objects.count(), SeatClaim.objects.count()) == (3, 1)

    def test_without_any_lock_the_hold_finds_its_date_gone_in_the_end(
        self,
        performance: Performance,
        customer: User,
        elsewhere: Elsewhere,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        unlock(monkeypatch, "lock_halls", "lock_seats")
        is_there, may_go_on = pause_before(monkeypatch, "hold")
        held: Future[Any] = elsewhere(partial(hold, customer, [first_seat(performance)]))
        assert is_there.wait(PATIENCE)

        delete(performance)
        may_go_on.set()

        # The commit of the hold was refused for its references, and another attempt looked again.
        assert isinstance(outcome_of(held), PerformanceNotFound)
        assert not Hold.objects.exists()


class TestDeletionAndNewSeats:
    def test_seats_that_came_after_the_locks_are_not_deleted(
        self, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        performance = PerformanceFactory()
        original: Any = vars(corrections)["fetch_all"]

        def fetch_and_be_overtaken(*args: Any) -> Any:
            rows = original(*args)
            outcome_of(elsewhere(partial(generate_seats, performance_id=performance.pk)))
            return rows

        monkeypatch.setattr(corrections, "fetch_all", fetch_and_be_overtaken)

        with pytest.raises(DeletionRefused):
            delete(performance)

        assert Seat.objects.count() == 50


class TestPricesAndHold:
    def test_a_hold_is_refused_while_prices_are_corrected(
        self,
        performance: Performance,
        customer: User,
        elsewhere: Elsewhere,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        is_there, may_go_on = pause_in(monkeypatch, "_set_prices")
        correction = elsewhere(partial(reprice, performance))
        assert is_there.wait(PATIENCE)

        with pytest.raises(SeatAlreadyHeld):
            hold(customer, [first_seat(performance)])
        may_go_on.set()

        assert outcome_of(correction) == 3
        assert hold(customer, [first_seat(performance)]).total_price == 10_000

    def test_a_correction_waits_for_a_hold_that_keeps_its_price(
        self,
        performance: Performance,
        customer: User,
        elsewhere: Elsewhere,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        is_there, may_go_on = pause_before(monkeypatch, "hold")
        held: Future[Any] = elsewhere(partial(hold, customer, [first_seat(performance)]))
        assert is_there.wait(PATIENCE)
        correction = elsewhere(partial(reprice, performance))
        wait_until_blocked()
        may_go_on.set()

        assert outcome_of(held).total_price == 50_000
        assert outcome_of(correction) == 3
        assert set(Seat.objects.values_list("price", flat=True)) == {10_000}
        assert SeatClaim.objects.get().price == 50_000
        assert breaches() == []

    def test_without_the_locks_a_hold_has_the_wrong_price_after_its_correction(
        self,
        performance: Performance,
        customer: User,
        elsewhere: Elsewhere,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        unlock(monkeypatch, "lock_halls", "lock_seats")
        is_there, may_go_on = pause_before(monkeypatch, "hold")
        held: Future[Any] = elsewhere(partial(hold, customer, [first_seat(performance)]))
        assert is_there.wait(PATIENCE)

        assert reprice(performance) == 3
        may_go_on.set()

        assert outcome_of(held).total_price == 50_000
