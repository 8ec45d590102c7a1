import os
from getpass import getuser
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from apps.outbox import replaying
from apps.outbox.draining import drain
from apps.outbox.models import DeliveryReplay, EventDelivery, OutboxEvent
from tests.factories.accounts import CustomerFactory
from tests.outbox.deliveries import record

pytestmark = pytest.mark.django_db

Status = EventDelivery.Status


@pytest.fixture
def recorders(consumer):
    return {name: consumer(name) for name in ("first", "second")}


@pytest.fixture
def events(recorders):
    """Two events that both consumers gave up, and one that they have not come to yet."""
    dead = [record(), record()]
    EventDelivery.objects.update(status=Status.DEAD, attempts=15, last_error="OSError: gone")
    record()
    return dead


def run(*arguments: str, progress: StringIO | None = None) -> str:
    printed = StringIO()
    call_command(
        "replay_dead_deliveries",
        *arguments,
        stdout=printed,
        stderr=progress or StringIO(),
        no_color=True,
    )
    return printed.getvalue()


def dead() -> set[tuple[str, str]]:
    rows = EventDelivery.objects.dead().values_list("consumer", "event_id")
    return {(consumer, str(event_id)) for consumer, event_id in rows}


class TestReplayDeadDeliveries:
    def test_takes_up_everything_that_is_dead(self, events, recorders):
        printed = run()

        assert "4 will be tried again." in printed
        assert dead() == set()
        assert set(EventDelivery.objects.values_list("status", "attempts")) == {("PENDING", 0)}
        drain(consumer="first")
        assert {event.pk for event in events} < set(recorders["first"].event_ids)

    def test_takes_up_one_consumer(self, events):
        assert "2 will be tried again." in run("--consumer", "first")
        assert dead() == {("second", str(event.pk)) for event in events}

    def test_takes_up_some_events(self, events):
        assert "2 will be tried again." in run("--event", str(events[0].pk))
        assert {event for _, event in dead()} == {str(events[1].pk)}

    def test_takes_up_some_events_of_one_consumer(self, events):
        ids = [str(event.pk) for event in events]

        assert "2 will be tried again." in run("--consumer", "second", "--event", *ids)
        assert {consumer for consumer, _ in dead()} == {"first"}

    def test_may_be_told_the_events_one_by_one(self, events):
        ids = [str(event.pk) for event in events]

        assert "4 will be tried again." in run("--event", ids[0], "--event", ids[1])

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["--since", "2027-01-02T00:00:00+00:00"], {1}),
            (["--until", "2027-01-02T00:00:00+00:00"], {0}),
            (["--since", "2027-01-01", "--until", "2027-01-03T12:00"], {0, 1}),
            # Midnight of the venue is 15:00 of the day before.
            (["--since", "2027-01-03"], {1}),
            (["--since", "2027-01-04"], set()),
            (["--error", "http 404"], {0}),
            (["--error", "oserror", "--consumer", "first"], {1}),
        ],
    )
    def test_takes_up_what_all_filters_name(self, events, options, expected):
        times = ["2027-01-01T12:00:00+00:00", "2027-01-02T16:00:00+00:00"]
        for event, at in zip(events, times, strict=True):
            OutboxEvent.objects.filter(pk=event.pk).update(occurred_at=at)
        EventDelivery.objects.dead().filter(event=events[0]).update(last_error="HTTP 404: no")
        before = dead()

        run(*options)

        replayed = {event for _, event in before - dead()}
        assert replayed == {str(events[n].pk) for n in expected}

    def test_works_in_batches_and_shows_how_far_it_is(self, events, monkeypatch):
        monkeypatch.setattr(replaying, "BATCH", 3)
        progress = StringIO()

        assert "4 will be tried again." in run(progress=progress)
        assert progress.getvalue() == "\r3 of 4\r4 of 4\n"

    def test_takes_no_more_than_were_dead_when_it_began(self, events, monkeypatch):
        monkeypatch.setattr(replaying, "BATCH", 2)
        kills = iter([True, False, False, False])

        def give_up_again(_replayed: int) -> None:
            if next(kills):
                EventDelivery.objects.filter(event__in=events).update(status=Status.DEAD)

        assert replaying.replay_dead(on_progress=give_up_again) == 4
        assert len(dead()) == 2

    def test_is_recorded(self, events):
        run("--consumer", "first", "--error", "gone")

        [record] = DeliveryReplay.objects.all()
        assert (record.chosen, record.deliveries) == ("consumer first, error gone", 2)
        assert record.actor == f"{getuser()} (command line)"
        assert record.replayed_by is None

    def test_is_recorded_for_a_user_of_the_system_without_a_name(self, events, monkeypatch):
        for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setattr(os, "getuid", lambda: 123_456)  # as in many containers

        run()

        assert DeliveryReplay.objects.get().actor == "user 123456 (command line)"

    def test_names_the_account_that_acts(self, events):
        clerk = CustomerFactory(staff=True)

        run("--by", clerk.email.upper())

        record = DeliveryReplay.objects.get()
        assert (record.replayed_by, record.actor) == (clerk, "")

    @pytest.mark.parametrize(
        "flags", [{}, {"staff": True, "is_active": False}], ids=["customer", "retired"]
    )
    def test_refuses_an_actor_who_is_not_of_the_staff(self, events, flags):
        other = CustomerFactory(**flags)

        with pytest.raises(CommandError, match="There is no account of staff"):
            run("--by", other.email)

        assert len(dead()) == 4
        assert not DeliveryReplay.objects.exists()

    def test_is_recorded_as_far_as_it_came(self, events, monkeypatch):
        monkeypatch.setattr(replaying, "BATCH", 3)

        def interrupt(_number):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            replaying.replay_dead(on_progress=interrupt)

        assert len(dead()) == 1
        assert DeliveryReplay.objects.get().deliveries == 3

    def test_takes_up_no_more_than_were_dead_when_it_began(self, events, monkeypatch):
        """Deliveries that die again at once must not keep it busy for ever."""
        monkeypatch.setattr(replaying, "BATCH", 1)

        def kill(_number):
            EventDelivery.objects.update(status=Status.DEAD)

        assert replaying.replay_dead(on_progress=kill) == 4

    def test_leaves_no_record_of_nothing(self, recorders):
        run()

        assert not DeliveryReplay.objects.exists()

    def test_refuses_what_is_no_time(self, events):
        with pytest.raises(CommandError, match="'yesterday' is not a time such as"):
            run("--since", "yesterday")

        assert len(dead()) == 4

    def test_leaves_what_is_not_dead(self, events):
        EventDelivery.objects.dead().delete()
        before = list(EventDelivery.objects.order_by("pk").values())

        assert "0 will be tried again." in run("--event", str(uuid4()))
        assert "0 will be tried again." in run()
        assert list(EventDelivery.objects.order_by("pk").values()) == before

    def test_only_shows_them_in_a_dry_run(self, events):
        printed = run("--dry-run", "--consumer", "first")

        assert "2 dead, nothing changed." in printed
        assert f"{events[0].pk} first: OSError: gone" in printed
        assert "second" not in printed
        assert len(dead()) == 4

    def test_shows_only_some_of_many(self, recorders):
        for _ in range(11):
            record()
        EventDelivery.objects.update(status=Status.DEAD)

        printed = run("--dry-run")

        assert "… and 2 more\n22 dead, nothing changed." in printed

    def test_names_the_consumers_that_there_are(self, events):
        with pytest.raises(CommandError, match="No consumer 'third': there are first, second"):
            run("--consumer", "third")

        assert len(dead()) == 4

    def test_refuses_what_is_no_event(self, events):
        with pytest.raises(CommandError, match="invalid UUID"):
            run("--event", "17")

        assert len(dead()) == 4
