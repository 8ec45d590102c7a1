"""Test what a customer reads out or a page shows, staff find by typing it; in every list, by an index."""

import unicodedata
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.contrib import admin
from django.db import connection
from django.db.models import BooleanField, Model, Q
from django.db.models.expressions import RawSQL
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import AccessToken, User
from apps.api.models import IdempotencyRecord
from apps.boxoffice.base import lookups
from apps.boxoffice.base.lists import BoundedPaginator, FoundByTyping
from apps.concerts.models import Concert, Performance, RankingEntry, Seat
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.payments.services import charge_wallet
from apps.queue.models import PolicyChange, QueueExit, RoomNotice, WaitingRoom
from apps.reservations.models import Hold, HolderNotice, Reservation, SeatClaim, Ticket
from apps.storefront.templatetags.storefront import code_groups
from tests.boxoffice.staff import list_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, RankingEntryFactory, SeatFactory
from tests.factories.queue import PolicyChangeFactory, QueueExitFactory, WaitingRoomFactory
from tests.factories.reservations import hold, reservation

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

VENUE = ZoneInfo(settings.VENUE_TIME_ZONE)
OURS = sorted(
    (model for model in admin.site._registry if model.__module__.startswith("apps.")),
    key=lambda model: model._meta.label,
)
# Of the others staff write some a day.
LONG = [model for model in OURS if model not in (HolderNotice, RoomNotice)]
LISTS_OF_CUSTOMERS = [
    (User, "pk"),
    (AccessToken, "user"),
    (Wallet, "customer"),
    (LedgerTransaction, "customer"),
    (LedgerEntry, "transaction__customer"),
    (IdempotencyRecord, "customer"),
    (Hold, "customer"),
    (SeatClaim, "hold__customer"),
    (Reservation, "customer"),
    (Ticket, "reservation__customer"),
    (QueueExit, "customer"),
    (PolicyChange, "changed_by"),
]
LISTS_OF_CONCERTS = [
    (Concert, "pk"),
    (Performance, "concert"),
    (Seat, "performance__concert"),
    (RankingEntry, "concert"),
    (WaitingRoom, "concert"),
    (QueueExit, "concert"),
    (PolicyChange, "room__concert"),
    (Hold, "performance__concert"),
    (SeatClaim, "performance__concert"),
    (Reservation, "performance__concert"),
    (Ticket, "reservation__performance__concert"),
]
LISTS_OF_SEATS = [
    (Seat, "pk"),
    (SeatClaim, "seat"),
    (Ticket, "seat"),
    (Reservation, "tickets__seat"),
    (Hold, "claims__seat"),
]


def found(staff: Client, model: type[Model], text: str, **query: str) -> set:
    page = staff.get(list_of(model), {"q": text, **query})
    assert page.status_code == 200
    return set(page.context["cl"].queryset.values_list("pk", flat=True))


def named(value: object) -> str:
    return getattr(value, "__name__", "")


def expect_found(staff: Client, model: type[Model], texts: list[str], **by: object) -> None:
    """Expect that each text finds the rows that belong to an object, and no other."""
    theirs = set(model._default_manager.filter(**by).values_list("pk", flat=True))
    assert theirs
    assert {text: found(staff, model, text) for text in texts} == dict.fromkeys(texts, theirs)


def sold(*, name: str, title: str, section: str, row: str = "A", number: int = 1) -> Reservation:
    """Leave traces of one customer at one seat of one concert in every table."""
    customer = CustomerFactory(name=name)
    performance = PerformanceFactory(concert__title=title)
    seat = SeatFactory(performance=performance, section=section, row=row, number=number)
    AccessToken.objects.create(
        user=customer,
        token_hash=name.encode()[:32],
        created_at=timezone.now(),
        expires_at=timezone.now() + timedelta(hours=12),
    )
    charge_wallet(customer_id=customer.pk, amount=100_000)
    IdempotencyRecord.objects.create(
        customer=customer, operation="X", key=name, fingerprint="", status=200, body=b""
    )
    room = WaitingRoomFactory(concert=performance.concert)
    QueueExitFactory(customer=customer, concert=performance.concert)
    PolicyChangeFactory(room=room, changed_by=customer)
    RankingEntryFactory(performance=performance)
    return reservation(customer, [seat])


@pytest.fixture
def wanted() -> Reservation:
    sold(name="Joon Park", title="Glass Sun", section="Balcony", row="C", number=9)
    return sold(name="김민아", title="Paper Lanterns", section="1F Centre", row="A", number=12)


