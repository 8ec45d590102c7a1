"""The report for those who settle sales: by concert and day at the venue, equal to the ledger, and whole when it is sent."""

import csv
from datetime import UTC, date, datetime, timedelta
from io import BytesIO, StringIO

import pgtrigger
import pytest
from django.db import OperationalError, connection
from django.db.models import Sum
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from openpyxl import load_workbook

from apps.concerts.models import Performance
from apps.payments.counter import PaidBy
from apps.payments.models import LedgerEntry, LedgerTransaction
from apps.reservations import sales_report
from apps.reservations.admin import sales_report as page
from apps.reservations.models import Reservation, Ticket
from apps.reservations.sales_report import Sales, by_day, sales_of
from apps.reservations.services import cancel_seats, refund_reservation
from tests.boxoffice.staff import clerk
from tests.factories.accounts import CustomerFactory, browser_of
from tests.factories.concerts import PerformanceFactory
from tests.factories.counter import give, move, sell
from tests.factories.payments import WalletFactory
from tests.factories.reservations import cancel, reservation

pytestmark = pytest.mark.django_db

FIRST, SECOND = date(2026, 7, 1), date(2026, 7, 2)


def at_venue(day: int, hour: int, minute: int = 0) -> datetime:
    """Return a moment of July by the clock of Seoul, nine hours ahead of UTC."""
    return datetime(2026, 7, day, hour, minute, tzinfo=UTC) - timedelta(hours=9)


def moved_to(order: Reservation, kind: str, at: datetime) -> None:
    """Let a movement of an order have happened at another time."""
    connection.check_constraints()
    with pgtrigger.ignore():
        LedgerTransaction.objects.filter(type=kind, reference=order.pk).update(created_at=at)


def cancelled(order: Reservation, at: datetime) -> None:
    """Let an order have been sold and cancelled at another time."""
    Reservation.objects.filter(pk=order.pk).update(
        reserved_at=at - timedelta(days=1), cancelled_at=at
    )


def paid(orders: int, tickets: int, gross: int) -> Sales:
    return Sales(orders=orders, tickets=tickets, gross=gross)


def sold(title: str, seats: int, at: datetime, name: str = "Mina") -> Reservation:
    performance = PerformanceFactory(
        concert__title=title, concert__seats_per_customer=4, seats=seats
    )
    order = reservation(CustomerFactory(name=name), list(performance.seats.order_by("pk")))
    moved_to(order, "PAYMENT", at)
    return order


@pytest.fixture
def orders() -> list[Reservation]:
    """On the first day two sales of one concert and one of another; on the second a sale, and a refund of the first day's."""
    night = sold("Night Train", 2, at_venue(1, 0, 0))
    glass = sold("Glass Sun", 1, at_venue(1, 12))
    late = sold("Glass Sun", 3, at_venue(1, 23, 59), name="=1+1")
    next_day = sold("Night Train", 1, at_venue(2, 0, 0))
    cancel(glass)
    moved_to(glass, "REFUND", at_venue(2, 10))
    cancelled(glass, at_venue(2, 10))
    return [night, glass, late, next_day]


@pytest.fixture
def browser() -> Client:
    return browser_of(CustomerFactory(admin=True))


def url(**query: str) -> str:
    asked = {"first": "2026-07-01", "last": "2026-07-02"} | query
    return f"{reverse('admin:reservations_sales_report')}?" + "&".join(
        f"{name}={value}" for name, value in asked.items()
    )


