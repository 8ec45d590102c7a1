"""The hot queries that `explain.py` explains, each with the function of the project that sends it.

They read rows that `dataset.sql` makes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.test import APIRequestFactory

from apps.accounts.authentication import AccessTokenAuthentication
from apps.api.idempotency import stored_answer
from apps.api.operations import Operation
from apps.concerts import selectors as concerts
from apps.concerts.models import Performance
from apps.concerts.selectors import RankingWindow
from apps.concerts.selectors.concerts import _price_range
from apps.concerts.services import _last_sale_at
from apps.core.database import fetch_all
from apps.outbox import draining
from apps.outbox.events import CONSUMERS
from apps.payments.models import LedgerTransaction
from apps.payments.selectors import transactions_of_customer
from apps.queue.services.exit_log import ends_since
from apps.queue.services.gate import Admission
from apps.reservations import selectors as reservations
from apps.reservations.models import Reservation
from apps.reservations.services import best_available, expiring, holding


@dataclass(frozen=True)
class Case:
    """`call` sends the statement that contains `text`; any of `indexes` makes it fast."""

    title: str
    indexes: tuple[str, ...]
    text: str
    call: Callable[[], object]


def hot_queries(performance: Performance, *, customer_id: int, bearer: str) -> Iterator[Case]:
    """Yield the cases for a customer at a date; `bearer` is the access token of a login."""
    now = timezone.now()
    payment = _payments().values_list("reference", flat=True).first()
    admission = Admission(
        concert_id=performance.concert_id,
        customer_id=customer_id,
        generation=1,
        slot=1,
        admitted_at=now,
        lease_until=now,
        new_holds_until=now,
        seen_at=now,
    )
    seats = {
        "performance_id": performance.pk,
        "seat_ids": [seat.pk for seat in concerts.seats_of(performance.pk)[:2]],
    }
    request = APIRequestFactory().get("/", HTTP_AUTHORIZATION=f"Bearer {bearer}")

    yield Case(
        "The login of every call",
        ("access_token_hash_unique",),
        "accounts_accesstoken",
        lambda: AccessTokenAuthentication().authenticate(request),
    )
    yield Case(
        "Seats of a hall of 5,000, in seat-map order",
        ("seat_once_per_performance", "seat_price_range"),
        "concerts_seat",
        lambda: list(concerts.seats_of(performance.pk)),
    )
    yield Case(
        "Seats that are taken in that hall",
        ("seat_claims_open", "hold_may_claim"),
        "reservations_seatclaim",
        lambda: reservations.seats_with_states(
            performance_id=performance.pk, customer_id=customer_id
        ),
    )
    yield Case(
        "Claims on the seats of a hold request",
        ("seat_claimed_once", "seat_claims_of_seat"),
        "reservations_seatclaim",
        lambda: fetch_all(holding.SQL["read_seats"], seats),
    )
    yield Case(
        "Seats that a customer has of a performance",
        ("hold_of_customer", "seat_claims_open"),
        "reservations_seatclaim",
        lambda: fetch_all(*holding.customer_lock(customer_id, performance.pk, admission)[1]),
    )
    yield Case(
        "Best available: four seats side by side",
        ("seat_claims_open", "hold_may_claim"),
        "reservations_seatclaim",
        lambda: best_available._choose(
            best_available.Wanted(performance.pk, 4, None, with_wheelchair=False), at=now
        ),
    )
    yield Case(
        "Sweep: holds whose time is over",
        ("hold_to_expire",),
        "reservations_hold",
        expiring._expire_batch,
    )
    yield Case(
        "A customer's reservations, newest first",
        ("reservation_of_customer",),
        "reservations_reservation",
        lambda: list(Reservation.objects.of_customer(customer_id).newest_first()[:20]),
    )
    yield Case(
        "A customer's money, newest first",
        ("ledger_transaction_sequence_unique",),
        "payments_ledgertransaction",
        lambda: list(transactions_of_customer(customer_id=customer_id)[:20]),
    )
    yield Case(
        "The payment that a refund refers to",
        ("ledger_one_payment_per_reference",),
        "payments_ledgertransaction",
        lambda: _payments().filter(reference=payment).first(),
    )
    yield Case(
        "The answer kept for an Idempotency-Key",
        ("idempotency_key_once",),
        "api_idempotencyrecord",
        lambda: stored_answer(
            customer_id=customer_id, operation=Operation.CONFIRM, key="unknown", fingerprint=""
        ),
    )
    yield Case(
        "Deliveries that are due for a consumer",
        ("event_delivery_pending",),
        "outbox_eventdelivery",
        lambda: draining._claim(CONSUMERS["external_sync"]),
    )
    yield Case(
        "Ranking of a day, from the table",
        ("ranking_entry_day",),
        "concerts_rankingentry",
        lambda: concerts.recorded_reservations(RankingWindow.DAY),
    )
    yield Case(
        "Ranking of all time, from the table",
        ("ranking_entry_concert",),
        "concerts_rankingentry",
        lambda: concerts.recorded_reservations(RankingWindow.ALL),
    )
    yield Case(
        "The last sale of a performance",
        ("ranking_entry_performance",),
        "concerts_rankingentry",
        lambda: _last_sale_at(5),
    )
    yield Case(
        "Lowest and highest price of a concert",
        ("seat_price_range",),
        "concerts_seat",
        lambda: _price_range(performance.concert_id),
    )
    yield Case(
        "Visits that ended lately (healing)",
        ("queue_exit_recent",),
        "queue_queueexit",
        lambda: list(
            ends_since(now - timedelta(minutes=10), concert_id=performance.concert_id, generation=1)
        ),
    )


def _payments() -> QuerySet[LedgerTransaction]:
    return LedgerTransaction.objects.filter(type=LedgerTransaction.Type.PAYMENT)
