"""A hold that comes while staff delete or correct its hall: one of the two loses, and is told so."""

from functools import partial

import pytest
from django.db import IntegrityError

from apps.concerts import corrections
from apps.concerts.errors import PerformanceNotFound
from apps.concerts.models import Grade, Seat
from apps.concerts.services import generate_seats
from apps.core.deletion import DeletionRefused
from apps.core.transactions import run_in_transaction
from apps.reservations.errors import SeatAlreadyHeld
from apps.reservations.models import Hold, SeatClaim
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import hold
from tests.protections import (
    DELETING_LOCKED_ROWS,
    LOCKING_A_HALL_TO_DELETE_IT,
    LOCKS_OF_HALLS,
    LOCKS_OF_SEATS,
    PRICING_LOCKED_SEATS,
    after,
    without,
)
from tests.reservations.racing import breaches, outcome_of, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


def delete(performance):
    call = partial(corrections.delete_performances, ids=[performance.pk])
    return run_in_transaction(call)


def reprice(performance):
    return corrections.correct_prices(
        performance_id=performance.pk,
        prices={Grade.R: 10_000},
        seat_map_version=performance.seat_map_version,
    )


@pytest.fixture
def holding(stopped_before, customer, seats):
    """Return a hold that has found its seat free, and stands still before it is written."""
    return lambda: stopped_before("hold", partial(hold, customer, seats[:1]))


class TestDeletionAndHold:
    def test_a_hold_is_refused_while_its_date_is_deleted(
        self, stopped_before, performance, customer, seats
    ):
        deletion = stopped_before(DELETING_LOCKED_ROWS, partial(delete, performance))

        with pytest.raises(SeatAlreadyHeld) as refused:
            hold(customer, seats[:1])
        deletion.finish()

        assert refused.value.retry_after == 1
        with pytest.raises(PerformanceNotFound):
            hold(customer, seats[:1])
        assert not Seat.objects.of_performance(performance.pk).exists()
        assert Seat.objects.exists()
        assert not Hold.objects.exists()
        assert breaches() == []

    @pytest.fixture
    def raced(self, holding, elsewhere, performance):
        """Let a deletion begin in the middle of a hold, which goes on once the deletion waits for it."""

        def race():
            holds = holding()
            deletion = elsewhere(partial(delete, performance))
            wait_until_blocked()
            return holds.finish(), outcome_of(deletion)

        return race

    def test_a_deletion_waits_for_a_hold_and_is_refused(self, raced, performance):
        held, deletion = raced()

        assert isinstance(held, Hold)
        assert isinstance(deletion, DeletionRefused)
        assert "seat claims: 1" in deletion.reason
        assert (performance.seats.count(), SeatClaim.objects.count()) == (4, 1)
        assert breaches() == []

    def test_without_its_lock_only_the_reference_keeps_the_seats(
        self, raced, performance, monkeypatch
    ):
        without(monkeypatch, LOCKS_OF_HALLS)

        held, deletion = raced()

        # It had counted no claim, so the race is real.
        assert isinstance(held, Hold)
        assert isinstance(deletion, DeletionRefused)
        assert isinstance(deletion.__cause__, IntegrityError)
        assert (performance.seats.count(), SeatClaim.objects.count()) == (4, 1)

    def test_without_any_lock_the_hold_finds_its_date_gone_in_the_end(
        self, holding, performance, monkeypatch
    ):
        without(monkeypatch, LOCKS_OF_HALLS, LOCKS_OF_SEATS)
        holds = holding()

        delete(performance)

        # The commit of the hold was refused for its references, and another attempt looked again.
        assert isinstance(holds.finish(), PerformanceNotFound)
        assert not Hold.objects.exists()


def test_seats_that_came_after_the_locks_of_a_deletion_are_not_deleted(elsewhere, monkeypatch):
    performance = PerformanceFactory()
    generate = partial(generate_seats, performance_id=performance.pk)
    after(monkeypatch, LOCKING_A_HALL_TO_DELETE_IT, lambda: outcome_of(elsewhere(generate)))

    with pytest.raises(DeletionRefused):
        delete(performance)

    assert performance.seats.count() == 50


class TestPricesAndHold:
    def test_a_hold_is_refused_while_prices_are_corrected(
        self, stopped_before, performance, customer, seats
    ):
        correction = stopped_before(PRICING_LOCKED_SEATS, partial(reprice, performance))

        with pytest.raises(SeatAlreadyHeld):
            hold(customer, seats[:1])

        assert correction.finish() == 4
        assert hold(customer, seats[:1]).total_price == 10_000

    def test_a_correction_waits_for_a_hold_that_keeps_its_price(
        self, holding, elsewhere, performance
    ):
        holds = holding()
        correction = elsewhere(partial(reprice, performance))
        wait_until_blocked()

        assert holds.finish().total_price == 50_000
        assert outcome_of(correction) == 4
        assert set(performance.seats.values_list("price", flat=True)) == {10_000}
        assert SeatClaim.objects.get().price == 50_000
        assert breaches() == []

    def test_without_the_locks_a_hold_has_the_wrong_price_after_its_correction(
        self, holding, performance, monkeypatch
    ):
        without(monkeypatch, LOCKS_OF_HALLS, LOCKS_OF_SEATS)
        holds = holding()

        assert reprice(performance) == 4

        assert holds.finish().total_price == 50_000
