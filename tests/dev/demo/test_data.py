"""`load_demo` and `loadtest_prepare`."""

import json
import stat
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import log_in
from apps.boxoffice.roles import give_permissions
from apps.concerts.models import Concert, Performance, Seat
from apps.concerts.publication import withdraw_concert
from apps.concerts.selectors import (
    RankingWindow,
    concerts_not_over,
    fastest_sold_out,
    popular_concerts,
)
from apps.concerts.services import ranking_drift
from apps.payments.selectors import ledger_totals, wallet_balance, wallet_differences
from apps.queue.services import get_or_create_waiting_room, join_queue
from apps.reservations.models import Hold, Reservation
from apps.reservations.selectors import performances_with_availability
from dev.demo.accounts import load_logins
from dev.demo.catalogue import CLUB, PRODUCTIONS
from dev.demo.loadtest import hall_of
from dev.demo.management.commands import load_demo
from tests.factories.accounts import CustomerFactory

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _own_data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path


@pytest.fixture(autouse=True)
def _roles(db):
    """As `migrate` leaves them; other tests may have emptied the tables since."""
    give_permissions()


@pytest.fixture
def logins(settings):
    def read():
        rows = json.loads((settings.DATA_DIR / "demo_logins.json").read_text())
        return {row["role"]: row for row in rows}

    return read


@pytest.fixture
def small_season(monkeypatch):
    """A catalogue that is loaded in a moment: clubs only, one nearly sold out, one that opens soon."""
    by_title = {production.title: production for production in PRODUCTIONS}
    catalogue = (
        by_title["Small Hours"],
        by_title["마지막 기차가 떠난 뒤"],
        replace(by_title["새벽 네 시의 오케스트라"], hall=CLUB),
    )
    monkeypatch.setattr(load_demo, "PRODUCTIONS", catalogue)


def seats_left():
    """Free and all seats of every performance in the catalogue, by concert."""
    return {
        concert.title: [
            (date.seats_available, date.seats_total)
            for date in performances_with_availability(concert.pk)
        ]
        for concert in Concert.objects.all()
    }


@pytest.mark.usefixtures("small_season")
class TestLoadDemo:
    def test_running_it_again_is_quick_and_changes_nothing(self, logins):
        def loaded():
            concerts = list(Concert.objects.order_by("pk").values())
            return concerts, Seat.objects.count(), Reservation.objects.count(), logins()

        call_command("load_demo")
        before = loaded()

        with CaptureQueriesContext(connection) as queries:
            call_command("load_demo")

        assert len(queries) < 100
        assert loaded() == before

    def test_goes_on_where_it_was_interrupted(self, monkeypatch):
        class PowerCut(Exception):
            pass

        def interrupted(**arguments):
            if Reservation.objects.count() > 20:
                raise PowerCut
            return sell_seats(**arguments)

        sell_seats = load_demo.sell_seats
        monkeypatch.setattr(load_demo, "sell_seats", interrupted)
        with pytest.raises(PowerCut):
            call_command("load_demo")
        monkeypatch.undo()

        call_command("load_demo")
        whole = seats_left()
        call_command("load_demo")

        assert seats_left() == whole
        assert any(free == 3 for dates in whole.values() for free, _total in dates)
        assert ranking_drift() == []

    def test_leaves_what_staff_have_changed(self):
        call_command("load_demo")
        concert = Concert.objects.order_by("pk").first()
        assert concert is not None
        withdraw_concert(concert_id=concert.pk)
        Concert.objects.filter(pk=concert.pk).update(venue="Elsewhere")

        call_command("load_demo")

        concert.refresh_from_db()
        assert (concert.is_published, concert.venue) == (False, "Elsewhere")

    @pytest.mark.parametrize("is_claimed", [False, True])
    def test_opens_soon_again_until_a_seat_is_claimed(self, is_claimed):
        call_command("load_demo")
        upcoming = Concert.objects.get(sales_open_at__gt=timezone.now())
        opened = timezone.now() - timedelta(hours=8)
        Concert.objects.filter(pk=upcoming.pk).update(sales_open_at=opened)
        if is_claimed:
            Hold.objects.create(
                customer=CustomerFactory(),
                performance=upcoming.performances.by_date()[0],
                total_price=1,
                seat_limit=1,
                held_at=opened,
                expires_at=opened + timedelta(minutes=5),
            )

        call_command("load_demo")

        upcoming.refresh_from_db()
        assert (
            upcoming.sales_open_at == opened
            if is_claimed
            else upcoming.sales_open_at > timezone.now()
        )


