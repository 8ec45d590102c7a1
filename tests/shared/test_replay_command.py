from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from apps.shared.models import EventDelivery
from apps.shared.outbox import drain
from tests.shared.deliveries import record

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


def run(*arguments: str) -> str:
    printed = StringIO()
    call_command("replay_dead_deliveries", *arguments, stdout=printed, no_color=True)
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
        assert {one.pk for one in events} < set(recorders["first"].event_ids)

    def test_takes_up_one_consumer(self, events):
        assert "2 will be tried again." in run("--consumer", "first")
        assert dead() == {("second", str(one.pk)) for one in events}

    def test_takes_up_some_events(self, events):
        assert "2 will be tried again." in run("--event", str(events[0].pk))
        assert {event for _, event in dead()} == {str(events[1].pk)}

    def test_takes_up_some_events_of_one_consumer(self, events):
        ids = [str(one.pk) for one in events]

        assert "2 will be tried again." in run("--consumer", "second", "--event", *ids)
        assert {consumer for consumer, _ in dead()} == {"first"}

    def test_may_be_told_the_events_one_by_one(self, events):
        ids = [str(one.pk) for one in events]

        assert "4 will be tried again." in run("--event", ids[0], "--event", ids[1])

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