class TestEveryList:
    @pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
    def test_says_how_its_rows_are_found(self, staff, model):
        model_admin = admin.site._registry[model]

        assert isinstance(model_admin, FoundByTyping)
        assert model_admin.lookups
        assert issubclass(model_admin.paginator, BoundedPaginator)
        assert not model_admin.show_full_result_count
        page = staff.get(list_of(model)).content.decode()
        assert f'placeholder="{model_admin.search_help_text}"' in page

    @pytest.mark.parametrize("model", LONG, ids=lambda model: model.__name__)
    def test_reads_no_table_as_a_whole(self, staff, wanted, model):
        """Each kind of text in each list, with what it looks up in other tables."""
        texts = [
            "김민아",
            "mina@example.com",
            "mina",
            "Paper Lanterns",
            "1F Centre A 12",
            "yesterday",
        ]
        texts += ["Paper Lanterns, A 12", str(wanted.pk), str(wanted.pk)[:8], "12"]
        texts += ["ABCD EFGH IJKL MNOP"]
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            for text in texts:
                with CaptureQueriesContext(connection) as queries:
                    found(staff, model, text)
                for query in queries:
                    if "concerts_" in query["sql"] or f'"{model._meta.db_table}"' in query["sql"]:
                        cursor.execute(f"EXPLAIN {query['sql']}")
                        plan = "\n".join(line for (line,) in cursor.fetchall())
                        assert not scanned(plan), f"{text}: {query['sql']}\n{plan}"

    @pytest.mark.django_db(transaction=True)
    def test_is_not_a_server_error_for_taking_too_long(self, staff, monkeypatch):
        class Slow:
            label = "whatever takes long"

            def find(self, text: str) -> Q:
                return Q(RawSQL("pg_sleep(9) IS NULL", [], BooleanField()))

        monkeypatch.setattr(admin.site._registry[User], "lookups", (Slow(),))
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '100ms'")
        try:
            page = staff.get(list_of(User), {"q": "anything"})
        finally:
            connection.close()

        assert page.status_code == 200
        assert "This took too long" in page.content.decode()
        assert "Whatever takes long" in page.content.decode()
        assert 'value="anything"' in page.content.decode()


def scanned(plan: str) -> list[str]:
    return [line for line in plan.splitlines() if "Seq Scan" in line]


class TestPeople:
    @pytest.mark.parametrize(("model", "path"), LISTS_OF_CUSTOMERS, ids=named)
    def test_are_found_by_name_and_address(self, staff, wanted, model, path):
        texts = [
            "김민아",
            "민아",
            unicodedata.normalize("NFD", "김민아"),
            "김 민아",
            wanted.customer.email,
            wanted.customer.email.upper(),
            wanted.customer.email.partition("@")[0],
            f"김민아 <{wanted.customer.email}>",
        ]

        expect_found(staff, model, texts, **{path: wanted.customer_id})

    def test_of_latin_names_need_neither_order_nor_accents(self, staff):
        customer = CustomerFactory(name="Zoë Müller-Kim")

        for text in ("zoe muller", "Kim, Zoë", "MÜLLER", "mullerkim"):
            assert found(staff, User, text) == {customer.pk}

    def test_too_many_are_asked_for_more(self, staff, monkeypatch):
        monkeypatch.setattr(lookups, "NAMED_MAX", 1)
        for name in ("Kim Mina", "Kim Joon"):
            sold(name=name, title=name, section="A")

        page = staff.get(list_of(Hold), {"q": "Kim"})

        assert page.context["cl"].result_count == 0
        assert "entries match this" in page.content.decode()
        assert len(found(staff, User, "Kim")) == 2


class TestConcerts:
    @pytest.mark.parametrize(("model", "path"), LISTS_OF_CONCERTS, ids=named)
    def test_are_found_as_customers_find_them(self, staff, wanted, model, path):
        texts = ["Paper Lanterns", "paperlanterns", "papper"]

        expect_found(staff, model, texts, **{path: wanted.performance.concert_id})


