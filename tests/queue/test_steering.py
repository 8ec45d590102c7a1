"""The wheel: every control of a waiting room, by the doors that staff have."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client, TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from apps.concerts.models import Concert
from apps.core.store import StoreUnavailable
from apps.queue import admin as room_admin
from apps.queue import services
from apps.queue.core.room import Room
from apps.queue.models import PolicyChange, QueueExit, WaitingRoom
from tests.boxoffice.sending import send, shown_by
from tests.factories.accounts import CustomerFactory, browser_of, clerk_browser
from tests.queue.rooms import policy_form

pytestmark = pytest.mark.django_db

PAUSED = "We are looking into slow payments."


@pytest.fixture
def room(concert, visitors) -> WaitingRoom:
    return WaitingRoom.objects.get(concert=concert)


def away(*_: Any, **__: Any) -> None:
    raise StoreUnavailable


class Staff:
    """A browser with the pages of one room."""

    def __init__(self, client: Client, room: WaitingRoom) -> None:
        self.client, self.room = client, room

    def page(self) -> str:
        url = reverse("admin:queue_waitingroom_change", args=[self.room.pk])
        return self.client.get(url).content.decode()

    def control(self, name: str) -> str:
        return reverse("admin:queue_waitingroom_steer", args=[self.room.pk, name])

    def steer(self, name: str, **values: str) -> Any:
        with TestCase.captureOnCommitCallbacks(execute=True):
            return send(self.client, self.control(name), values)


@pytest.fixture
def staff(room) -> Staff:
    return Staff(browser_of(CustomerFactory(admin=True)), room)


class TestPages:
    def test_a_pause_reaches_visitors_with_its_reason(self, staff, concert):
        answer = staff.steer("pause", reason=PAUSED)

        assert answer.status_code == 302
        assert services.admit_now(concert.pk) == 0
        board = staff.client.get(reverse("waiting_room_status", args=[concert.pk])).json()["data"]
        assert (board["state"], board["pause_reason"]) == ("PAUSED", PAUSED)

    def test_the_round_from_pause_to_open(self, staff, room):
        states = []
        for control in ("pause", "resume", "close", "open"):
            staff.steer(control, reason="round")
            room.refresh_from_db()
            states.append(room.state)

        assert states == ["PAUSED", "OPEN", "CLOSED", "OPEN"]
        changes = PolicyChange.objects.filter(field="state").order_by("pk")
        assert [(change.new_value, change.reason) for change in changes] == [
            (s, "round") for s in states
        ]
        assert {change.changed_by_id for change in changes} == {
            int(staff.client.session["_auth_user_id"])
        }
        assert LogEntry.objects.filter(object_id=str(room.pk)).count() == 4

    def test_a_visitor_is_removed_by_email(self, staff, visitors):
        staff.steer("remove", email=f" {visitors[1].customer.email.upper()} ", reason="Tout")

        assert visitors[1].standing == "REMOVED"
        assert visitors[0].standing == "WAITING"
        assert PolicyChange.objects.get().reason == "Tout"

    @pytest.mark.parametrize(
        ("email", "words"),
        [
            ("nobody@example.com", "There is no account with this email address."),
            ("elsewhere@example.com", "This visitor has no place in the waiting room."),
        ],
    )
    def test_who_is_not_there_cannot_be_removed(self, staff, email, words):
        CustomerFactory(email="elsewhere@example.com")

        answer = staff.steer("remove", email=email, reason="Tout")

        assert words in answer.content.decode()
        assert not PolicyChange.objects.exists()

    def test_a_removal_that_the_store_did_not_take_may_be_sent_again(
        self, staff, visitors, monkeypatch
    ):
        url = staff.control("remove")
        form = {
            "_shown": shown_by(staff.client, url),
            "email": visitors[1].customer.email,
            "reason": "Tout",
        }
        with monkeypatch.context() as patch:
            patch.setattr(Room, "finish_all", away)
            refused = staff.client.post(url, form)
        assert refused.status_code == 200
        assert visitors[1].standing == "WAITING"
        assert QueueExit.objects.get().reason == "REMOVED"

        answers = [staff.client.post(url, form) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [302, 302]
        assert visitors[1].standing == "REMOVED"
        assert QueueExit.objects.count() == LogEntry.objects.count() == 1

    @pytest.mark.parametrize("control", ["pause", "close", "remove"])
    def test_what_hurts_needs_a_reason(self, staff, room, visitors, control):
        answer = staff.steer(control, email=visitors[0].customer.email, reason=" ")

        assert answer.status_code == 200
        assert "This field is required." in answer.content.decode()
        room.refresh_from_db()
        assert room.state == "OPEN"
        assert visitors[0].standing == "WAITING"

    def offered(self, staff: Staff) -> list[str]:
        page = staff.page()
        assert PAUSED in page or WaitingRoom.objects.get().state != "PAUSED"
        names = ("open_now", "pause", "resume", "close")
        urls = {name: reverse(f"admin:queue_waitingroom_{name}", args=["x"]) for name in names}
        return [
            name
            for name, url in urls.items()
            if f'href="{url.replace("x", str(staff.room.pk))}"' in page
        ]

    def test_only_what_its_state_allows_is_offered(self, staff):
        offered = [self.offered(staff)]
        for control in ("pause", "resume", "close"):
            staff.steer(control, reason=PAUSED)
            offered.append(self.offered(staff))

        assert offered == [
            ["pause", "close"],
            ["resume", "close"],
            ["pause", "close"],
            ["open_now"],
        ]

    def test_before_its_opening_a_room_may_be_opened_early_once_sales_are_open(
        self, staff, concert, room
    ):
        WaitingRoom.objects.update(opens_at=timezone.now() + timedelta(hours=1))
        early = self.offered(staff)
        staff.steer("pause", reason=PAUSED)
        paused = self.offered(staff)
        opens_at = timezone.now() + timedelta(minutes=30)
        Concert.objects.filter(pk=concert.pk).update(sales_open_at=opens_at)

        before_sales = self.offered(staff)

        assert early == ["open_now", "pause", "close"]
        assert paused == ["resume", "close"]
        assert before_sales == ["resume", "close"]

    @pytest.mark.parametrize(
        ("before", "control", "words"),
        [
            ("pause", "open", "The waiting room is paused. Resume it instead."),
            ("pause", "pause", "The waiting room is paused already."),
            ("resume", "open", "The waiting room is open already."),
            ("resume", "resume", "The waiting room is not paused."),
            ("close", "close", "The waiting room is closed already."),
            ("close", "pause", "The waiting room is closed"),
        ],
    )
    def test_what_makes_no_sense_is_refused_with_who_did_what(
        self, staff, room, before, control, words
    ):
        staff.steer("pause", reason="First")
        if before != "pause":
            staff.steer(before, reason="First")
        room.refresh_from_db()
        changes = PolicyChange.objects.count()

        answer = staff.steer(control, reason="Second")

        text = answer.content.decode()
        assert words in text
        if control != "pause" or before == "pause":
            assert f"{CustomerFactory._meta.model.objects.get(is_staff=True).email}, " in text
            assert ": First" in text
            assert f"{words} " in staff.client.get(staff.control(control)).content.decode()
        state, reason = room.state, room.pause_reason
        room.refresh_from_db()
        assert (room.state, room.pause_reason) == (state, reason)
        assert PolicyChange.objects.count() == changes

    def test_who_may_only_look_steers_nothing(self, room):
        looking = Staff(clerk_browser("view_waitingroom"), room)

        urls = [looking.control(name) for name in ("pause", "close")]
        answers = [looking.client.post(url, {"reason": "x"}).status_code for url in urls]

        assert answers == [403, 403]
        assert "/steer/" not in looking.page()
        room.refresh_from_db()
        assert room.state == "OPEN"

    def test_opening_before_the_sales_is_refused_with_the_date(self, staff, concert, room):
        Concert.objects.filter(pk=concert.pk).update(
            sales_open_at=timezone.now() + timedelta(days=2)
        )

        answer = staff.steer("open")

        assert "Sales have not opened yet. They open on" in answer.content.decode()
        assert not PolicyChange.objects.exists()

    def test_saving_an_edit_does_not_ask_the_store_for_figures(self, staff, room, monkeypatch):
        url = reverse("admin:queue_waitingroom_change", args=[room.pk])
        shown = shown_by(staff.client, url)
        asked: list[int] = []
        monkeypatch.setattr(room_admin, "live_figures", asked.append)
        values = policy_form(_shown=shown, capacity="80")

        answer = staff.client.post(url, values)

        assert answer.status_code == 302
        assert asked == []

    def test_the_buttons_of_a_page_read_the_room_once(self, staff):
        staff.page()

        with CaptureQueriesContext(connection) as captured:
            staff.page()

        rooms = [query for query in captured if 'FROM "queue_waitingroom"' in query["sql"]]
        assert len(rooms) == 2  # for the form, and for the buttons

    def test_there_is_no_other_control(self, staff):
        assert staff.client.get(staff.control("explode")).status_code == 404

    def test_an_edit_of_the_policy_needs_a_reason(self, staff, room):
        values = policy_form(capacity="80", reason=" ")

        answer = send(
            staff.client, reverse("admin:queue_waitingroom_change", args=[room.pk]), values
        )

        assert "This field is required." in answer.content.decode()
        assert not PolicyChange.objects.exists()
        room.refresh_from_db()
        assert room.capacity == 2

    def test_an_edit_of_the_policy_keeps_its_reason(self, staff, room):
        values = policy_form(capacity="80", reason="More doors")
        send(staff.client, reverse("admin:queue_waitingroom_change", args=[room.pk]), values)

        change = PolicyChange.objects.get()
        assert (change.field, change.new_value, change.reason) == ("capacity", "80", "More doors")

    def test_the_form_does_not_open_before_the_sales(self, staff, concert, room):
        Concert.objects.filter(pk=concert.pk).update(
            sales_open_at=timezone.now() + timedelta(days=2)
        )
        at = timezone.localtime(timezone.now() + timedelta(days=1))
        values = policy_form(opens_at_0=f"{at:%Y-%m-%d}", opens_at_1=f"{at:%H:%M:%S}")

        answer = send(
            staff.client, reverse("admin:queue_waitingroom_change", args=[room.pk]), values
        )

        assert "They open on" in answer.content.decode()
        assert not PolicyChange.objects.exists()


def room_command(concert_id: int, control: str, *arguments: object) -> dict[str, Any]:
    """Run one control, with the hooks of its commit as outside a test, and return what is shown afterwards."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        call_command("room", str(concert_id), control, *map(str, arguments), stdout=StringIO())
    printed = StringIO()
    call_command("room", str(concert_id), "show", "--json", stdout=printed)
    seen: dict[str, Any] = json.loads(printed.getvalue())
    return seen


