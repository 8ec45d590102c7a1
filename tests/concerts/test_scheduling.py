"""Performances that are moved: their times, who is told, and that it is told once."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client, TestCase
from django.utils import timezone

from apps.concerts.errors import PerformanceNotFound
from apps.concerts.models import LENGTH_MAX, USUAL_LENGTH, Concert, Performance
from apps.outbox.events import PERFORMANCE_RESCHEDULED
from apps.outbox.models import EventDelivery, OutboxEvent
from tests.boxoffice.sending import concert_form, send, typed
from tests.boxoffice.staff import page_of
from tests.factories.concerts import ConcertFactory, PerformanceFactory, reschedule

pytestmark = pytest.mark.django_db


def move(performance: Performance, **times: datetime) -> Performance:
    moved = reschedule(performance, **times)
    performance.refresh_from_db()
    return moved


def events() -> list[OutboxEvent]:
    return list(OutboxEvent.objects.filter(type=PERFORMANCE_RESCHEDULED).order_by("occurred_at"))


@pytest.fixture
def performance() -> Performance:
    """A performance that begins at a full second, as all that staff type does."""
    at = (timezone.now() + timedelta(days=30)).replace(microsecond=0)
    return PerformanceFactory(starts_at=at)


class TestEnds:
    def test_are_three_hours_after_the_beginning_unless_named(self) -> None:
        usual = PerformanceFactory()
        festival = PerformanceFactory(ends_at=usual.starts_at + timedelta(days=2))

        assert usual.ends_at - usual.starts_at == USUAL_LENGTH == timedelta(hours=3)
        assert Performance.objects.get(pk=festival.pk).ends_at == festival.ends_at

    @pytest.mark.parametrize("length", [timedelta(0), timedelta(hours=-1), LENGTH_MAX * 1.01])
    def test_are_bounded_where_they_are_stored(
        self, performance: Performance, length: timedelta
    ) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            Performance.objects.update(ends_at=performance.starts_at + length)

    def test_tell_what_is_under_way(self) -> None:
        now = timezone.now()
        begun = PerformanceFactory(starts_at=now - timedelta(hours=2))
        long = PerformanceFactory(
            starts_at=now - timedelta(days=5), ends_at=now + timedelta(hours=1)
        )
        over = PerformanceFactory(starts_at=now - timedelta(hours=4))
        ahead = PerformanceFactory()
        undated = ConcertFactory()

        found = set(Performance.objects.not_ended(at=now))
        concerts = set(Concert.objects.not_ended(at=now))

        assert found == {begun, long, ahead}
        assert concerts == {begun.concert, long.concert, ahead.concert, undated}
        assert over.concert not in concerts


class TestReschedulePerformance:
    def test_moves_the_end_along_and_remembers_the_time_before(
        self, performance: Performance
    ) -> None:
        before, to = performance.starts_at, performance.starts_at + timedelta(days=1)
        Performance.objects.update(ends_at=before + timedelta(hours=5))

        move(performance, starts_at=to)

        assert (performance.starts_at, performance.ends_at) == (to, to + timedelta(hours=5))
        assert performance.previous_starts_at == before
        assert performance.rescheduled_at == performance.schedule_changed_at is not None
        assert performance.schedule_version == 1

    def test_takes_another_end(self, performance: Performance) -> None:
        to = performance.starts_at + timedelta(days=1)

        move(performance, starts_at=to, ends_at=to + timedelta(hours=1))

        assert performance.ends_at == to + timedelta(hours=1)

    def test_records_an_event_with_everything_that_others_need(
        self, performance: Performance
    ) -> None:
        before, to = performance.starts_at, performance.starts_at + timedelta(days=1)

        move(performance, starts_at=to)

        [event] = events()
        assert event.occurred_at == performance.rescheduled_at
        assert event.payload == {
            "performance_id": performance.pk,
            "concert_id": performance.concert_id,
            "starts_at": to.isoformat(),
            "ends_at": (to + USUAL_LENGTH).isoformat(),
            "previous_starts_at": before.isoformat(),
            "occurred_at": event.occurred_at.isoformat(),
            "request_id": None,
        }
        [delivery] = EventDelivery.objects.filter(event=event)
        assert (delivery.consumer, delivery.status) == ("external_sync", "PENDING")

    def test_records_one_for_each_change_and_none_for_none(self, performance: Performance) -> None:
        to = performance.starts_at + timedelta(days=1)

        move(performance, starts_at=to)
        move(performance, starts_at=to)
        move(performance)
        move(performance, starts_at=to + timedelta(days=1))

        assert len(events()) == 2
        assert performance.schedule_version == 2
        assert performance.previous_starts_at == to

    def test_of_the_end_alone_is_told_to_calendars_only(self, performance: Performance) -> None:
        move(performance, ends_at=performance.starts_at + timedelta(hours=4))

        assert performance.schedule_version == 1
        assert performance.schedule_changed_at is not None
        assert performance.rescheduled_at is None
        assert events() == []

    def test_that_is_rolled_back_is_not_told(self, performance: Performance) -> None:
        other = PerformanceFactory(concert=performance.concert)

        with TestCase.captureOnCommitCallbacks() as announced, pytest.raises(IntegrityError):
            move(performance, starts_at=other.starts_at)

        performance.refresh_from_db()
        assert performance.rescheduled_at is None
        assert (announced, events()) == ([], [])

    def test_refuses_what_is_not_there(self) -> None:
        with pytest.raises(PerformanceNotFound):
            reschedule(Performance(pk=0))


class TestForms:
    """Each door that staff use has the same consequences."""

    def change(self, staff: Client, performance: Performance, **values: Any) -> Any:
        times = {"starts_at": performance.starts_at, "ends_at": performance.ends_at} | values
        page = page_of(performance)
        form: dict[str, str] = {}
        for name, at in times.items():
            form |= typed(name, at)
        answer = send(staff, page, form)
        performance.refresh_from_db()
        return answer

    def test_a_move_takes_the_end_along_and_is_told(
        self, staff: Client, performance: Performance
    ) -> None:
        before, to = performance.starts_at, performance.starts_at + timedelta(hours=2)

        self.change(staff, performance, starts_at=to)

        assert (performance.starts_at, performance.ends_at) == (to, to + USUAL_LENGTH)
        assert performance.previous_starts_at == before
        [event] = events()
        assert event.payload["starts_at"] == to.isoformat()
        assert event.payload["request_id"]

    def test_a_move_among_the_dates_of_a_concert_is_told_and_a_new_date_is_not(
        self, staff: Client, performance: Performance
    ) -> None:
        kept = PerformanceFactory(
            concert=performance.concert, starts_at=performance.starts_at + timedelta(days=3)
        )
        to, added = (performance.starts_at + timedelta(hours=hours) for hours in (2, 100))
        form = concert_form(performance.concert, [performance, kept])
        form |= {"performances-TOTAL_FORMS": 3}
        form |= typed("performances-0-starts_at", to)
        form |= typed("performances-0-ends_at", performance.ends_at)
        form |= typed("performances-1-starts_at", kept.starts_at)
        form |= typed("performances-1-ends_at", kept.ends_at)
        form |= typed("performances-2-starts_at", added)

        page = page_of(performance.concert)
        assert send(staff, page, form).status_code == 302

        performance.refresh_from_db()
        assert (performance.starts_at, performance.ends_at) == (to, to + USUAL_LENGTH)
        assert [event.payload["performance_id"] for event in events()] == [performance.pk]
        new = Performance.objects.get(starts_at=added)
        assert (new.ends_at, new.rescheduled_at) == (added + USUAL_LENGTH, None)

    def test_saving_without_a_change_moves_nothing_by_a_split_second(self, staff: Client) -> None:
        performance = PerformanceFactory(starts_at=timezone.now() + timedelta(days=3))

        self.change(staff, performance)

        assert performance.schedule_version == 0
        assert events() == []

    def test_an_end_is_typed_and_an_empty_one_is_the_usual(
        self, staff: Client, performance: Performance
    ) -> None:
        long = performance.starts_at + timedelta(hours=6)
        self.change(staff, performance, ends_at=long)
        assert performance.ends_at == long

        page = page_of(performance)
        send(staff, page, typed("starts_at", performance.starts_at))

        performance.refresh_from_db()
        assert performance.ends_at == performance.starts_at + USUAL_LENGTH

    @pytest.mark.parametrize("length", [timedelta(hours=-1), timedelta(days=8)])
    def test_an_end_that_cannot_be_is_refused_in_words(
        self, staff: Client, performance: Performance, length: timedelta
    ) -> None:
        answer = self.change(staff, performance, ends_at=performance.starts_at + length)

        assert "A performance must end after it begins" in answer.content.decode()
        assert performance.schedule_version == 0