class TestSeats:
    @pytest.mark.parametrize(("model", "path"), LISTS_OF_SEATS, ids=named)
    def test_are_found_as_they_are_printed(self, staff, wanted, model, path):
        seat = wanted.tickets.get().seat
        texts = [
            "1F Centre A 12",
            "1f centre a12",
            "1F Centre A-12",
            "1F Centre, row A, seat 12",
            "Section 1F Centre, Row A, Seat 12",
            "1F Centre 구역 A열 12번",
            "1F Centre A",
            "1F Centre",
            "1F-Centre / A / 12",
            "１Ｆ Ｃｅｎｔｒｅ Ａ １２",
            "A 12",
            "row A, seat 12",
            "Paper Lanterns A 12",
            "Paper Lanterns, 1F Centre A 12",
            "Paper Lanterns, row A, seat 12",
        ]

        expect_found(staff, model, texts, **{path: seat.pk})

    @pytest.mark.parametrize("text", ["1F Centre A 1", "1F Cent", "Glass Sun, A 12", "1F Centre B"])
    def test_are_not_found_by_another_name(self, staff, wanted, text):
        assert found(staff, Seat, text) == set()

    def test_of_the_demo_are_found(self, staff):
        seat = SeatFactory(section="Stalls L", row="A", number=1)
        SeatFactory(section="Stalls L", row="A", number=10, performance=seat.performance)

        assert found(staff, Seat, "Stalls L A 1") == {seat.pk}
        assert len(found(staff, Seat, "Stalls L A")) == 2


class TestCodes:
    @pytest.mark.parametrize(
        ("model", "path"), [(Ticket, "pk"), (Reservation, "tickets")], ids=["Ticket", "Reservation"]
    )
    def test_are_found_as_they_are_printed(self, staff, wanted, model, path):
        ticket = wanted.tickets.get()
        Ticket.objects.filter(pk=ticket.pk).update(code="ABOI2345BCDEFGHJ")
        texts = [
            code_groups("ABOI2345BCDEFGHJ"),
            "aboi 2345 bcde fghj",
            "ABOI-2345-BCDE-FGHJ",
            "AB01 2345 8CDE FGHJ",
            "ABOI2345BCDEFGHJ",
            "ABOI 2345",
        ]

        expect_found(staff, model, texts, **{path: ticket.pk})

    def test_are_not_taken_for_others(self, staff, wanted):
        assert found(staff, Ticket, "ABCD EFGH IJKL MNO2") == set()


class TestIds:
    @pytest.mark.parametrize("model", [Hold, Reservation, Ticket, OutboxEvent, LedgerTransaction])
    def test_are_found_in_every_spelling(self, staff, wanted, model):
        row = model._default_manager.order_by("pk").last()
        key = str(row.pk)

        for text in (key, key.upper(), key.replace("-", ""), f"{{{key}}}", f"/x/{key}/", key[:30]):
            assert row.pk in found(staff, model, text)
        assert row.pk not in found(staff, model, "0" * 8 + key[8:])

    def test_of_what_belongs_to_a_row_lead_to_it(self, staff, wanted):
        payment = LedgerTransaction.objects.get(reference=wanted.pk)

        assert found(staff, LedgerTransaction, str(wanted.pk)) == {payment.pk}
        assert len(found(staff, LedgerEntry, str(wanted.pk))) == 2
        assert found(staff, Reservation, str(wanted.hold_id)) == {wanted.pk}
        assert found(staff, Ticket, str(wanted.pk)) == {wanted.tickets.get().pk}

    def test_of_many_digits_that_are_none_are_told_at_once(self, staff, wanted):
        """Tried in every way, each digit would double the time."""
        assert found(staff, Reservation, "f" * 199 + "z") == set()
        assert found(staff, Reservation, "f-" * 99 + "z") == set()

    def test_of_rows_that_are_numbered_are_found(self, staff, wanted):
        performance = wanted.performance

        for text in (str(performance.pk), f"#{performance.pk}", str(performance)):
            assert found(staff, Performance, text) == {performance.pk}
        assert found(staff, Concert, "9" * 19) == set()