class TestReport:
    def test_adds_up_each_concert_of_each_day_at_the_venue(self, orders):
        found = [(sales.day, sales.title, sales.sales) for sales in sales_of(FIRST, SECOND)]

        assert found == [
            (FIRST, "Glass Sun", paid(1, 1, 50_000)),
            (FIRST, "Glass Sun", paid(1, 3, 150_000)),
            (FIRST, "Night Train", paid(1, 2, 100_000)),
            (SECOND, "Glass Sun", Sales(cancelled=1, refunds=1, refunded=50_000)),
            (SECOND, "Night Train", paid(1, 1, 50_000)),
        ]

    def test_has_totals_of_days_and_of_all(self, orders):
        days, total = by_day(sales_of(FIRST, SECOND))

        assert [(day.day, day.total.net) for day in days] == [(FIRST, 300_000), (SECOND, 0)]
        assert total == Sales(4, 7, 1, 350_000, refunds=1, refunded=50_000)
        assert total.net == 300_000

    def test_equals_the_ledger(self, orders):
        _days, total = by_day(sales_of(FIRST, SECOND))

        booked = LedgerTransaction.objects.filter(type__in=["PAYMENT", "REFUND"])
        assert total.net == -booked.aggregate(total=Sum("amount"))["total"]

    def test_leaves_out_other_days_and_other_money(self, orders):
        WalletFactory(balance=7_000)

        assert sales_of(date(2026, 6, 30), date(2026, 6, 30)) == []
        assert sales_of(date(2026, 7, 3), date(2027, 6, 30)) == []

    def test_reads_the_range_by_an_index(self, orders):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            with CaptureQueriesContext(connection) as queries:
                sales_of(FIRST, SECOND)
            [statement] = [q["sql"] for q in queries if "issued" in q["sql"]]
            cursor.execute(f"EXPLAIN {statement}")
            plan = "\n".join(line for (line,) in cursor.fetchall())

        for index in ("ledger_newest_first", "ticket_cancelled", "reservation_cancelled"):
            assert index in plan
        assert "Seq Scan" not in plan

    def test_is_stopped_when_it_takes_too_long(self, orders, monkeypatch):
        monkeypatch.setattr(sales_report, "SECONDS", 0.05)
        monkeypatch.setattr(
            sales_report,
            "_SALES",
            sales_report._SALES.replace("WHERE", "WHERE pg_sleep(1) IS NOT NULL AND", 1),
        )

        with pytest.raises(OperationalError, match="statement timeout"):
            sales_of(FIRST, SECOND)


class TestWaysOfPayment:
    """Sales at the counter and by the house, in part cancelled and moved, against every account of the ledger."""

    @pytest.fixture
    def at_the_counter(self) -> Performance:
        by = {"reason": "Fell ill", "staff_id": CustomerFactory(staff=True).pk}
        performance = PerformanceFactory(
            seats=12, concert__title="Paper Moons", concert__seats_per_customer=6
        )
        seats = list(performance.seats.order_by("pk"))
        rich = WalletFactory(balance=500_000).customer
        sell(seats[:2])
        sell(seats[2:3], paid_by=PaidBy.CARD)
        sell(seats[3:4], rich, paid_by=PaidBy.WALLET)
        given = give(seats[4:7]).reservation
        back = sell(seats[7:9]).reservation
        moved = sell(seats[9:10], paid_by=PaidBy.CARD).reservation
        cancel_seats(reservation_id=given.pk, seat_ids=[seats[4].pk], **by)
        refund_reservation(reservation_id=given.pk, amount=7, **by)
        cancel_seats(reservation_id=back.pk, **by)
        refund_reservation(reservation_id=sell(seats[10:11]).reservation.pk, amount=1_001, **by)
        move(moved, seats[11:12])
        return performance

    @pytest.fixture
    def sales(self, at_the_counter) -> Sales:
        today = page.venue_day(page.timezone.now())
        [only] = sales_of(today - timedelta(days=1), today + timedelta(days=1))
        assert (only.day, only.title) == (today, "Paper Moons")
        return only.sales

    def test_are_counted_apart(self, sales):
        assert (sales.orders, sales.tickets, sales.cancelled) == (8, 12, 4)
        assert (sales.gross, sales.wallet) == (600_000, 100_000)
        assert (sales.cash, sales.card, sales.house) == (250_000, 100_000, 150_000)
        assert (sales.refunds, sales.refunded) == (5, 201_008)
        assert (sales.to_customers, sales.to_house) == (151_001, 50_007)
        assert sales.net == 600_000 - 150_000 - 151_001

    def test_equal_the_accounts_of_the_ledger_to_the_won(self, sales):
        booked = LedgerEntry.objects.values("account").annotate(total=Sum("amount"))
        of = {row["account"]: row["total"] for row in booked}

        assert sales.gross == of["SALES_REVENUE"]
        assert sales.refunded == -of["REFUNDS"]
        assert (sales.cash, sales.card) == (-of["TILL_CASH"], -of["TILL_CARD"])
        assert sales.house - sales.to_house == -of["COMPS"]

    def test_equal_the_tickets_that_stand(self, sales, at_the_counter):
        standing = Ticket.objects.valid().filter(reservation__performance=at_the_counter)

        assert sales.tickets - sales.cancelled == standing.count()

    @pytest.mark.parametrize("format", ["csv", "xlsx"])
    def test_are_in_the_files_as_on_the_page(self, browser, sales, format):
        today = page.venue_day(page.timezone.now()).isoformat()
        asked = {"first": today, "last": today}
        shown = browser.get(url(**asked))

        header, line, *_ = lines_of(browser, format, **asked)

        assert [str(cell) for cell in shown.context["headers"]] == header[3:]
        assert [int(str(cell)) for cell in line[3:]] == sales.cells()
        for cell in ("150,000", "151,001", "201,008"):
            assert f">{cell}</td>" in shown.content.decode()


