"""Test the cockpit: its figures against sales made by hand, who sees what, and that all viewers together cost one reading."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

import apps.boxoffice.readings.sale as sale_module
from apps.accounts.models import User
from apps.boxoffice import passes
from apps.boxoffice.passes import HEADER
from apps.boxoffice.readings.house import HOUSE_SECONDS, house_readings, read_house
from apps.boxoffice.readings.sale import SALE_SECONDS, read_sale, sale_readings
from apps.boxoffice.readings.series import SETTLING, totals
from apps.boxoffice.rights import Rights
from apps.boxoffice.roles import give_permissions
from apps.boxoffice.sale_picture import picture_of
from apps.core.caching import clear_process_caches
from apps.core.shared_readings import Data, Reading
from apps.core.store import StoreUnavailable
from apps.queue.core.room import Room
from apps.queue.models import WaitingRoom
from apps.queue.services import join_queue, pause_room
from apps.reservations.models import Hold
from apps.reservations.services import expire_holds
from tests.boxoffice.sales import (
    R_PRICE,
    VIP_PRICE,
    Sale,
    given_back,
    held,
    move,
    seats_by_grade,
    sold,
    two_concerts,
)
from tests.boxoffice.sending import send
from tests.boxoffice.staff import administrator, clerk, logged_in, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory, keep_back
from tests.factories.counter import give
from tests.factories.reservations import cancel, let_expire
from tests.factories.visitors import admitted_visitor

pytestmark = pytest.mark.django_db

EVERYTHING = Rights(cockpit=True, sales=True, steering=True)


def page(concert_id: int) -> str:
    return reverse("boxoffice:cockpit", args=[concert_id])


def figures(concert_id: int) -> str:
    return reverse("boxoffice:cockpit-figures", args=[concert_id])


def fetch(client: Client, concert_id: int, given: str = "") -> Any:
    return client.get(figures(concert_id), headers={HEADER: given})


def summed(data: Data, name: str) -> list[int]:
    """Return the sums of a series over all of its minutes."""
    return [sum(numbers) for numbers in zip(*totals(data[name]).values(), strict=True)]


def picture(data: Data) -> dict[str, Any]:
    return picture_of(1, Reading(data, "v"), None, EVERYTHING)


@pytest.fixture
def sale() -> Sale:
    return two_concerts()


class TestSeats:
    def test_are_counted_by_grade_and_category(self, sale: Sale) -> None:
        sold(*sale.vip[:2])
        given_back(sale.vip[2])
        held(sale.r[0])
        sold(sale.other_vip[0])
        keep_back(sale.r[3], sale.vip[5])

        data = read_sale(str(sale.first.pk), None)

        assert seats_by_grade(data) == {
            ("VIP", "OPEN"): [3, 0, 2, 2 * VIP_PRICE],
            ("VIP", "HOUSE"): [1, 0, 0, 0],
            ("R", "OPEN"): [2, 1, 0, 0],
            ("R", "HOUSE"): [1, 0, 0, 0],
        }
        total = picture(data)["seats"]["all"]
        assert (total.free, total.held, total.sold, total.won) == (5, 1, 2, 2 * VIP_PRICE)

    def test_are_counted_by_date(self, sale: Sale) -> None:
        sold(sale.other_vip[0])
        third = list(sale.third_date.seats.order_by("pk"))
        sold(*third[:2])

        shown = picture(read_sale(str(sale.second.pk), None))

        assert [(row.free, row.held, row.sold) for row in shown["seats"]["by_date"]] == [
            (9, 0, 1),
            (1, 0, 2),
        ]

    def test_of_a_date_that_is_over_are_left_out(self, sale: Sale) -> None:
        sold(sale.other_vip[0])
        long_ago = timezone.now() - timedelta(days=2)
        type(sale.other_date).objects.filter(pk=sale.other_date.pk).update(
            starts_at=long_ago, ends_at=long_ago + timedelta(hours=3)
        )

        data = read_sale(str(sale.second.pk), None)

        assert seats_by_grade(data) == {("R", "OPEN"): [3, 0, 0, 0]}

    def test_are_free_again_once_a_hold_is_over_by_the_clock(self, sale: Sale) -> None:
        let_expire(held(sale.r[0]))

        data = read_sale(str(sale.first.pk), None)

        assert seats_by_grade(data)["R", "OPEN"] == [4, 0, 0, 0]
        assert data["holds"] == []

    def test_are_counted_more_rarely_the_longer_it_takes(
        self, sale: Sale, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = read_sale(str(sale.first.pk), None)
        assert first["seats_due_at"] <= timezone.now().timestamp()
        sold(sale.vip[0])
        monkeypatch.setattr(sale_module, "SEATS_SHARE", 1e-9)
        second = read_sale(str(sale.first.pk), first)
        sold(sale.vip[1])

        third = read_sale(str(sale.first.pk), second)

        assert seats_by_grade(second)["VIP", "OPEN"][2] == 1
        assert seats_by_grade(third)["VIP", "OPEN"][2] == 1
        assert third["seats"]["at"] == second["seats"]["at"]
        assert summed(third, "sales")[0] == 2  # which costs little, and is as new as ever


class TestMinutes:
    def test_add_up_to_what_was_sold_held_and_given_back(self, sale: Sale) -> None:
        sold(*sale.vip[:2])
        sold(sale.r[0])
        given_back(sale.vip[2])
        held(sale.r[1])
        sold(sale.other_vip[0])

        data = read_sale(str(sale.first.pk), None)

        assert summed(data, "sales") == [3, 3 * VIP_PRICE + R_PRICE]
        assert summed(data, "refunds") == [1, VIP_PRICE]
        assert summed(data, "holds_begun") == [4]
        shown = picture(data)
        assert (shown["hour"].sold, shown["hour"].won) == (3, 3 * VIP_PRICE + R_PRICE)
        assert (shown["hour"].refunds, shown["hour"].refunded) == (1, VIP_PRICE)
        assert len(shown["minutes"]) == 60

    def test_count_no_money_that_the_house_has_given(self, sale: Sale) -> None:
        sold(sale.r[0])
        give(sale.vip[:2])
        cancel(give(sale.vip[2:3]).reservation)

        data = read_sale(str(sale.first.pk), None)

        assert summed(data, "sales") == [3, R_PRICE]
        assert summed(data, "refunds") == [1, 0]

    def test_tell_which_part_of_the_holds_was_paid_for(self, sale: Sale) -> None:
        sold(sale.vip[0])
        for seat in sale.r[:3]:
            let_expire(held(seat))
        expire_holds()

        shown = picture(read_sale(str(sale.first.pk), None))

        assert (shown["hour"].sold, shown["hour"].lost) == (1, 3)
        assert shown["hour"].conversion == "25 %"

    def test_grow_by_what_is_new_and_count_nothing_twice(self, sale: Sale) -> None:
        early, late = sold(sale.vip[0]), sold(sale.vip[1])
        move(timedelta(minutes=30), early)
        move(SETTLING - timedelta(seconds=5), late)  # is about to be settled

        data: Data | None = None
        for number in range(4):
            data = read_sale(str(sale.first.pk), data)
            assert summed(data, "sales") == [2 + number, (2 + number) * VIP_PRICE]
            sold(sale.vip[2 + number])

        assert data is not None
        assert sum(numbers[0] for numbers in data["sales"]["settled"].values()) == 1

    def test_look_at_nothing_that_is_settled(self, sale: Sale) -> None:
        """Change the past behind the back of a reading: the next one does not see it, because it does not look there."""
        early = sold(sale.vip[0])
        move(timedelta(minutes=30), early)
        data = read_sale(str(sale.first.pk), None)
        move(timedelta(minutes=5), early)

        again = read_sale(str(sale.first.pk), data)

        assert again["sales"]["settled"] == data["sales"]["settled"]

    def test_of_more_than_an_hour_ago_are_forgotten(self, sale: Sale) -> None:
        early = sold(sale.vip[0])
        move(timedelta(minutes=62), early)
        data = read_sale(str(sale.first.pk), None)
        old = {str(int(data["at"] // 60) - 61): [7, 7], str(int(data["at"] // 60) - 5): [1, 1]}
        data["sales"]["settled"] = old

        again = read_sale(str(sale.first.pk), data)

        assert summed(data, "sales") == [8, 8]
        assert summed(again, "sales") == [1, 1]

    def test_see_a_sale_whose_commit_comes_late(self, sale: Sale) -> None:
        """A sale is written with the moment of its decision; a reading in between must not make it invisible."""
        data = read_sale(str(sale.first.pk), None)
        late = sold(sale.vip[0])
        move(SETTLING - timedelta(seconds=10), late)

        again = read_sale(str(sale.first.pk), data)

        assert summed(again, "sales") == [1, VIP_PRICE]


class TestQueue:
    def test_is_that_of_the_live_room(self, sale: Sale) -> None:
        admitted_visitor(sale.first.pk)
        alone = picture(read_sale(str(sale.first.pk), None))["queue"]
        join_queue(customer_id=CustomerFactory().pk, concert_id=sale.first.pk)
        with_another = picture(read_sale(str(sale.first.pk), None))["queue"]

        assert (alone["figures"].waiting, alone["figures"].active) == (0, 1)
        assert (str(alone["state"]), alone["empty_at"]) == ("open", "no visitor is waiting")
        assert (with_another["figures"].waiting, with_another["figures"].active) == (1, 1)
        assert re.fullmatch(r"\d\d:\d\d", with_another["empty_at"])

    def test_says_that_it_is_paused_and_why(self, sale: Sale) -> None:
        admitted_visitor(sale.first.pk)
        pause_room(concert_id=sale.first.pk, staff_id=None, reason="Slow payments.")

        shown = picture(read_sale(str(sale.first.pk), None))["queue"]

        assert (str(shown["state"]), shown["reason"]) == ("paused", "Slow payments.")

    def test_is_not_known_while_its_store_is_away(
        self, sale: Sale, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(_room: Room) -> None:
            raise StoreUnavailable

        admitted_visitor(sale.first.pk)
        sold(sale.vip[0])
        monkeypatch.setattr(Room, "figures", away)

        answer = administrator().get(page(sale.first.pk))

        text = answer.content.decode()
        assert answer.status_code == 200
        assert "The store of the waiting rooms does not answer" in text
        assert "90,000 won" in text


class TestPage:
    def test_shows_what_there_is(self, sale: Sale) -> None:
        admitted_visitor(sale.first.pk)
        sold(*sale.vip[:2])
        held(sale.r[0])

        text = administrator().get(page(sale.first.pk)).content.decode()

        for words in ("Night Garden", "180,000 won", "for sale", "VIP"):
            assert words in text
        assert "Glass Harbour" not in text
        assert '<svg class="figure-chart"' in text
        assert text.count("<caption") >= 4

    def test_of_a_concert_without_anything_is_shown(self) -> None:
        concert = ConcertFactory()

        text = administrator().get(page(concert.pk)).content.decode()

        assert "No date is ahead." in text
        assert "No visitor has come yet." in text

    def test_of_a_concert_without_a_room_shows_sales_and_leads_to_one(self, sale: Sale) -> None:
        sold(*sale.vip[:2])
        WaitingRoom.objects.all().delete()
        client = administrator()

        text = client.get(page(sale.first.pk)).content.decode()

        assert "There is no waiting room yet." in text
        assert "180,000 won" in text
        assert "/steer/" not in text
        prepare = reverse("admin:queue_waitingroom_prepare", args=[sale.first.pk])
        assert prepare in text
        assert "Add the waiting room" not in (
            clerk("view_waitingroom").get(page(sale.first.pk)).content.decode()
        )
        for _ in range(2):  # the second one finds it
            answer = send(client, prepare, {})
            room = WaitingRoom.objects.get(concert=sale.first)
            assert answer.url == page_of(room)
        assert LogEntry.objects.filter(object_id=str(room.pk)).count() == 1

    def test_of_no_concert_is_not_found(self) -> None:
        client = administrator()

        assert client.get(page(999_999)).status_code == 404
        assert fetch(client, 999_999).status_code == 404

    def test_offers_what_may_be_done(self, sale: Sale) -> None:
        admitted_visitor(sale.first.pk)
        client = administrator()
        room = WaitingRoom.objects.get(concert=sale.first)

        def offered() -> list[str]:
            text = client.get(page(sale.first.pk)).content.decode()
            return re.findall(rf"/waitingroom/{room.pk}/steer/(\w+)/\?from=cockpit", text)

        assert offered() == ["pause", "rate", "capacity", "close"]
        pause_room(concert_id=sale.first.pk, staff_id=None, reason="Slow payments.")
        sale_readings.get(str(sale.first.pk))
        connection_of_store_forgets()

        assert offered() == ["resume", "rate", "capacity", "close"]

    def test_says_when_its_figures_are_late(
        self, sale: Sale, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = administrator()
        shown = sale_readings.get(str(sale.first.pk))
        assert shown is not None

        monkeypatch.setattr(
            sale_readings, "get", lambda key: Reading(shown.data, shown.version, is_late=True)
        )

        assert "These figures are out of date" in client.get(page(sale.first.pk)).content.decode()


def connection_of_store_forgets() -> None:
    """Let everything that was read be too old."""
    from apps.core.lean_store import script_client

    script_client(settings.CACHE_URL).execute_command("FLUSHALL")
    clear_process_caches()


class TestRights:
    COCKPIT = "view_waitingroom"

    def test_decide_who_may_look(self, sale: Sale) -> None:
        for client, status in (
            (clerk("view_reservation"), 403),
            (clerk(self.COCKPIT), 200),
            (logged_in(CustomerFactory()), 302),
        ):
            assert client.get(page(sale.first.pk)).status_code == status
            assert fetch(client, sale.first.pk).status_code == (200 if status == 200 else 403)
        assert fetch(Client(), sale.first.pk).status_code == 403

    def test_decide_who_sees_what_was_sold(self, sale: Sale) -> None:
        sold(sale.vip[0])
        admitted_visitor(sale.first.pk)

        without = clerk(self.COCKPIT).get(page(sale.first.pk)).content.decode()
        with_sales = (
            clerk(self.COCKPIT, "view_reservation").get(page(sale.first.pk)).content.decode()
        )

        assert "won" not in re.sub(r"<[^>]*>", "", without)
        assert "The last 60 minutes" not in without
        assert "90,000 won" in with_sales
        assert "/steer/" not in with_sales

    def test_of_a_role_are_enough(self, sale: Sale) -> None:
        give_permissions()
        for role, status in (("Box office", 200), ("Operations", 200), ("Finance", 403)):
            user = CustomerFactory(staff=True)
            user.groups.add(Group.objects.get(name=role))
            assert logged_in(user).get(page(sale.first.pk)).status_code == status, role


class TestPass:
    def test_is_good_without_asking_the_database(self, sale: Sale) -> None:
        client = administrator()
        given = fetch(client, sale.first.pk).headers[HEADER]

        with CaptureQueriesContext(connection) as captured:
            answer = fetch(client, sale.first.pk, given)

        assert answer.status_code == 200
        assert len(captured) == 0
        assert HEADER not in answer.headers

    def test_is_carried_by_the_page(self, sale: Sale) -> None:
        client = administrator()
        text = client.get(page(sale.first.pk)).content.decode()
        found = re.search(r'data-pass="([^"]+)"', text)
        assert found

        with CaptureQueriesContext(connection) as captured:
            answer = fetch(client, sale.first.pk, found[1])

        assert (answer.status_code, len(captured)) == (200, 0)

    def test_of_another_browser_is_none(self, sale: Sale) -> None:
        given = fetch(administrator(), sale.first.pk).headers[HEADER]

        assert fetch(Client(), sale.first.pk, given).status_code == 403
        assert fetch(clerk("view_reservation"), sale.first.pk, given).status_code == 403

    @pytest.mark.parametrize("given", ["", "nonsense", "a:b:c", "\u00e9"])
    def test_that_is_none_asks_for_the_login(self, sale: Sale, given: str) -> None:
        assert fetch(Client(), sale.first.pk, given).status_code == 403
        assert fetch(administrator(), sale.first.pk, given).status_code == 200

    def test_ends_when_the_right_is_taken_away(self, sale: Sale) -> None:
        client = clerk("view_waitingroom")
        user = User.objects.get(pk=client.session["_auth_user_id"])
        given = fetch(client, sale.first.pk).headers[HEADER]
        user.user_permissions.clear()
        forget(house_readings)

        assert fetch(client, sale.first.pk, given).status_code == 403

    def test_ends_when_the_account_does(self, sale: Sale) -> None:
        client = administrator()
        given = fetch(client, sale.first.pk).headers[HEADER]
        User.objects.filter(pk=client.session["_auth_user_id"]).update(is_active=False)
        forget(house_readings)

        assert fetch(client, sale.first.pk, given).status_code == 403

    def test_shows_what_the_account_may_see_by_now(self, sale: Sale) -> None:
        sold(sale.vip[0])
        client = clerk("view_waitingroom")
        user = User.objects.get(pk=client.session["_auth_user_id"])
        given = fetch(client, sale.first.pk).headers[HEADER]
        user.user_permissions.add(Permission.objects.get(codename="view_reservation"))
        forget(house_readings)

        with CaptureQueriesContext(connection) as captured:
            text = fetch(client, sale.first.pk, given).content.decode()

        assert "90,000 won" in text
        # Those of the reading of the house, and none for this viewer.
        assert not any("django_session" in query["sql"] for query in captured)

    def test_is_not_believed_for_long_if_nothing_confirms_it(
        self, sale: Sale, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = administrator()
        given = fetch(client, sale.first.pk).headers[HEADER]
        monkeypatch.setattr(passes, "BELIEVED_SECONDS", 0.0)
        monkeypatch.setattr(passes, "viewers", list)

        answer = fetch(client, sale.first.pk, given)

        assert answer.status_code == 200
        assert answer.headers[HEADER] != given


def forget(readings: Any) -> None:
    """Let the last reading be too old, in the store and in this process."""
    from apps.core.lean_store import script_client

    client = script_client(settings.CACHE_URL)
    for key in client.execute_command("KEYS", f"reading:{{{readings._name}:*"):
        client.execute_command("DEL", key)
    readings._at_hand.clear()


class TestCost:
    VIEWERS = 50

    def test_all_viewers_share_one_reading(
        self, sale: Sale, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Look at once as fifty members of staff do, each with a pass: nothing is asked of the database but one reading of each kind."""
        browsers = [administrator() for _ in range(self.VIEWERS)]
        passes_given = [fetch(browser, sale.first.pk).headers[HEADER] for browser in browsers]
        connection_of_store_forgets()
        calls = {"sale": 0, "house": 0}
        monkeypatch.setattr(sale_readings, "_read", counting(calls, "sale", read_sale))
        monkeypatch.setattr(house_readings, "_read", counting(calls, "house", read_house))

        with CaptureQueriesContext(connection) as captured:
            answers = [
                fetch(browser, sale.first.pk, given)
                for browser, given in zip(browsers, passes_given, strict=True)
            ]

        assert {answer.status_code for answer in answers} == {200}
        assert calls == {"sale": 1, "house": 1}
        assert not any("django_session" in query["sql"] for query in captured)

    def test_of_a_reading_is_one_question(self, sale: Sale) -> None:
        sold(sale.vip[0])
        data = read_sale(str(sale.first.pk), None)

        with CaptureQueriesContext(connection) as captured:
            read_sale(str(sale.first.pk), data)

        assert len(captured) == 1

    def test_of_the_house_is_a_handful_of_questions(self) -> None:
        administrator()
        read_house("", None)
        clear_process_caches()

        with CaptureQueriesContext(connection) as captured:
            read_house("", None)

        # With one of the sale every other second: less than one a second.
        assert len(captured) / HOUSE_SECONDS + 1 / SALE_SECONDS < 1

    def test_does_not_grow_with_the_sale(self, sale: Sale) -> None:
        def questions() -> int:
            with CaptureQueriesContext(connection) as captured:
                read_sale(str(sale.second.pk), read_sale(str(sale.second.pk), None))
            return len(captured)

        before = questions()
        PerformanceFactory(concert=sale.second, seats=5)
        sold(*sale.other_vip[:2])
        held(sale.other_r[0])

        assert questions() == before


