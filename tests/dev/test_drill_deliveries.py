"""Test whether the drill notices an event that was not consumed, or more than once."""

import json
import random
from dataclasses import replace

import pytest

from apps.concerts import ranking_store
from apps.concerts.models import RankingEntry
from apps.concerts.services import rebuild_ranking
from apps.outbox.draining import drain
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.queue.models import QueueExit
from dev.drill import deliveries
from dev.drill.deliveries import (
    Told,
    deliver_again,
    find_delivery_breaches,
    messages_told,
    told_again,
    unfinished,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def event(shopper, seats, settings):
    """A sale that every consumer has taken; the outside platform is played by `told`."""
    settings.WEBHOOK_URL = ""
    rebuild_ranking()
    shopper.pay(shopper.hold(seats[:1]))
    sale = OutboxEvent.objects.get()
    for consumer in ("ranking", "token_expiry", "external_sync"):
        drain(consumer=consumer)
    return sale


@pytest.fixture
def told(event):
    return {str(event.pk): Told(bodies=[{"data": event.payload}], answers=[204])}


def found(told, *, may_repeat=frozenset()):
    return find_delivery_breaches(told, may_repeat=set(may_repeat))


def test_finds_nothing_when_everything_was_consumed_once(event, told):
    assert unfinished() == 0
    assert found(told) == []


class TestRecords:
    @pytest.mark.parametrize("status", ["PENDING", "DEAD"])
    def test_a_delivery_that_is_not_done(self, event, told, status):
        EventDelivery.objects.filter(consumer="ranking").update(
            status=status, done_at=None, last_error="Boom"
        )

        assert unfinished() == 1
        [breach] = found(told)
        assert f"{status} after 1 attempts: ranking of event {event.pk} (Boom)" in breach

    def test_a_delivery_that_was_never_written_down(self, event, told):
        EventDelivery.objects.filter(consumer="token_expiry").delete()

        [breach] = found(told)
        assert breach == f"0 records of token_expiry for event {event.pk}"

    def test_only_events_up_to_a_moment_count_as_unfinished(self, event):
        EventDelivery.objects.update(status="PENDING", done_at=None)

        assert unfinished(until=event.occurred_at.timestamp() - 1) == 0
        assert unfinished(until=event.occurred_at.timestamp() + 1) == 3


class TestEffects:
    def test_a_sale_that_the_ranking_does_not_count(self, event, told):
        RankingEntry.objects.all().delete()
        rebuild_ranking()

        [breach] = found(told)
        assert breach == f"event {event.pk} counts 0 times in the ranking"

    def test_a_ranking_that_counts_a_sale_twice(self, event, told, store):
        built = store.get(f"{ranking_store.ROOT}:built").decode()
        concert_id = event.payload["concert_id"]
        store.zincrby(f"{ranking_store.ROOT}:{built}:all", 1, concert_id)

        [breach] = found(told)
        assert "the ranking has drifted" in breach

    def test_a_visit_that_goes_on_after_it_was_paid(self, event, told):
        QueueExit.objects.all().delete()

        [breach] = found(told)
        assert breach == f"0 ends of the visit that event {event.pk} paid for"


class TestMessages:
    @pytest.mark.parametrize(
        ("changes", "breach"),
        [
            ({"answers": []}, "the outside platform never took event {pk}: []"),
            (
                {"answers": [500, "drop"]},
                "the outside platform never took event {pk}: [500, 'drop']",
            ),
            ({"answers": [204, 204]}, "the outside platform was told 2 times of event {pk}"),
            ({"is_signed": False}, "a message about event {pk} was not signed properly"),
        ],
    )
    def test_that_did_not_do_what_they_should(self, event, told, changes, breach):
        told[str(event.pk)] = replace(told[str(event.pk)], **changes)

        assert found(told) == [breach.format(pk=event.pk)]

    def test_that_repeat_what_failed_are_right(self, event, told):
        message = told[str(event.pk)]
        message.answers = [500, "hang", "drop", 429, 204]
        message.bodies *= 5

        assert found(told) == []

    def test_may_be_repeated_where_the_answer_may_have_been_lost(self, event, told):
        told[str(event.pk)].answers = [204, 204]

        assert told_again(told) == {str(event.pk)}
        assert found(told, may_repeat=told_again(told)) == []

    def test_that_differ(self, event, told):
        told[str(event.pk)].bodies.append({"data": {**event.payload, "total_price": 1}})

        [breach] = found(told)
        assert "told different things" in breach

    def test_about_nothing(self, event, told):
        told["b7c5f5c6-0000-4000-8000-000000000000"] = Told(answers=[204])

        [breach] = found(told)
        assert "an event that is not there" in breach


def test_reads_what_the_receiver_has_written_down(tmp_path):
    message = {"id": "event-1", "signature": "valid", "answer": 500, "body": {"data": {}}}
    later = message | {"answer": 204}
    log = tmp_path / "receiver.log"
    log.write_text(
        f"{json.dumps(message)}\nTraceback: a line of another kind\n{json.dumps(later)}\n"
    )

    [told] = messages_told(log).values()

    assert (told.answers, told.is_signed, len(told.bodies)) == ([500, 204], True, 2)


class TestDeliverAgain:
    def test_hands_out_every_task_twice_in_an_order_of_chance(self, event, monkeypatch):
        handed_out = []

        class Task:
            def apply_async(self, *, kwargs, queue):
                handed_out.append(kwargs["consumer"])

        monkeypatch.setattr(deliveries, "drain_announced", Task())

        deliver_again(random.Random(1))

        assert sorted(handed_out) == sorted(["ranking", "token_expiry", "external_sync"] * 2)
        assert unfinished() == 3
        for consumer in handed_out:
            drain(consumer=consumer)
        assert unfinished() == 0
        assert RankingEntry.objects.count() == 1
        assert ranking_store.read().reservations == {event.payload["concert_id"]: 1}
