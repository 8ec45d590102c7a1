"""Test that a control says what it would do before it does it, and that limits overwrite nothing that they did not show."""

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.test import Client, TestCase
from django.urls import reverse
from django.utils import timezone

from apps.core.store import StoreUnavailable
from apps.queue.core.room import Room
from apps.queue.models import PolicyChange, WaitingRoom
from apps.queue.services import set_capacity
from tests.boxoffice.sending import send, shown_by
from tests.factories.accounts import CustomerFactory, browser_of, clerk_browser

pytestmark = pytest.mark.django_db


@pytest.fixture
def room(concert, visitors) -> WaitingRoom:
    return WaitingRoom.objects.get(concert=concert)


@pytest.fixture
def staff() -> Client:
    return browser_of(CustomerFactory(admin=True))


def control(room: WaitingRoom, name: str) -> str:
    return reverse("admin:queue_waitingroom_steer", args=[room.pk, name])


def sentences(answer: Any) -> list[str]:
    assert answer.status_code == 200
    found: list[str] = answer.context["preview"]
    return found


def clock_in(sentence: str) -> datetime:
    """Return the time of day that a sentence names, today at the venue."""
    found = re.search(r"(\d\d):(\d\d)", sentence)
    assert found, sentence
    now = timezone.localtime(timezone.now(), ZoneInfo(settings.VENUE_TIME_ZONE))
    return now.replace(hour=int(found[1]), minute=int(found[2]))


class TestPreview:
    def test_of_a_pause_says_who_waits_and_who_goes_on(self, staff, room):
        told = sentences(staff.get(control(room, "pause")))

        assert told == ["5 visitors are waiting.", "0 visitors are inside and go on buying."]

    def test_of_closing_says_who_loses_what(self, staff, room):
        told = sentences(staff.get(control(room, "close")))

        assert told == [
            "5 visitors who wait lose their places.",
            "0 visitors who are inside lose their turns.",
        ]

    @pytest.mark.parametrize("name", ["open", "resume"])
    def test_of_admitting_says_when_the_queue_is_empty(self, staff, room, name):
        first, last = sentences(staff.get(control(room, name)))

        assert first == "5 visitors are waiting."
        assert re.fullmatch(r"At [\d.]+ a minute the queue is empty at about \d\d:\d\d\.", last)

    def test_of_rates_are_some_around_the_present_one(self, staff, room):
        told = sentences(staff.get(control(room, "rate")))

        assert told[0] == "5 visitors are waiting."
        assert len(told) >= 4
        assert told[-1].startswith("Without a limit, ")

    def test_of_a_rate_says_when_the_queue_is_empty(self, staff, room):
        url = control(room, "rate")
        WaitingRoom.objects.filter(pk=room.pk).update(capacity=100)
        form = {
            "_shown": shown_by(staff, url),
            "admissions_per_minute": "1",
            "seen": "",
            "preview": "1",
        }

        before = timezone.now()
        [told] = sentences(staff.post(url, form))

        assert told.startswith("At 1 a minute the queue is empty at about ")
        until = clock_in(told)
        assert abs(until - (before + timedelta(minutes=5))) <= timedelta(minutes=2)
        room.refresh_from_db()
        assert room.admissions_per_minute is None
        assert not PolicyChange.objects.exists()

    def test_may_be_followed_by_the_real_thing_with_the_same_form(self, staff, room):
        url = control(room, "capacity")
        form = {"_shown": shown_by(staff, url), "capacity": "80", "seen": str(room.capacity)}

        staff.post(url, form | {"preview": "1"})
        answer = staff.post(url, form)

        assert answer.status_code == 302
        room.refresh_from_db()
        assert room.capacity == 80

    def test_says_that_it_is_not_known(self, staff, room, monkeypatch):
        def away(_room: Room) -> None:
            raise StoreUnavailable

        monkeypatch.setattr(Room, "figures", away)

        for name in ("open", "pause", "resume", "close", "rate", "capacity"):
            [told] = sentences(staff.get(control(room, name)))
            assert told.startswith("How many visitors wait is not known")


class TestLimits:
    def test_change_with_a_record(self, staff, room, concert):
        with TestCase.captureOnCommitCallbacks(execute=True):
            answer = send(
                staff,
                control(room, "rate"),
                {"admissions_per_minute": "1,200", "seen": "", "reason": "Payments are slow."},
            )

        assert answer.status_code == 302
        room.refresh_from_db()
        assert room.admissions_per_minute == 1_200
        change = PolicyChange.objects.get()
        assert (change.field, change.new_value, change.reason) == (
            "admissions_per_minute",
            "1200",
            "Payments are slow.",
        )
        assert LogEntry.objects.filter(object_id=str(room.pk)).count() == 1

    def test_can_be_lifted(self, staff, room):
        WaitingRoom.objects.filter(pk=room.pk).update(admissions_per_minute=60)

        send(staff, control(room, "rate"), {"admissions_per_minute": "", "seen": "60"})

        room.refresh_from_db()
        assert room.admissions_per_minute is None

    @pytest.mark.parametrize(
        ("name", "value"), [("rate", "0"), ("rate", "x"), ("capacity", ""), ("capacity", "100001")]
    )
    def test_out_of_bounds_are_refused(self, staff, room, name, value):
        field = {"rate": "admissions_per_minute", "capacity": "capacity"}[name]
        seen = {"rate": "", "capacity": str(room.capacity)}[name]

        answer = send(staff, control(room, name), {field: value, "seen": seen})

        assert answer.status_code == 200
        assert answer.context["form"].errors.keys() == {field}
        assert not PolicyChange.objects.exists()

    def test_that_a_colleague_has_changed_are_not_overwritten(self, staff, room, concert):
        url = control(room, "capacity")
        form = {"_shown": shown_by(staff, url), "capacity": "80", "seen": str(room.capacity)}
        colleague = CustomerFactory(staff=True, email="kim@example.com")
        set_capacity(concert_id=concert.pk, capacity=500, staff_id=colleague.pk)

        answer = staff.post(url, form)

        assert answer.status_code == 200
        [refusal] = answer.context["form"].non_field_errors()
        assert "This was changed in the meantime" in refusal
        assert "kim@example.com: capacity: 2 → 500" in refusal
        room.refresh_from_db()
        assert room.capacity == 500

    def test_are_changed_once_by_a_form_that_is_sent_twice(self, staff, room):
        url = control(room, "capacity")
        form = {"_shown": shown_by(staff, url), "capacity": "80", "seen": str(room.capacity)}

        assert [staff.post(url, form).status_code for _ in range(2)] == [302, 302]

        assert PolicyChange.objects.count() == 1

    def test_need_the_right_to_steer(self, room):
        looking = clerk_browser("view_waitingroom")

        for name in ("rate", "capacity"):
            assert looking.get(control(room, name)).status_code == 403


class TestWayBack:
    def test_leads_to_the_page_that_led_here(self, staff, room, concert):
        url = control(room, "pause")
        cockpit = reverse("boxoffice:cockpit", args=[concert.pk])

        from_room = send(staff, url, {"reason": "Slow payments."})
        from_cockpit = send(staff, f"{control(room, 'resume')}?from=cockpit", {})

        assert from_room.url == reverse("admin:queue_waitingroom_change", args=[room.pk])
        assert from_cockpit.url == cockpit
