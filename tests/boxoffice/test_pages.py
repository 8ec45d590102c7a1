"""Pages of the admin name what they are about as people do, and lead on to it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape

from apps.accounts.models import AccessToken, User
from apps.accounts.services import issue_access_tokens
from apps.api.models import IdempotencyRecord
from apps.boxoffice.base.words import at_venue
from apps.boxoffice.models import StaffJob, StaffJobRow
from apps.concerts.models import (
    Concert,
    InventoryCategory,
    Performance,
    RankingEntry,
    Seat,
    SeatAllocation,
)
from apps.core.notices import NoticeText
from apps.outbox.draining import drain
from apps.outbox.models import DeliveryReplay, EventDelivery, OutboxEvent
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.payments.services import adjust_wallet
from apps.queue.models import PolicyChange, QueueExit, RoomNotice
from apps.queue.services import notify_visitors, set_capacity
from apps.reservations.models import Hold, HolderNotice, Reservation, SeatClaim, Ticket
from apps.reservations.services import cancel_reservation, notify_holders
from tests.boxoffice.staff import list_of, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, begin_at, keep_back
from tests.factories.jobs import job_of_staff
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold, overdue_hold, reservation
from tests.factories.visitors import admitted_visitor

pytestmark = pytest.mark.django_db

# The columns and fields shown as a green tick or a red cross: the tick is the good one of each.
GOOD = {
    "is_published",
    "on_sale",
    "is_live",
    "is_active",
    "is_for_sale",
    "is_valid",
    "returns_on_refund",
}


@pytest.fixture
def performance() -> Performance:
    return PerformanceFactory(
        seats=4,
        concert__seats_per_customer=4,
        concert__title="Paper Moons",
        concert__venue="Harbour Hall",
    )


@pytest.fixture
def customer() -> User:
    return WalletFactory(
        balance=1_000_000, customer__name="Ida Vale", customer__email="ida@example.com"
    ).customer


def text_of(staff: Client, obj: models.Model) -> str:
    answer = staff.get(page_of(obj))
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def reserved(performance: Performance, customer: User) -> Reservation:
    return reservation(customer, seats_of(performance)[:1])


def seats_of(performance: Performance) -> list[Seat]:
    return list(performance.seats.order_by("pk"))


class TestReservation:
    def test_names_concert_date_customer_seats_and_codes(
        self, staff: Client, performance: Performance, customer: User
    ) -> None:
        reserved = reservation(customer, seats_of(performance)[:2])

        text = text_of(staff, reserved)

        assert f'href="{page_of(performance.concert)}">Paper Moons</a>' in text
        assert at_venue(performance.starts_at) in text
        assert "(Asia/Seoul)" in text
        assert f'href="{page_of(customer)}">Ida Vale &lt;ida@example.com&gt;</a>' in text
        assert "100,000 won" in text
        for ticket in reserved.tickets.select_related("seat"):
            code = ticket.code
            assert f"{code[:4]} {code[4:8]} {code[8:12]} {code[12:]}" in text
            assert f"{ticket.seat} (R)" in text
        assert text.count("50,000 won") == 2

    def test_leads_to_payment_and_refund(self, staff: Client, reserved: Reservation) -> None:
        [payment] = LedgerTransaction.objects.filter(type="PAYMENT")
        assert f'href="{page_of(payment)}">payment -50,000 won</a>' in text_of(staff, reserved)

        cancel_reservation(customer_id=reserved.customer_id, reservation_id=reserved.pk)

        [refund] = LedgerTransaction.objects.filter(type="REFUND")
        text = text_of(staff, reserved)
        assert f'href="{page_of(refund)}">refund 50,000 won</a>' in text
        assert f'href="{page_of(reserved)}"' in text_of(staff, refund)

    @pytest.mark.parametrize(
        ("ahead", "words"),
        [
            (timedelta(days=9), "The customer can cancel until "),
            (timedelta(hours=5), "The customer can no longer cancel."),
            (timedelta(hours=-5), "Nothing: the performance has begun."),
        ],
    )
    def test_says_what_happens_next(
        self, staff: Client, reserved: Reservation, ahead: timedelta, words: str
    ) -> None:
        begin_at(Performance.objects.all(), timezone.now() + ahead)

        assert words in text_of(staff, reserved)

    def test_takes_as_many_queries_for_any_number_of_tickets(
        self, staff: Client, performance: Performance, customer: User
    ) -> None:
        first, *others = seats_of(performance)
        counts = []
        for seats in ([first], others):
            reserved = reservation(customer, seats)
            text_of(staff, reserved)
            with CaptureQueriesContext(connection) as captured:
                text_of(staff, reserved)
            counts.append(len(captured))

        assert counts[0] == counts[1]


class TestHold:
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (hold, "The customer can pay until "),
            (overdue_hold, "It has expired: the seats are free again."),
        ],
    )
    def test_says_what_happens_next(
        self,
        staff: Client,
        performance: Performance,
        customer: User,
        make: Callable[..., Hold],
        words: str,
    ) -> None:
        assert words in text_of(staff, make(customer, seats_of(performance)[:1]))

    def test_leads_to_what_it_became(self, staff: Client, reserved: Reservation) -> None:
        assert f'href="{page_of(reserved)}"' in text_of(staff, reserved.hold)


@pytest.fixture
def everything(performance: Performance, customer: User) -> dict[type[models.Model], models.Model]:
    """One of each kind that is only read, all about the same customer and concert."""
    reservation(customer, seats_of(performance)[:1])
    keep_back(seats_of(performance)[-1], allocated_by=customer)
    visitor = admitted_visitor(performance.concert_id)
    User.objects.filter(pk=visitor.customer.pk).update(name="Ida Vale", email="ida2@example.com")
    visitor.delete("/queue/tokens/me")
    drain(consumer="ranking")
    set_capacity(concert_id=performance.concert_id, capacity=77, staff_id=customer.pk, reason="x")
    issue_access_tokens(user_ids=[customer.pk])
    IdempotencyRecord.objects.create(
        customer=customer, operation="Test", key="k", fingerprint="", status=200, body=b""
    )
    staff = CustomerFactory(staff=True)
    adjust_wallet(customer_id=customer.pk, amount=500, reason="Goodwill", staff_id=staff.pk)
    DeliveryReplay.objects.create(
        chosen="consumer external_sync", deliveries=12, replayed_by=customer
    )
    kinds = [Hold, Reservation, SeatClaim, Ticket, QueueExit, PolicyChange, RankingEntry, Seat]
    told: dict[str, Any] = {
        "text": NoticeText(ko="안내", en="Doors at six"),
        "staff_id": staff.pk,
    }
    notify_visitors(concert_id=performance.concert_id, **told)
    notify_holders(performance_id=performance.pk, **told)
    kinds += [RoomNotice, HolderNotice]
    kinds += [Wallet, LedgerEntry, OutboxEvent, EventDelivery, IdempotencyRecord, AccessToken]
    job_of_staff(customer)
    kinds += [SeatAllocation, DeliveryReplay, StaffJob, StaffJobRow]
    made: dict[type[models.Model], Any] = {
        kind: kind._default_manager.order_by("pk").first() for kind in kinds
    }
    made[Wallet] = Wallet.objects.get(pk=customer.pk)
    made[AccessToken] = AccessToken.objects.filter(user=customer).first()
    made[LedgerEntry] = LedgerEntry.objects.filter(customer=customer).first()
    made[LedgerTransaction] = LedgerTransaction.objects.get(type="ADJUSTMENT")
    return made


# By kind: what its page links to, and words that it has.
ABOUT: dict[type[models.Model], tuple[list[type[models.Model]], list[str]]] = {
    Hold: ([Concert, Performance, User, Reservation], ["Paper Moons", "Ida Vale", "50,000 won"]),
    Reservation: ([Concert, Performance, User, Hold], ["Paper Moons", "Ida Vale", "Harbour Hall"]),
    SeatClaim: ([Concert, Performance, User, Hold, Seat], ["Ida Vale", "50,000 won"]),
    Ticket: ([Concert, Performance, User, Reservation, Seat], ["Ida Vale", "Paper Moons"]),
    QueueExit: ([Concert, User], ["Paper Moons", "left", "Waited"]),
    PolicyChange: ([User], ["Paper Moons", "capacity", "77"]),
    RankingEntry: ([Concert, Performance, OutboxEvent], ["Paper Moons"]),
    Seat: ([Concert, Performance], ["Paper Moons", "50,000 won", "For sale"]),
    SeatAllocation: (
        [Concert, Performance, Seat, InventoryCategory, User],
        ["Paper Moons", "House", "For the house"],
    ),
    Wallet: ([User, LedgerTransaction], ["Ida Vale", "950,500 won", "adjustment 500 won"]),
    LedgerTransaction: ([User], ["Ida Vale", "500 won", "Goodwill"]),
    LedgerEntry: ([User, LedgerTransaction], ["Ida Vale"]),
    OutboxEvent: ([Concert, Performance, User, Reservation], ["reservation.confirmed"]),
    EventDelivery: ([Reservation, OutboxEvent], ["reservation.confirmed"]),
    IdempotencyRecord: ([User], ["Ida Vale"]),
    AccessToken: ([User], ["Ida Vale"]),
    RoomNotice: ([User], ["Paper Moons", "Doors at six"]),
    HolderNotice: ([Concert], ["Paper Moons", "Doors at six"]),
    DeliveryReplay: ([User], ["Ida Vale", "external_sync", "12"]),
    StaffJob: ([User], ["Ida Vale", "tests.unknown", "1 refused", "Too late"]),
    StaffJobRow: ([StaffJob], ["tests.unknown", "Too late"]),
}


@pytest.mark.parametrize("kind", ABOUT, ids=lambda kind: kind.__name__)
def test_a_page_says_what_it_is_about_and_leads_there(
    staff: Client, everything: dict[type[models.Model], models.Model], kind: type[models.Model]
) -> None:
    links, words = ABOUT[kind]
    obj = everything[kind]

    answer = staff.get(page_of(obj))

    text = answer.content.decode()
    for other in links:
        path = f'href="{list_of(other)}'
        main = text.partition('id="main"')[2]
        assert any(part.partition('"')[0].endswith("/change/") for part in main.split(path)[1:]), (
            f"no link to {other.__name__}"
        )
    for word in words:
        assert escape(word) in text
    assert str(obj.pk) != answer.context["subtitle"]


def test_every_kind_that_is_only_read_is_tried_here() -> None:
    request: Any = type("Request", (), {"user": CustomerFactory(admin=True)})
    read = {
        model
        for model, model_admin in admin.site._registry.items()
        if model.__module__.startswith("apps.") and not model_admin.has_change_permission(request)
    }

    assert {kind.__name__ for kind in read} - {"JobProgress", "Receiver"} == {
        kind.__name__ for kind in ABOUT
    }


def is_icon(model_admin: Any, name: Any) -> bool:
    if callable(name):
        return bool(getattr(name, "boolean", False))
    try:
        return isinstance(model_admin.model._meta.get_field(name), models.BooleanField)
    except FieldDoesNotExist:
        return bool(getattr(getattr(model_admin, name, None), "boolean", False))


def test_a_green_tick_is_good_news(rf: Any) -> None:
    clerk = rf.get("/")
    clerk.user = CustomerFactory(staff=True)
    shown = set()
    for model_admin in admin.site._registry.values():
        columns: set[Any] = set(model_admin.get_list_display(clerk))
        made: Any = model_admin.model()
        for pages in (model_admin, *model_admin.get_inline_instances(clerk, made)):
            fields = pages.get_fieldsets(clerk, made)
            names: set[Any] = {name for _, options in fields for name in options["fields"]}
            read = set(pages.get_readonly_fields(clerk, made))
            columns |= names if not pages.has_change_permission(clerk, made) else names & read
        shown |= {name for name in columns if is_icon(model_admin, name)}

    assert shown == GOOD


def test_a_seat_that_staff_keep_back_has_the_cross(staff: Client) -> None:
    free, kept = PerformanceFactory(seats=2).seats.order_by("pk")
    keep_back(kept)

    answer = staff.get(list_of(Seat))

    by_name = admin.site._registry[Seat]
    assert by_name.is_for_sale(free) is True  # type: ignore[attr-defined]
    kept.refresh_from_db()
    assert by_name.is_for_sale(kept) is False  # type: ignore[attr-defined]
    assert "For sale" in answer.content.decode()
