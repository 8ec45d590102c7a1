"""Test the front page of the admin: figures by hand, days of the venue, and what each account gets to see."""

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.boxoffice import dashboard as dashboard_module
from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.readings import shop as shop_module
from apps.boxoffice.readings.house import house_readings
from apps.boxoffice.readings.shop import read_shop, shop_readings
from apps.boxoffice.roles import give_permissions
from apps.concerts.models import venue_day
from apps.core.shared_readings import Data
from apps.core.store import StoreUnavailable
from apps.outbox.models import EventDelivery
from apps.payments.counter import PaidBy
from apps.queue.core.room import Room
from apps.queue.services import pause_room
from apps.reservations.services import expire_holds
from tests.boxoffice.sales import (
    R_PRICE,
    VIP_PRICE,
    Sale,
    begin_at,
    given_back,
    held,
    sold,
    two_concerts,
)
from tests.boxoffice.staff import administrator, clerk, logged_in
from tests.clocks import DatabaseClock
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory
from tests.factories.counter import give, move
from tests.factories.reservations import cancel, let_expire
from tests.factories.visitors import admitted_visitor

pytestmark = pytest.mark.django_db

INDEX = reverse("admin:index")
VENUE = ZoneInfo(settings.VENUE_TIME_ZONE)


@pytest.fixture
def sale() -> Sale:
    return two_concerts()


def front_page(client: Client) -> Any:
    answer = client.get(INDEX)
    assert answer.status_code == 200
    return answer


def shown(data: Data) -> dict[str, Any]:
    return dashboard_module._sales(data)


class TestFigures:
    def test_are_those_of_today_by_concert_and_grade(self, sale: Sale) -> None:
        sold(*sale.vip[:2])
        sold(sale.vip[2], sale.r[0])
        given_back(sale.r[1])
        sold(sale.other_r[0])

        seen = shown(read_shop("", None))

        today = seen["today"]
        assert (today.seats, today.won) == (6, 3 * VIP_PRICE + 3 * R_PRICE)
        assert (today.refunds, today.refunded, today.net) == (
            1,
            R_PRICE,
            3 * VIP_PRICE + 2 * R_PRICE,
        )
        assert [
            (row["title"], row["seats"], row["won"], row["grades"]) for row in seen["concerts"]
        ] == [
            (
                "Night Garden",
                5,
                3 * VIP_PRICE + 2 * R_PRICE,
                [("VIP", 3, 3 * VIP_PRICE), ("R", 2, 2 * R_PRICE)],
            ),
            ("Glass Harbour", 1, R_PRICE, [("R", 1, R_PRICE)]),
        ]

    def test_count_no_money_that_the_house_has_given(self, sale: Sale) -> None:
        paid = sold(sale.r[0])
        give(sale.vip[:2])
        cancel(give(sale.vip[2:3]).reservation)
        move(paid, sale.vip[3:4], paid_by=PaidBy.HOUSE)

        seen = shown(read_shop("", None))

        today, concert = seen["today"], seen["concerts"][0]
        # The customer who was moved has paid twice, and got the first payment back.
        assert (today.seats, today.won) == (5, 2 * R_PRICE)
        assert (today.refunds, today.refunded, today.net) == (2, R_PRICE, R_PRICE)
        assert concert["grades"] == [("VIP", 4, R_PRICE), ("R", 1, R_PRICE)]

    def test_tell_which_part_of_the_holds_was_paid_for(self, sale: Sale) -> None:
        sold(sale.vip[0])
        let_expire(held(sale.r[0]))
        expire_holds()

        assert shown(read_shop("", None))["today"].conversion == 50

    def test_grow_by_what_is_new_and_count_nothing_twice(self, sale: Sale) -> None:
        settled = sold(sale.vip[0])
        begin_at(timezone.now() - timedelta(minutes=10), settled)
        data: Data | None = None
        won = 0
        for number in range(4):
            data = read_shop("", data)
            won = sum(day.won for day in shown(data)["days"])
            assert won == (number + 1) * VIP_PRICE
            sold(sale.vip[1 + number])

        assert data is not None
        assert sum(sums[0] for sums in data["days"]["settled"].values()) == 1

    def test_say_how_much_of_the_next_dates_is_sold(self, sale: Sale) -> None:
        dates = type(sale.date).objects.filter(pk=sale.date.pk)
        dates.update(seats_sold=3)
        ConcertFactory(is_published=False)

        seen = shown(read_shop("", None))

        assert [(row["title"], row["sold"], row["seats"]) for row in seen["dates"]] == [
            ("Night Garden", 3, 10),
            ("Glass Harbour", 0, 10),
            ("Glass Harbour", 0, 3),
        ]

    def test_of_an_empty_shop_are_nothing(self) -> None:
        text = front_page(administrator()).content.decode()

        assert "Nothing has been sold today." in text
        assert "No date is on sale." in text
        assert "No visitor is in a waiting room." in text
        assert "Nothing at the moment." in text