class TestSeason:
    def test_shows_everything_and_its_books_balance(self):
        now = timezone.now()

        call_command("load_demo")

        concerts = list(concerts_not_over(at=now))
        assert len(concerts) >= 6
        assert {concert.title.isascii() for concert in concerts} == {True, False}
        left = seats_left()
        assert {total for dates in left.values() for _free, total in dates} == {50, 400, 5_000}
        assert sum(len(dates) > 1 for dates in left.values()) >= 5
        assert any(0 < free <= 5 for dates in left.values() for free, _total in dates)
        for performance in Performance.objects.all():
            assert performance.seats.order_by().values("grade").distinct().count() > 1
        [upcoming] = [concert for concert in concerts if not concert.has_opened(now)]
        assert upcoming.sales_open_at - now < timedelta(minutes=10)

        assert Reservation.objects.count() > 50
        assert ledger_totals().adds_up
        assert wallet_differences() == []
        ranking = popular_concerts(window=RankingWindow.DAY, limit=10)
        assert len(ranking) >= 5
        assert sum(item.reservations for item in ranking) == Reservation.objects.count()
        assert ranking_drift() == []
        [fastest] = fastest_sold_out(limit=10)
        assert left[fastest.title] == [(0, 50)]


class TestDemoLogins:
    def test_a_customer_and_each_role_of_staff_can_log_in(self, logins, settings):
        settings.BASE_URL = "http://127.0.0.1:8123"

        load_logins()

        found = logins()
        assert list(found) == ["customer", "box office", "finance", "operations", "administrator"]
        for login in found.values():
            assert log_in(email=login["email"], password=login["password"])
            assert login["url"].startswith("http://127.0.0.1:8123/")
        customer, *staff = (User.objects.get(email=login["email"]) for login in found.values())
        assert not customer.is_staff
        assert wallet_balance(customer_id=customer.pk) == 500_000
        assert all(user.is_staff and not user.is_superuser for user in staff)
        assert [user.groups.get().name for user in staff] == [
            "Box office",
            "Finance",
            "Operations",
            "Administrator",
        ]

    def test_each_role_sees_its_part(self, client, logins):
        load_logins()
        clerk, finance = (
            User.objects.get(email=logins()[role]["email"]) for role in ("box office", "finance")
        )

        client.force_login(clerk)
        for page in ("", "concerts/concert/", "queue/waitingroom/", "reservations/reservation/"):
            assert client.get(f"/admin/{page}").status_code == 200
        assert client.get("/admin/payments/wallet/").status_code == 403
        client.force_login(finance)
        assert client.get("/admin/payments/wallet/").status_code == 200
        assert client.get("/admin/queue/waitingroom/").status_code == 403

    def test_passwords_are_of_this_installation(self, logins, settings, tmp_path):
        load_logins()
        first = logins()
        (tmp_path / "demo_logins.json").unlink()

        load_logins()

        second = logins()
        for role in first:
            assert first[role]["password"] != second[role]["password"]
            assert log_in(email=second[role]["email"], password=second[role]["password"])

    @pytest.mark.parametrize("content", ["", "{}", "[1]", "null", '[{"email": "x"}]'])
    def test_a_damaged_file_is_replaced(self, logins, tmp_path, content):
        (tmp_path / "demo_logins.json").write_text(content)

        load_logins()

        assert len(logins()) == 5

    def test_the_file_of_logins_is_for_its_owner(self, tmp_path):
        load_logins()

        mode = (tmp_path / "demo_logins.json").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600