class TestDays:
    @pytest.mark.parametrize(
        ("model", "column"),
        [
            (User, "joined_at"),
            (AccessToken, "expires_at"),
            (LedgerTransaction, "created_at"),
            (IdempotencyRecord, "created_at"),
            (Hold, "held_at"),
            (Reservation, "reserved_at"),
            (QueueExit, "ended_at"),
            (PolicyChange, "changed_at"),
            (Performance, "starts_at"),
            (Concert, "sales_open_at"),
        ],
        ids=named,
    )
    def test_are_found_in_words(self, staff, wanted, model, column):
        day = {
            text: found(staff, model, text) for text in ("yesterday", "오늘", "내일", "2026-01-05")
        }

        for text, since in (("yesterday", -1), ("오늘", 0), ("내일", 1)):
            first = datetime.now(VENUE).replace(hour=0, minute=0, second=0, microsecond=0)
            span = (first + timedelta(since), first + timedelta(since + 1))
            expected = model._default_manager.filter(
                **{f"{column}__gte": span[0], f"{column}__lt": span[1]}
            )
            assert day[text] == set(expected.values_list("pk", flat=True))

    def test_and_names_go_together(self, staff, wanted):
        assert found(staff, Reservation, "Paper Lanterns, today") == {wanted.pk}
        assert found(staff, Reservation, "오늘, 김민아") == {wanted.pk}
        assert found(staff, Reservation, "Paper Lanterns, yesterday") == set()
        assert found(staff, Reservation, "Paper Lanterns, nobody") == set()

    def test_take_few_queries_however_many_commas_there_are(self, staff, wanted):
        def queries(text: str) -> int:
            with CaptureQueriesContext(connection) as captured:
                assert found(staff, Reservation, text) == set()
            return len(captured)

        many = ",".join(f"n{part}" for part in range(50))
        queries(many)
        assert queries(many) <= queries("n1,n2,n3")

    def test_narrow_a_list_that_is_filtered(self, staff, wanted):
        assert found(staff, Reservation, "today", status__exact="CANCELLED") == set()


def test_holds_that_ended_are_found_by_customer_and_id_only(staff):
    seat = SeatFactory(performance__concert__title="Paper Lanterns")
    ended = hold(CustomerFactory(name="Mina"), [seat])
    Hold.objects.update(status="RELEASED", ended_at=timezone.now())

    assert found(staff, Hold, "Mina") == {ended.pk}
    assert found(staff, Hold, "Paper Lanterns") == set()


def test_autocompletes_find_by_the_same(staff, wanted):
    asked = {"app_label": "payments", "model_name": "ledgertransaction", "field_name": "customer"}

    answer = staff.get(reverse("admin:autocomplete"), {**asked, "term": "민아"}).json()

    assert [result["id"] for result in answer["results"]] == [str(wanted.customer_id)]


def test_idempotency_keys_are_found_behind_the_customer(staff, wanted):
    record = IdempotencyRecord.objects.get(customer=wanted.customer)

    assert found(staff, IdempotencyRecord, f"{wanted.customer.email}, 김민아") == {record.pk}
    assert found(staff, IdempotencyRecord, f"{wanted.customer.email}, other") == set()
    assert found(staff, IdempotencyRecord, "김민아, today") == {record.pk}


def test_events_and_deliveries_are_found_by_the_id_of_the_event(staff):
    event = OutboxEvent.objects.create(type="x", payload={}, occurred_at=timezone.now())
    delivery = EventDelivery.objects.create(
        event=event, consumer="ranking", next_attempt_at=timezone.now()
    )

    assert found(staff, EventDelivery, str(event.pk)) == {delivery.pk}
    assert found(staff, EventDelivery, "today") == {delivery.pk}


class TestFiltersInAddresses:
    """An address may filter by what the list offers, and by ids; no other column can be guessed through it."""

    @pytest.mark.parametrize(
        ("model", "query"),
        [
            (User, "password__startswith=argon2"),
            (User, "email__startswith=a"),
            (AccessToken, "token_hash=00"),
            (IdempotencyRecord, "fingerprint__startswith=0"),
            (IdempotencyRecord, "key__contains=0"),
            (Wallet, "balance__gte=1000"),
            (Ticket, "code__startswith=A"),
            (LedgerTransaction, "reason__regex=(a%2B)%2B%24"),
            (Reservation, "customer__password__startswith=argon2"),
            (Hold, "customer__email__startswith=a"),
        ],
    )
    def test_refuses_other_columns(self, staff: Client, model: type[Model], query: str) -> None:
        answer = staff.get(f"{list_of(model)}?{query}")

        assert answer.status_code == 400
        assert "This list cannot be filtered like that." in answer.content.decode()

    @pytest.mark.parametrize(
        ("model", "query"),
        [
            (User, "is_staff__exact=1"),
            (Reservation, "performance__id__exact=1"),
            (Reservation, "status__exact=CONFIRMED"),
            (Reservation, "concert=1"),
            (Seat, "performance__id__exact=1"),
            (EventDelivery, "status__exact=DEAD"),
            (EventDelivery, "consumer=ranking"),
            (AccessToken, "revoked_at__isempty=1"),
            (LedgerTransaction, "created_at__gte=2026-11-01&created_at__lt=2026-12-01"),
            (LedgerTransaction, "customer=1"),
        ],
    )
    def test_takes_what_is_offered_and_ids(
        self, staff: Client, model: type[Model], query: str
    ) -> None:
        assert staff.get(f"{list_of(model)}?{query}").status_code == 200