class TestPage:
    def test_shows_sales_and_totals(self, browser, orders):
        shown = browser.get(url())

        text = shown.content.decode()
        assert shown.context["total"].net == 300_000
        assert "Total of the day" in text
        assert "150,000" in text

    def test_is_of_yesterday_without_being_asked(self, browser, orders):
        yesterday = page.venue_day(page.timezone.now()) - timedelta(days=1)
        moved_to(orders[0], "PAYMENT", datetime.combine(yesterday, datetime.min.time(), UTC))

        shown = browser.get(reverse("admin:reservations_sales_report"))

        assert shown.context["total"] == paid(1, 2, 100_000)

    def test_takes_the_same_queries_for_any_number(self, browser, orders):
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(url()).status_code == 200
            return len(captured)

        queries()
        before = queries()
        for day in (1, 2):
            sold(f"Concert {day}", 1, at_venue(day, 9))

        assert queries() == before

    def test_says_so_when_there_is_nothing(self, browser):
        assert "Nothing was sold or refunded" in browser.get(url()).content.decode()

    def test_says_so_when_there_is_more_than_it_shows(self, browser, orders, monkeypatch):
        monkeypatch.setattr(page, "LINES_OF_A_PAGE", 4)

        shown = browser.get(url())

        assert "There is more than a page shows." in shown.content.decode()
        # Of the second day one of two concerts had found a place, and its total would have been wrong.
        assert [day.day for day in shown.context["days"]] == [FIRST]

    @pytest.mark.parametrize(
        "query",
        [
            {"first": "x"},
            {"first": "2026-07-03"},
            {"first": "2020-01-01"},
            {"last": "0001-01-01"},
            {"last": "9999-12-31"},
            {"first": "", "last": ""},
        ],
    )
    @pytest.mark.parametrize("file", ["", "csv"])
    def test_refuses_what_is_no_period(self, browser, orders, query, file):
        shown = browser.get(url(**query, file=file))

        assert shown.status_code == 200
        assert shown.context["form"].errors

    def test_leads_back_when_it_takes_too_long(self, browser, orders, monkeypatch):
        monkeypatch.setattr(sales_report, "SECONDS", 0.05)
        monkeypatch.setattr(
            sales_report,
            "_SALES",
            sales_report._SALES.replace("WHERE", "WHERE pg_sleep(1) IS NOT NULL AND", 1),
        )

        answer = browser.get(url())

        assert answer.status_code == 302