def counting(calls: dict[str, int], name: str, read: Any) -> Any:
    def counted(key: str, previous: Data | None) -> Data:
        calls[name] += 1
        data: Data = read(key, previous)
        return data

    return counted


class TestDatabaseAway:
    def test_the_last_figures_stay_and_say_so(
        self, sale: Sale, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: object) -> None:
            raise OperationalError("away")

        sold(sale.vip[0])
        client = administrator()
        given = fetch(client, sale.first.pk).headers[HEADER]
        monkeypatch.setattr(sale_readings, "_seconds", 0.0)
        monkeypatch.setattr(sale_readings, "_read", away)
        sale_readings._at_hand.clear()

        answer = fetch(client, sale.first.pk, given)

        text = answer.content.decode()
        assert answer.status_code == 200
        assert "These figures are out of date" in text
        assert "90,000 won" in text


def test_a_hold_has_an_age(sale: Sale) -> None:
    young, old = held(sale.r[0]), held(*sale.vip[:2])
    Hold.objects.filter(pk=old.pk).update(held_at=timezone.now() - timedelta(seconds=150))
    Hold.objects.filter(pk=young.pk).update(held_at=timezone.now() - timedelta(seconds=10))

    shown = picture(read_sale(str(sale.first.pk), None))["holds"]

    assert [row[:4] for row in shown["rows"]] == [[0, 1, 1, R_PRICE], [2, 1, 2, 2 * VIP_PRICE]]
    assert (shown["number"], shown["seats"]) == (2, 3)
    assert timedelta(seconds=149) <= shown["oldest"] <= timedelta(seconds=160)
