"""Random histories of one sale, played against the services and against a simple model of what should happen."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import redis
import time_machine
from django.conf import settings
from django.db import connection, transaction
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from apps.accounts.models import User
from apps.api.idempotency import StoredAnswer, idempotent
from apps.api.responses import as_json
from apps.concerts import ranking_store
from apps.concerts.models import Performance
from apps.concerts.services import rebuild_ranking
from apps.core.transactions import run_in_transaction
from apps.outbox.draining import drain
from apps.outbox.events import CONSUMERS
from apps.outbox.models import OutboxEvent
from apps.payments.errors import BalanceLimitExceeded, InsufficientBalance
from apps.payments.models import Wallet
from apps.payments.selectors import ledger_totals, unbalanced_transactions, wallet_differences
from apps.payments.services import charge_wallet
from apps.reservations.errors import (
    AlreadyCancelled,
    CancellationClosed,
    NotEnoughSeats,
    ReservationNotFound,
)
from apps.reservations.models import Hold
from apps.reservations.selectors import seats_with_states
from apps.reservations.services import (
    cancel_reservation,
    confirm_reservation,
    expire_holds,
    extend_hold,
    hold_best_available,
    hold_seats,
    release_hold,
)
from tests.clocks import DatabaseClock
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, SeatFactory, block_seats, unblock_seats
from tests.outbox.deliveries import deliver
from tests.reservations.racing import breaches
from tests.reservations.sale_model import (
    CUSTOMERS,
    LIMIT,
    Model,
    ModelEvent,
    ModelHold,
    Refusal,
)

pytestmark = pytest.mark.slow

PRICES = [30_000, 30_000, 50_000, 50_000, 70_000]
BALANCE_LIMIT = 200_000
BEGINS_IN = timedelta(hours=26)  # two hours before it, cancelling ends
NAMES = sorted(CONSUMERS)
MICROSECOND = timedelta(microseconds=1)


class SaleMachine(RuleBasedStateMachine):
    store: redis.Redis
    traveller: time_machine.TimeMachineFixture

    holds: Bundle[ModelHold] = Bundle("holds")
    sales: Bundle[ModelHold] = Bundle("sales")

    @initialize()
    def open(self) -> None:
        self.savepoint = transaction.savepoint()
        self.clock = DatabaseClock()
        self.traveller.move_to(self.clock.now, tick=False)
        begins_at = self.clock.now + BEGINS_IN
        performance = PerformanceFactory(starts_at=begins_at, concert__seats_per_customer=LIMIT)
        self.performance = Performance.objects.select_related("concert").get(pk=performance.pk)
        seats = [
            SeatFactory(performance=performance, number=number, price=price)
            for number, price in enumerate(PRICES, start=1)
        ]
        self.seats = [seat.pk for seat in seats]
        self.customers: list[User] = CustomerFactory.create_batch(CUSTOMERS)
        self.model = Model({seat.pk: seat.price for seat in seats}, self.clock.now, begins_at)
        assert rebuild_ranking()
        self.answers: list[tuple[Callable[[], StoredAnswer], bytes]] = []
        for who in range(CUSTOMERS):
            self.charge(who, 100_000)

    def move_to(self, moment: datetime) -> None:
        self.model.now = moment
        self.clock.set(moment)
        self.traveller.move_to(moment, tick=False)

    @staticmethod
    def meet(refusal: Refusal, call: Callable[[], Any]) -> Any:
        """Return what `call` returns, or None if it is refused as it should be."""
        if refusal is None:
            return call()
        with pytest.raises(refusal):
            call()
        return None

    def keyed(self, who: int, operation: str, decide: Callable[[], Any], name: str) -> Any:
        """A use case as a view runs it: with a key, and an answer that names what it made."""
        made = []

        def render(result: Any) -> tuple[int, bytes]:
            made.append(result)
            named = getattr(result, "reservation", result)
            return 201, as_json({name: str(named.pk)})

        call = partial(
            idempotent,
            customer_id=self.customers[who].pk,
            operation=operation,
            key=str(uuid4()),
            fingerprint="",
            decide=decide,
            render=render,
        )
        self.answers.append((call, call().body))
        return made[0]

    def note_event(self, type: str, change: int) -> None:
        event = OutboxEvent.objects.exclude(pk__in=[event.id for event in self.model.events]).get()
        assert (event.type, event.occurred_at) == (type, self.model.now)
        pending = {consumer.name for consumer in CONSUMERS.values() if type in consumer.event_types}
        self.model.events.append(ModelEvent(event.pk, self.model.now, change, pending))

    # --- What people do -----------------------------------------------------------------------------------------------

    @rule(
        who=st.integers(0, CUSTOMERS - 1),
        amount=st.sampled_from([1, 30_000, 70_000, 140_000]),
    )
    def charge(self, who: int, amount: int) -> None:
        is_too_much = self.model.balances[who] + amount > BALANCE_LIMIT
        charge = partial(charge_wallet.decide, customer_id=self.customers[who].pk, amount=amount)
        call = partial(self.keyed, who, "payments.charge", charge, "transaction_id")

        charged = self.meet(BalanceLimitExceeded if is_too_much else None, call)

        if charged:
            self.model.balances[who] += amount
            assert charged.balance_after == self.model.balances[who]

    @rule(
        target=holds,
        who=st.integers(0, CUSTOMERS - 1),
        numbers=st.lists(
            st.integers(0, len(PRICES) - 1), min_size=1, max_size=LIMIT + 1, unique=True
        ),
    )
    def hold(self, who: int, numbers: list[int]) -> Any:
        seats = [self.seats[number] for number in numbers]
        refusal = self.model.refusal_to_buy(who, len(seats)) or self.model.refusal_of_seats(seats)
        service = partial(
            hold_seats, seat_ids=seats, performance_id=self.performance.pk, admission=None
        )
        call = partial(service, customer_id=self.customers[who].pk)

        held = self.meet(refusal, partial(run_in_transaction, call))

        return self.model.add(held.hold, who, seats) if held else multiple()

    @rule(target=holds, who=st.integers(0, CUSTOMERS - 1), quantity=st.integers(1, LIMIT))
    def hold_best(self, who: int, quantity: int) -> Any:
        free = self.model.free()
        is_too_few = len(free) < quantity
        refusal = self.model.refusal_to_buy(who, quantity) or (
            NotEnoughSeats if is_too_few else None
        )
        service = partial(hold_best_available, quantity=quantity, grade=None, admission=None)
        call = partial(
            service, customer_id=self.customers[who].pk, performance_id=self.performance.pk
        )

        held = self.meet(refusal, partial(run_in_transaction, call))

        if held is None:
            return multiple()
        chosen = [seat.seat_id for seat in held.seats]
        assert len(chosen) == quantity
        assert set(chosen) <= set(free)
        if any(seat + 1 in free for seat in free):  # the ids follow each other as the seats do
            assert chosen[-1] - chosen[0] == quantity - 1
        return self.model.add(held.hold, who, chosen)

    @rule(held=holds, is_own=st.sampled_from([True, True, True, False]))
    def release(self, held: ModelHold, is_own: bool) -> None:
        who = held.who if is_own else (held.who + 1) % CUSTOMERS
        refusal = held.refusal(who, self.model.now)
        call = partial(release_hold, customer_id=self.customers[who].pk, hold_id=held.id)

        if self.meet(refusal, call):
            held.status = "RELEASED"

    @rule(held=holds, is_own=st.sampled_from([True, True, True, False]))
    def extend(self, held: ModelHold, is_own: bool) -> None:
        who = held.who if is_own else (held.who + 1) % CUSTOMERS
        refusal = held.refusal_to_extend(who, self.model.now, self.model.begins_at)
        call = partial(extend_hold, customer_id=self.customers[who].pk, hold_id=held.id)

        if extended := self.meet(refusal, call):
            held.is_extended = True
            held.expires_at = min(held.expires_at + settings.HOLD_TIME, self.model.begins_at)
            assert extended.hold.expires_at == held.expires_at

    @rule(target=sales, held=holds, is_own=st.sampled_from([True, True, True, False]))
    def confirm(self, held: ModelHold, is_own: bool) -> Any:
        who = held.who if is_own else (held.who + 1) % CUSTOMERS
        refusal = held.refusal(who, self.model.now)
        if refusal is None and self.model.balances[who] < held.price:
            refusal = InsufficientBalance
        pay = partial(
            confirm_reservation.decide, customer_id=self.customers[who].pk, hold_id=held.id
        )
        call = partial(self.keyed, who, "reservations.confirm", pay, "reservation_id")

        confirmation = self.meet(refusal, call)

        if confirmation is None:
            return multiple()
        held.status = "CONFIRMED"
        held.reservation_id = confirmation.reservation.pk
        self.model.balances[who] -= held.price
        assert confirmation.balance == self.model.balances[who]
        self.note_event("reservation.confirmed", 1)
        return held

    @rule(target=sales, who=st.integers(0, CUSTOMERS - 1), quantity=st.integers(1, LIMIT))
    def buy(self, who: int, quantity: int) -> Any:
        held = self.hold_best(who, quantity)
        return self.confirm(held, True) if isinstance(held, ModelHold) else multiple()

    @rule(held=sales, is_own=st.sampled_from([True, True, True, False]))
    def cancel(self, held: ModelHold, is_own: bool) -> None:
        who = held.who if is_own else (held.who + 1) % CUSTOMERS
        refusal: Refusal = None
        if not is_own:
            refusal = ReservationNotFound
        elif held.is_cancelled:
            refusal = AlreadyCancelled
        elif self.model.now > self.model.begins_at - settings.CANCELLATION_WINDOW:
            refusal = CancellationClosed
        customer_id, reservation_id = self.customers[who].pk, held.reservation_id
        cancel = partial(cancel_reservation.decide, customer_id=customer_id)
        decide = partial(cancel, reservation_id=reservation_id)
        call = partial(self.keyed, who, "reservations.cancel", decide, "reservation_id")

        cancellation = self.meet(refusal, call)

        if cancellation:
            held.is_cancelled = True
            self.model.balances[who] += held.price
            assert cancellation.refunded_amount == held.price
            assert cancellation.balance == self.model.balances[who]
            self.note_event("reservation.cancelled", -1)

    @rule(number=st.integers(0, 30))
    def repeat(self, number: int) -> None:
        """The same call with the same key: the same bytes, and nothing happens."""
        call, body = self.answers[number % len(self.answers)]

        again = call()

        assert (again.body, again.is_replay) == (body, True)

    # --- What happens by itself, and what staff do --------------------------------------------------------------------

    @rule(span=st.sampled_from([1, 10, 60, 299, 300, 3_600]))
    def time(self, span: int) -> None:
        self.move_to(self.model.now + timedelta(seconds=span))

    @rule(
        held=holds,
        late=st.sampled_from([-MICROSECOND, timedelta(0), MICROSECOND]),
        attempt=st.sampled_from(["", "release", "confirm", "extend"]),
    )
    def meet_the_end_of_a_hold(self, held: ModelHold, late: timedelta, attempt: str) -> None:
        self.move_to(max(self.model.now, held.expires_at + late))
        if attempt:
            getattr(self, attempt)(held, True)

    @rule()
    def sweep(self) -> None:
        assert expire_holds() == self.model.sweep()

    @rule(number=st.integers(0, len(PRICES) - 1), is_blocked=st.booleans())
    def block(self, number: int, is_blocked: bool) -> None:
        seat = self.seats[number]
        is_other = (seat in self.model.blocked) != is_blocked
        changed = is_other and seat not in self.model.claimed()
        self.model.blocked ^= {seat} if changed else set()

        assert (block_seats if is_blocked else unblock_seats)(seat_ids=[seat]) == changed

    @rule(number=st.integers(0, 30), consumer=st.sampled_from(NAMES))
    def deliver(self, number: int, consumer: str) -> None:
        """In any order, and again and again."""
        if not self.model.events:
            return
        event = self.model.events[number % len(self.model.events)]
        is_pending = consumer in event.pending
        event.pending.discard(consumer)

        assert deliver(consumer=consumer, event_id=event.id) is is_pending

    @rule(consumer=st.sampled_from(NAMES))
    def relay(self, consumer: str) -> None:
        due = [event for event in self.model.events if consumer in event.pending]
        for event in due:
            event.pending.discard(consumer)

        assert drain(consumer=consumer).settled == len(due)

    # --- What is true after every step --------------------------------------------------------------------------------

    @invariant()
    def customers_see_what_the_model_says(self) -> None:
        for who in (0, 1):
            states = seats_with_states(
                performance_id=self.performance.pk, customer_id=self.customers[who].pk
            )
            seen = {state.seat_id: (state.status, state.held_by_me) for state in states}
            assert seen == self.model.states(who)
        assert dict(Hold.objects.values_list("pk", "status")) == {
            hold.id: hold.status for hold in self.model.holds
        }

    @invariant()
    def the_books_balance(self) -> None:
        balances = dict(Wallet.objects.values_list("customer_id", "balance"))
        assert [balances.get(customer.pk, 0) for customer in self.customers] == self.model.balances
        assert wallet_differences() == []
        assert unbalanced_transactions() == []
        totals = ledger_totals()
        assert totals.adds_up
        sold = [hold for hold in self.model.holds if hold.reservation_id]
        assert totals.paid == sum(hold.price for hold in sold)
        assert totals.refunded == sum(hold.price for hold in sold if hold.is_cancelled)
        # The triggers that wait for a commit, which never comes here.
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")

    @invariant()
    def the_ranking_counts_what_was_delivered(self) -> None:
        sums = ranking_store.read()
        assert sums
        counted = sum(event.change for event in self.model.events if "ranking" not in event.pending)
        assert sums.reservations.get(self.performance.concert_id, 0) == counted
        assert OutboxEvent.objects.count() == len(self.model.events)

    def teardown(self) -> None:
        """Everything is delivered and checked; then the next history has database and store to itself."""
        if not hasattr(self, "model"):
            return
        self.move_to(self.model.now + timedelta(days=1))
        for consumer in NAMES:
            drain(consumer=consumer)
        claimed = self.model.claimed()
        sold = {seat for seat, hold in claimed.items() if hold.status == "CONFIRMED"}
        is_sold_out = bool(sold) and set(self.seats) <= sold | self.model.blocked
        self.performance.refresh_from_db()
        ranked, found = ranking_store.read(), breaches()
        transaction.savepoint_rollback(self.savepoint)
        self.store.flushall()
        assert found == []
        assert ranked
        assert sum(ranked.reservations.values()) == len({claimed[seat].id for seat in sold})
        assert (self.performance.sold_out_at is not None) == is_sold_out


@pytest.mark.django_db
def test_no_history_differs_from_the_model(
    store: redis.Redis,
    time_machine: time_machine.TimeMachineFixture,
    settings: Any,
) -> None:
    settings.BALANCE_LIMIT = BALANCE_LIMIT
    SaleMachine.store, SaleMachine.traveller = store, time_machine

    run_state_machine_as_test(
        SaleMachine,
        settings=hypothesis_settings(
            max_examples=20,
            stateful_step_count=40,
            deadline=timedelta(seconds=30),
            suppress_health_check=list(HealthCheck),
        ),
    )
