"""Test what staff tell those who wait: where it is shown, for how long, and who may say it."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.concerts.errors import ConcertNotFound
from apps.core.caching import clear_process_caches
from apps.core.notices import NOTICE_MAX, NoticeText
from apps.core.store import StoreUnavailable
from apps.queue import services
from apps.queue.core.room import Room
from apps.queue.errors import QueueClosed
from apps.queue.models import RoomNotice, WaitingRoom
from apps.queue.selectors import waiting_room_status, waiting_room_status_of_visitor
from tests.boxoffice.sending import send, shown_by, typed
from tests.boxoffice.staff import page_of
from tests.conftest import Race
from tests.factories.accounts import CustomerFactory, browser_of, clerk_browser
from tests.factories.queue import WaitingRoomFactory
from tests.protections import LOCK_OF_A_ROOM, SAVING_A_NOTICE, before, without

pytestmark = pytest.mark.django_db

TEXT = NoticeText(en="The doors open at half past six.", ko="입장은 6시 30분부터입니다.")


@pytest.fixture
def staff() -> User:
    return CustomerFactory(staff=True, name="Ida Vale")


@pytest.fixture
def room(concert) -> WaitingRoom:
    WaitingRoomFactory()
    return WaitingRoom.objects.get(concert=concert)


def told(concert_id: int) -> tuple[str, str]:
    """Return what the next reading of the board says in English and in Korean."""
    clear_process_caches()
    status = waiting_room_status(concert_id)
    return status.notice_en, status.notice_ko


def notify(concert_id: int, staff: User, text: NoticeText = TEXT, **how: Any) -> RoomNotice:
    return services.notify_visitors(concert_id=concert_id, text=text, staff_id=staff.pk, **how)


class TestNotice:
    def test_is_on_the_board_of_its_room_alone(self, client, concert, room, staff):
        other = WaitingRoomFactory().concert
        until = timezone.now() + timedelta(hours=1)

        notify(concert.pk, staff, until=until)

        assert told(other.pk) == ("", "")
        board = client.get(reverse("waiting_room_status", args=[concert.pk])).json()["data"]
        assert (board["notice_en"], board["notice_ko"]) == TEXT
        assert board["notice_until"] == until.isoformat().replace("+00:00", "Z")

    def test_is_on_the_board_of_a_room_that_nobody_has_joined(self, staff):
        concert = WaitingRoomFactory().concert

        notify(concert.pk, staff)

        assert told(concert.pk) == TEXT

    @pytest.mark.parametrize("text", [NoticeText(en="Soon."), NoticeText(ko="곧 시작합니다.")])
    def test_in_one_language_is_for_everybody(self, concert, room, staff, text):
        notify(concert.pk, staff, text)

        assert told(concert.pk) == (text.en or text.ko,) * 2

    def test_takes_the_place_of_the_one_before(self, concert, room, staff):
        first = notify(concert.pk, staff)
        other_room = notify(WaitingRoomFactory().concert_id, staff)

        second = notify(concert.pk, CustomerFactory(staff=True), NoticeText(en="Later."))

        first.refresh_from_db()
        assert told(concert.pk) == ("Later.", "Later.")
        assert (first.ended_at, first.ended_by_id) == (second.sent_at, second.sent_by_id)
        assert set(RoomNotice.objects.standing()) == {second, other_room}

    def test_ends_by_itself(self, concert, room, staff):
        notice = notify(concert.pk, staff, until=timezone.now() + timedelta(hours=1))
        ago = timezone.now() - timedelta(seconds=1)
        RoomNotice.objects.update(sent_at=ago - timedelta(hours=1), shown_until=ago)

        assert told(concert.pk) == ("", "")
        notice.refresh_from_db()
        assert not notice.is_shown(timezone.now())
        notify(concert.pk, staff)
        assert told(concert.pk) == TEXT

    def test_is_taken_back_once(self, concert, room, staff):
        notice = notify(concert.pk, staff)
        boss = CustomerFactory(staff=True)

        outcomes = [
            services.take_back_room_notice(notice_id=notice.pk, staff_id=boss.pk) for _ in range(2)
        ]

        assert outcomes == [True, False]
        assert told(concert.pk) == ("", "")
        notice.refresh_from_db()
        assert notice.ended_by == boss

    def test_is_told_while_the_concert_is_offline(self, concert, visitors, staff):
        notify(concert.pk, staff)
        concert.is_published = False
        concert.save(update_fields=["is_published"])
        clear_process_caches()

        assert waiting_room_status_of_visitor(concert.pk).notice_in("ko") == TEXT.ko

    def test_is_written_into_the_history_with_its_text(self, concert, room, staff):
        notice = notify(concert.pk, staff)
        services.take_back_room_notice(notice_id=notice.pk, staff_id=staff.pk)

        entries = LogEntry.objects.filter(object_id=room.pk).order_by("pk")
        words = [entry.get_change_message() for entry in entries]
        assert words == [
            f"Told those who wait: “{TEXT.en}”",
            f"Took back what those who wait were told: “{TEXT.en}”",
        ]
        assert {entry.user for entry in entries} == {staff}

    def test_costs_the_board_no_query(self, concert, room, staff):
        def queries() -> int:
            clear_process_caches()
            with CaptureQueriesContext(connection) as captured:
                waiting_room_status(concert.pk)
            return len(captured)

        before = queries()
        notify(concert.pk, staff)

        assert queries() == before


class TestRefusals:
    @pytest.mark.parametrize(
        "text",
        [
            NoticeText(),
            NoticeText(en=" "),
            NoticeText(ko="가" * (NOTICE_MAX + 1)),
            NoticeText(en="Turned \u202e around"),
        ],
    )
    def test_of_a_text_that_cannot_be_shown(self, concert, room, staff, text):
        first = notify(concert.pk, staff)

        with pytest.raises(ValidationError):
            notify(concert.pk, staff, text)

        assert RoomNotice.objects.get() == first
        assert told(concert.pk) == TEXT

    def test_of_a_time_that_is_over(self, concert, room, staff):
        with pytest.raises(ValidationError, match="still to come"):
            notify(concert.pk, staff, until=timezone.now() - timedelta(seconds=1))

        assert not RoomNotice.objects.exists()

    def test_of_a_room_in_which_nobody_waits_any_more(self, concert, room, staff):
        services.close_room(concert_id=concert.pk, staff_id=staff.pk)

        with pytest.raises(QueueClosed):
            notify(concert.pk, staff)

        assert not RoomNotice.objects.exists()

    def test_of_a_concert_that_is_not_there(self, staff):
        with pytest.raises(ConcertNotFound):
            notify(404_404, staff)


@pytest.mark.no_live_room
@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    @pytest.fixture
    def send_two(self, race: Race) -> Callable[[], list[Any]]:
        concert_id, staff = WaitingRoomFactory().concert_id, CustomerFactory(staff=True)
        texts = [NoticeText(en="One."), NoticeText(en="Other.")]
        return lambda: race([partial(notify, concert_id, staff, text) for text in texts])

    def test_are_shown_one_after_the_other(self, send_two):
        sent = send_two()

        assert all(isinstance(notice, RoomNotice) for notice in sent)
        assert RoomNotice.objects.count() == 2
        assert RoomNotice.objects.standing().get() in sent

    def test_without_the_lock_one_is_refused_by_the_constraint(self, send_two, monkeypatch):
        without(monkeypatch, LOCK_OF_A_ROOM)
        before(monkeypatch, SAVING_A_NOTICE, threading.Barrier(2).wait)

        sent = send_two()

        assert sorted(type(outcome).__name__ for outcome in sent) == [
            "IntegrityError",
            "RoomNotice",
        ]
        assert RoomNotice.objects.get() in sent


class TestPages:
    values = {"text_en": TEXT.en, "text_ko": TEXT.ko}

    @pytest.fixture
    def writer(self) -> Client:
        return clerk_browser("notify_visitors", "view_waitingroom", "view_roomnotice")

    def url(self, room: WaitingRoom) -> str:
        return reverse("admin:queue_roomnotice_write", args=[room.pk])

    def test_look_at_it_first_with_the_number_of_those_who_wait(self, writer, room, visitors):
        page = writer.get(self.url(room)).content.decode()
        preview = send(writer, self.url(room), self.values)

        assert 'name="send"' not in page
        text = preview.content.decode()
        assert preview.context["readers"][0][1] == "5"
        for code in ("en", "ko"):
            assert f'lang="{code}">{getattr(TEXT, code)}</blockquote>' in text
        assert 'name="send"' in text
        assert not RoomNotice.objects.exists()

    def test_send_it(self, writer, room, visitors):
        until = timezone.now().replace(microsecond=0) + timedelta(hours=2)

        answer = send(
            writer, self.url(room), {**self.values, **typed("shown_until", until), "send": "1"}
        )

        notice = RoomNotice.objects.get()
        assert answer.headers["Location"] == page_of(room)
        assert (notice.wording, notice.shown_until, notice.waiting) == (TEXT, until, 5)
        assert TEXT.en in writer.get(page_of(room)).content.decode()
        listing = writer.get(reverse("admin:queue_roomnotice_changelist")).content.decode()
        assert TEXT.en in listing

    def test_send_it_once_for_two_clicks(self, writer, room):
        form = {**self.values, "send": "1", "_shown": shown_by(writer, self.url(room))}

        answers = [writer.post(self.url(room), form).status_code for _ in range(2)]

        assert answers == [302, 302]
        assert RoomNotice.objects.count() == 1

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"text_en": "", "text_ko": " "}, "Enter a text in at least one language."),
            ({"text_en": "x" * (NOTICE_MAX + 1)}, "at most 500 characters"),
            ({"text_ko": "숨은\u200b글자"}, "hidden character"),
            (
                {"shown_until_0": "2020-01-01", "shown_until_1": "10:00"},
                "Enter a time that is still to come.",
            ),
        ],
    )
    def test_refuse_in_words(self, writer, room, changes, words):
        answer = send(writer, self.url(room), {**self.values, "send": "1", **changes})

        assert answer.status_code == 200
        assert words in answer.content.decode()
        assert not RoomNotice.objects.exists()

    def test_refuse_for_a_room_that_was_closed_meanwhile(self, writer, room, staff):
        form = {**self.values, "send": "1", "_shown": shown_by(writer, self.url(room))}
        services.close_room(concert_id=room.concert_id, staff_id=staff.pk)

        answer = writer.post(self.url(room), form)

        assert "The waiting room is closed." in answer.content.decode()
        assert not RoomNotice.objects.exists()

    def test_open_while_the_store_is_away(self, writer, room, monkeypatch):
        def away(*_: Any) -> None:
            raise StoreUnavailable

        monkeypatch.setattr(Room, "figures", away)

        page = writer.get(self.url(room))
        answer = send(writer, self.url(room), {**self.values, "send": "1"})

        assert "not known" in page.content.decode()
        assert answer.status_code == 302
        assert RoomNotice.objects.get().waiting is None

    def test_keep_the_lines_of_a_text(self, writer, room):
        send(writer, self.url(room), {"text_en": "One.\r\nTwo.", "send": "1"})

        assert RoomNotice.objects.get().text_en == "One.\nTwo."

    def test_take_it_back(self, writer, room, staff):
        notice = notify(room.concert_id, staff)
        end = reverse("admin:queue_roomnotice_end", args=[notice.pk])
        offered = f'href="{reverse("admin:queue_roomnotice_take_back", args=[notice.pk])}"'
        before = writer.get(page_of(notice)).content.decode()

        answers = [send(writer, end, {}) for _ in range(2)]

        assert offered in before
        assert [answer.headers["Location"] for answer in answers] == [page_of(notice)] * 2
        assert told(room.concert_id) == ("", "")
        assert offered not in writer.get(page_of(notice)).content.decode()

    def test_are_for_those_who_may(self, room, staff):
        notice = notify(room.concert_id, staff)
        pages = (self.url(room), reverse("admin:queue_roomnotice_end", args=[notice.pk]))
        looking = clerk_browser("view_waitingroom", "change_waitingroom", "view_roomnotice")

        statuses = {
            getattr(looking, way)(url).status_code for url in pages for way in ("get", "post")
        }

        assert statuses == {403}
        for page in (page_of(room), page_of(notice)):
            text = looking.get(page).content.decode()
            assert "notify_visitors" not in text
            assert "take_back" not in text
        assert told(room.concert_id) == TEXT

    def test_are_left_alone_by_an_administrator_of_no_room(self):
        boss = browser_of(CustomerFactory(admin=True))

        urls = [
            reverse("admin:queue_roomnotice_write", args=[404_404]),
            reverse("admin:queue_roomnotice_end", args=[404_404]),
        ]

        assert {boss.get(url).status_code for url in urls} == {404}