class TestLoadTestPrepare:
    @pytest.fixture
    def prepare(self, tmp_path):
        """Run the command as the shell would, and read what it wrote."""

        def run(**given):
            output = tmp_path / "load.json"
            numbers = {"customers": 1, "seats": 1, "capacity": 1, **given}
            arguments = [
                f"--{name.replace('_', '-')}={number}"
                for name, number in numbers.items()
                if number is not None
            ]
            call_command("loadtest_prepare", *arguments, f"--output={output}")
            return json.loads(output.read_text())

        return run

    def test_makes_what_was_asked_for(self, prepare, client):
        made = prepare(customers=3, seats=120, capacity=7, seats_per_customer=4, performances=2)

        names = {"concert_id", "performance_id", "performance_ids", "seat_ids", "customers"}
        assert set(made) == names
        concert = Concert.objects.get(pk=made["concert_id"])
        now = timezone.now()
        assert concert.is_on_sale(now)
        assert concert.seats_per_customer == 4
        assert get_or_create_waiting_room(concert.pk).capacity == 7
        assert made["performance_id"] == made["performance_ids"][0]
        assert len(made["performance_ids"]) == 2
        for performance in Performance.objects.filter(pk__in=made["performance_ids"]):
            assert performance.seats.count() == 120
            assert abs(performance.starts_at - now - timedelta(days=30)) < timedelta(days=1)
        first = Performance.objects.get(pk=made["performance_id"])
        assert made["seat_ids"] == sorted(first.seats.values_list("pk", flat=True))
        assert set(first.seats.values_list("price", flat=True)) == {50_000}

    def test_every_customer_has_money_and_a_login(self, prepare, client):
        made = prepare(customers=3)

        assert len(made["customers"]) == 3
        for customer in made["customers"]:
            assert set(customer) == {"user_id", "email", "access_token"}
            headers = {"Authorization": f"Bearer {customer['access_token']}"}
            me = client.get("/api/v1/accounts/me", headers=headers).json()["data"]
            assert (me["user_id"], me["email"]) == (customer["user_id"], customer["email"])
            balance = client.get("/api/v1/balance", headers=headers).json()["data"]
            assert balance["balance"] == 1_000_000
        assert ledger_totals().adds_up

    def test_the_waiting_room_is_open(self, prepare):
        made = prepare()

        visitor = join_queue(
            customer_id=made["customers"][0]["user_id"], concert_id=made["concert_id"]
        )

        assert (visitor.status, visitor.position) == ("WAITING", 1)

    def test_is_fresh_every_time(self, prepare):
        first = prepare()
        second = prepare()

        assert first["concert_id"] != second["concert_id"]
        assert first["customers"][0]["email"] != second["customers"][0]["email"]

    @pytest.mark.parametrize("seats", [1, 49, 50, 51, 999, 1_000, 1_001, 2_049, 60_000])
    def test_lays_out_any_number_of_seats(self, seats):
        hall = hall_of(seats)

        assert sum(section.rows * section.seats_per_row for section in hall) == seats
        assert max(section.rows * section.seats_per_row for section in hall) <= 1_000

    def test_takes_queries_by_the_batch(self, prepare, django_assert_max_num_queries):
        with django_assert_max_num_queries(60):
            prepare(customers=700, seats=2_000, capacity=50)

    def test_the_file_is_for_its_owner(self, prepare, tmp_path):
        prepare()

        assert stat.S_IMODE((tmp_path / "load.json").stat().st_mode) == 0o600

    @pytest.mark.parametrize(
        ("argument", "value", "range_"),
        [
            ("customers", "0", "1 to 1,000,000"),
            ("customers", "many", "1 to 1,000,000"),
            ("seats", "60001", "1 to 60,000"),
            ("seats", "-1", "1 to 60,000"),
            ("capacity", "0", "1 to 100,000"),
            ("seats_per_customer", "11", "1 to 10"),
            ("performances", "1.5", "1 to 100"),
        ],
    )
    def test_says_what_would_have_been_right(self, prepare, argument, value, range_):
        with pytest.raises(CommandError, match=f"not a whole number from {range_}"):
            prepare(**{argument: value})

        assert not Concert.objects.exists()

    @pytest.mark.parametrize("missing", ["customers", "seats", "capacity"])
    def test_names_what_is_missing(self, prepare, missing):
        with pytest.raises(CommandError, match=f"--{missing}"):
            prepare(**{missing: None})

    def test_refuses_a_file_that_cannot_be_written_before_it_makes_anything(self, tmp_path):
        with pytest.raises(CommandError, match="Cannot write to"):
            call_command(
                "loadtest_prepare", "--customers=1", "--seats=1", "--capacity=1",
                f"--output={tmp_path}/missing/load.json",
            )  # fmt: skip

        assert not Concert.objects.exists()