class TestVenueDays:
    def at_venue(self, day: int, hour: int, minute: int, second: int = 0) -> datetime:
        return datetime(2027, 3, day, hour, minute, second, tzinfo=VENUE)

    def read_at(self, at: datetime, previous: Data | None, monkeypatch: pytest.MonkeyPatch) -> Data:
        DatabaseClock.set(self.clock, at)
        monkeypatch.setattr(shop_module.timezone, "now", lambda: at)
        data = read_shop("", previous)
        monkeypatch.undo()
        return data

    def test_begin_at_midnight_of_the_venue(
        self, sale: Sale, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, after = sold(sale.vip[0]), sold(sale.r[0])
        refunded = given_back(sale.r[1])
        begin_at(self.at_venue(9, 23, 59, 59), before)
        begin_at(self.at_venue(10, 0, 0, 0), after)
        begin_at(self.at_venue(9, 23, 59, 0), refunded)
        self.clock = DatabaseClock()

        evening = self.read_at(self.at_venue(9, 23, 59, 59), None, monkeypatch)
        morning = self.read_at(self.at_venue(10, 9, 0), None, monkeypatch)

        assert shown(evening)["today"].day.isoformat() == "2027-03-09"
        seen = shown(morning)
        assert (seen["today"].day.isoformat(), seen["today"].won) == ("2027-03-10", R_PRICE)
        assert (seen["yesterday"].won, seen["yesterday"].refunded) == (
            VIP_PRICE + R_PRICE,
            R_PRICE,
        )
        assert [row["title"] for row in seen["concerts"]] == ["Night Garden"]
        assert seen["concerts"][0]["grades"] == [("R", 1, R_PRICE)]
        by_hour = {hour: (today, yesterday) for hour, today, _won, yesterday in seen["hours"]}
        assert (by_hour[0], by_hour[23]) == ((1, 0), (0, 2))

    def test_roll_over_while_figures_grow(
        self, sale: Sale, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, after = sold(sale.vip[0]), sold(sale.r[0])
        begin_at(self.at_venue(9, 23, 50), before)
        begin_at(self.at_venue(10, 0, 10), after)
        self.clock = DatabaseClock()

        data: Data | None = None
        for at in (
            self.at_venue(9, 23, 55),
            self.at_venue(10, 0, 5),
            self.at_venue(10, 0, 15),
            self.at_venue(10, 0, 20),
        ):
            data = self.read_at(at, data, monkeypatch)

        assert data is not None
        seen = shown(data)
        assert (seen["today"].won, seen["yesterday"].won) == (R_PRICE, VIP_PRICE)
        assert [row["won"] for row in seen["concerts"]] == [R_PRICE]

    def test_of_more_than_a_week_ago_are_forgotten(
        self, sale: Sale, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin_at(self.at_venue(1, 12, 0), sold(sale.vip[0]))
        begin_at(self.at_venue(3, 12, 0), sold(sale.vip[1]))
        self.clock = DatabaseClock()

        data = self.read_at(self.at_venue(8, 12, 0), None, monkeypatch)
        later = self.read_at(self.at_venue(10, 12, 0), data, monkeypatch)

        assert sum(day.won for day in shown(data)["days"]) == 2 * VIP_PRICE
        assert sum(day.won for day in shown(later)["days"]) == VIP_PRICE


class TestWhatNeedsSomebody:
    def tasks(self, client: Client) -> list[str]:
        return [task.words for task in front_page(client).context["tasks"]]

    def test_are_jobs_that_wait_for_a_second_person(self) -> None:
        StaffJob.objects.create(
            kind="unknown",
            reason="They asked.",
            status=StaffJob.Status.AWAITING_APPROVAL,
            requested_by=CustomerFactory(staff=True),
            requested_at=timezone.now(),
            language="en",
        )

        assert self.tasks(administrator()) == ["Waits for approval: unknown"]
        assert self.tasks(clerk("view_reservation")) == []

    def test_are_paused_rooms(self, sale: Sale) -> None:
        admitted_visitor(sale.first.pk)
        admitted_visitor(sale.second.pk)
        pause_room(concert_id=sale.first.pk, staff_id=None, reason="Slow payments.")

        client = administrator()

        assert self.tasks(client) == ["Paused: the waiting room of Night Garden"]
        assert (
            reverse("boxoffice:cockpit", args=[sale.first.pk])
            in front_page(client).content.decode()
        )
        assert self.tasks(clerk("view_reservation")) == []

    def test_are_dead_deliveries(self, sale: Sale) -> None:
        sold(sale.vip[0])
        EventDelivery.objects.filter(consumer="external_sync").update(status="DEAD")

        assert self.tasks(administrator()) == ["1 delivery was given up."]
        assert self.tasks(clerk("view_reservation")) == []

    def test_are_servers_that_do_not_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from apps.boxoffice.readings import house as house_module

        servers = {"database": True, "queue_store": False, "broker": True, "cache": True}
        monkeypatch.setattr(house_module, "answering_servers", lambda: dict(servers))

        assert self.tasks(administrator()) == ["Does not answer: Store of the waiting rooms"]


class TestRights:
    def test_decide_what_is_shown(self, sale: Sale) -> None:
        sold(sale.vip[0])
        admitted_visitor(sale.first.pk)
        parts = {
            "Revenue today": "view_reservation",
            "Waiting rooms with visitors": "view_waitingroom",
            "System health": "view_jobprogress",
        }

        for part, permission in parts.items():
            text = front_page(clerk(permission)).content.decode()
            assert [name for name in parts if name in text] == [part]

    def test_of_the_ledger_are_enough_for_money(self, sale: Sale) -> None:
        sold(sale.vip[0])

        assert "90,000 won" in front_page(clerk("view_ledgertransaction")).content.decode()

    def test_without_any_nothing_is_shown(self, sale: Sale) -> None:
        sold(sale.vip[0])

        text = re.sub(r"<[^>]*>", "", front_page(clerk()).content.decode())

        assert "won" not in text
        assert "Night Garden" not in text

    @pytest.mark.parametrize(
        ("role", "sees"),
        [
            ("Box office", {"Revenue today", "Waiting rooms with visitors"}),
            ("Finance", {"Revenue today"}),
            ("Operations", {"Revenue today", "Waiting rooms with visitors", "System health"}),
            ("Administrator", {"Revenue today", "Waiting rooms with visitors", "System health"}),
        ],
    )
    def test_of_each_role(self, role: str, sees: set[str]) -> None:
        give_permissions()
        user = CustomerFactory(staff=True)
        user.groups.add(Group.objects.get(name=role))

        text = front_page(logged_in(user)).content.decode()

        parts = {"Revenue today", "Waiting rooms with visitors", "System health"}
        assert {part for part in parts if part in text} == sees


class TestCost:
    def test_viewers_share_one_reading(self, sale: Sale, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []

        def read(key: str, previous: Data | None) -> Data:
            calls.append(key)
            return read_shop(key, previous)

        monkeypatch.setattr(shop_readings, "_read", read)
        for _ in range(5):
            front_page(administrator())

        assert len(calls) == 1

    def test_of_a_page_is_the_login_and_the_jobs(self, sale: Sale) -> None:
        client = administrator()
        front_page(client)

        with CaptureQueriesContext(connection) as captured:
            front_page(client)

        asked = [query["sql"] for query in captured]
        assert len(asked) == 3, asked  # session, account, jobs that wait

    def test_of_a_reading_does_not_grow(self, sale: Sale) -> None:
        def questions() -> int:
            with CaptureQueriesContext(connection) as captured:
                read_shop("", None)
            return len(captured)

        sold(sale.vip[0])
        questions()  # the ranking is asked for once a second
        before = questions()
        sold(*sale.other_vip[:2])
        given_back(sale.r[0])

        assert questions() == before


class TestAway:
    def test_without_the_store_of_rooms_the_page_is_there(
        self, sale: Sale, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(_room: Room) -> None:
            raise StoreUnavailable

        admitted_visitor(sale.first.pk)
        sold(sale.vip[0])
        monkeypatch.setattr(Room, "figures", away)

        text = front_page(administrator()).content.decode()

        assert "90,000 won" in text
        assert "Waiting rooms with visitors" in text

    def test_when_nothing_can_be_read_it_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: object) -> None:
            raise OperationalError("away")

        monkeypatch.setattr(shop_readings, "_read", away)
        monkeypatch.setattr(house_readings, "_read", away)

        assert "The figures cannot be read" in front_page(administrator()).content.decode()


def test_days_are_those_of_the_venue() -> None:
    data = read_shop("", None)

    assert shown(data)["today"].day == venue_day(timezone.now())