def lines_of(browser: Client, format: str, **query: str) -> list[list[object]]:
    answer = browser.get(url(file=format, **query))
    assert answer.status_code == 200
    assert answer["Content-Length"] == str(len(answer.content))
    assert f'.{format}"' in answer["Content-Disposition"]
    assert "no-store" in answer["Cache-Control"]
    if format == "csv":
        assert answer.content.startswith(b"\xef\xbb\xbf")
        text = StringIO(answer.content.decode("utf-8-sig"), newline="")
        return [list(row) for row in csv.reader(text)]
    [sheet] = load_workbook(BytesIO(answer.content)).worksheets
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


class TestFiles:
    @pytest.mark.parametrize("format", ["csv", "xlsx"])
    def test_have_every_line_the_totals_and_an_end(self, browser, orders, format):
        lines = lines_of(browser, format)

        *body, total, end = lines[1:]
        assert len(body) == 7
        assert [str(cell) for cell in total if cell not in (None, "")] == [
            *("Total", "4", "7", "1", "350000", "350000", "0", "0", "0"),
            *("1", "50000", "50000", "0", "300000"),
        ]
        assert end[0] == "End of the file, 7 lines"

    @pytest.mark.parametrize("format", ["csv", "xlsx"])
    def test_have_each_payment_and_refund_with_its_order(self, browser, orders, format):
        lines = lines_of(browser, format, each="1")

        header, *body, total, end = lines
        assert header[:4] == ["Time", "Kind", "Order", "Customer"]
        assert [row[2] for row in body] == [orders[place].order_number for place in (0, 1, 2, 3, 1)]
        assert [str(row[7]) for row in body] == ["100000", "50000", "150000", "50000", "-50000"]
        assert str(body[0][0]) == "2026-07-01 00:00:00"
        assert str(total[7]) == "300000"
        assert end[0] == "End of the file, 5 lines"

    def test_take_no_name_for_a_formula(self, browser, orders):
        lines = lines_of(browser, "csv", each="1")

        assert lines[3][3] == "'=1+1"

    def test_show_no_address_of_who_has_none(self, browser, orders):
        walk_up = sell(list(PerformanceFactory(seats=1).seats.all())).reservation
        moved_to(walk_up, "PAYMENT", at_venue(2, 12))

        lines = lines_of(browser, "csv", each="1")

        assert [row[3:5] for row in lines if row[2:3] == [walk_up.order_number]] == [
            [walk_up.customer.name, ""]
        ]
        assert lines[1][4] == orders[0].customer.email

    def test_are_refused_when_they_would_be_too_long(self, browser, orders, monkeypatch):
        monkeypatch.setattr(page, "LINES_OF_A_FILE", 4)

        answer = browser.get(url(file="csv", each="1"), follow=True)

        assert answer["Content-Type"].startswith("text/html")
        assert "A file has 4 lines at most." in answer.content.decode()

    def test_read_their_lines_as_they_are_written(self, browser, orders, monkeypatch):
        monkeypatch.setattr(sales_report, "ROWS_AT_ONCE", 1)

        assert len(lines_of(browser, "csv", each="1")) == 8


class TestRights:
    def test_to_look_and_to_export_are_two(self, orders):
        onlooker = clerk("view_ledgertransaction")

        assert onlooker.get(url()).status_code == 200
        assert "file=csv" not in onlooker.get(url()).content.decode()
        assert onlooker.get(url(file="csv")).status_code == 403
        exporter = clerk("view_ledgertransaction", "export_money")
        assert exporter.get(url(file="csv")).status_code == 200

    def test_are_needed(self, orders):
        assert clerk("view_reservation", "export_money").get(url()).status_code == 403