class TestCommand:
    def test_shows_policy_figures_and_changes(self, concert, room):
        services.set_capacity(concert_id=concert.pk, capacity=7, actor="root", reason="why")

        seen = room_command(concert.pk, "show")

        assert (seen["state"], seen["capacity"], seen["live"]["waiting"]) == ("OPEN", 7, 5)
        [change] = seen["changes"]
        assert (change["field"], change["by"], change["reason"]) == ("capacity", "root", "why")

    def test_shows_lines_for_people(self, concert, room):
        printed = StringIO()

        call_command("room", str(concert.pk), "show", stdout=printed)

        assert "capacity                2" in printed.getvalue()

    def test_steers(self, concert, visitors, room):
        paused = room_command(concert.pk, "pause", "--reason", PAUSED)
        resumed = room_command(concert.pk, "resume")
        changed = room_command(concert.pk, "capacity", "1,000")
        slowed = room_command(concert.pk, "rate", "60")
        hurried = room_command(concert.pk, "rate", "none")
        removed = room_command(
            *(concert.pk, "remove", visitors[0].customer.email, "--reason", "Tout")
        )
        closed = room_command(concert.pk, "close", "--reason", "Over")
        opened = room_command(concert.pk, "open")

        assert (paused["state"], paused["pause_reason"]) == ("PAUSED", PAUSED)
        assert (paused["live"]["state"], resumed["live"]["state"]) == ("PAUSED", "OPEN")
        assert changed["capacity"] == 1_000
        assert (slowed["admissions_per_minute"], hurried["admissions_per_minute"]) == (60, None)
        assert removed["live"]["waiting"] + removed["live"]["active"] == 4
        assert (closed["state"], opened["state"]) == ("CLOSED", "OPEN")
        assert all("(command line)" in change["by"] for change in opened["changes"])

    def test_takes_the_concert_offline_and_publishes_it(self, concert, visitors, room):
        offline = room_command(concert.pk, "withdraw", "--reason", PAUSED)
        online = room_command(concert.pk, "publish")

        assert (offline["is_published"], offline["withdrawal_reason"]) == (False, PAUSED)
        assert (offline["live"]["state"], offline["live"]["waiting"]) == ("WITHDRAWN", 5)
        assert (online["is_published"], online["live"]["state"]) == (True, "OPEN")
        assert online["live"]["waiting"] == 5
        assert [change["field"] for change in online["changes"]] == ["is_published"] * 2
        assert all("(command line)" in change["by"] for change in online["changes"])

    def test_names_the_account_that_acts(self, concert, room):
        clerk = CustomerFactory(staff=True)

        seen = room_command(concert.pk, "capacity", 9, "--by", clerk.email)

        assert seen["changes"][0]["by"] == clerk.email

    def test_opens_at_a_time_of_the_venue(self, concert, room):
        venue = ZoneInfo(settings.VENUE_TIME_ZONE)
        at = timezone.localtime(timezone.now() + timedelta(hours=1), venue).replace(microsecond=0)

        seen = room_command(concert.pk, "open", f"{at:%Y-%m-%dT%H:%M:%S}")

        assert WaitingRoom.objects.get().opens_at == at
        assert seen["live"]["state"] == "SCHEDULED"

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["pause"], "pause needs a --reason"),
            (["close"], "close needs a --reason"),
            (["withdraw"], "withdraw needs a --reason"),
            (["capacity"], "capacity needs a number"),
            (["capacity", "0"], "The capacity must be 1 to 100,000."),
            (["capacity", "many"], "not a whole number"),
            (["capacity", "9" * 30], "not a whole number"),
            (["rate", "0"], "To admit no visitors, pause the room."),
            (["resume", "now"], "resume takes no value"),
            (["open", "tomorrow"], "not a time"),
            (["open", "2026-13-41T00:00"], "not a time"),
            (["remove", "nobody@example.com", "--reason", "x"], "There is no account"),
            (["pause", "--reason", "x" * 201], "200 characters"),
            (["capacity", "9", "--by", "nobody@example.com"], "There is no account of staff"),
        ],
    )
    def test_refuses_in_words_and_changes_nothing(self, concert, room, arguments, words):
        with pytest.raises(CommandError, match=words):
            room_command(concert.pk, *arguments)

        assert not PolicyChange.objects.exists()
        assert WaitingRoom.objects.get().version == room.version

    def test_refuses_a_concert_that_is_not_there(self):
        with pytest.raises(CommandError, match="There is no concert 4711"):
            room_command(4711, "show")

    def test_refuses_opening_before_the_sales_and_tells_the_time_of_the_venue(self, upcoming):
        opens_at = timezone.localtime(upcoming.sales_open_at, ZoneInfo(settings.VENUE_TIME_ZONE))

        with pytest.raises(
            CommandError, match=r"Sales have not opened yet\. They open on"
        ) as error:
            room_command(upcoming.pk, "open")

        assert date_format(opens_at, "DATETIME_FORMAT") in str(error.value)
