"""Test how Celery is set up: no work is lost, no request waits for a broker, and nothing outside delays what is inside."""

import json
from typing import Any

import pytest
import redis
import structlog
from celery.schedules import crontab
from django.conf import settings

from apps.outbox import consumers, draining
from apps.outbox.announcing import announce
from apps.outbox.events import CONSUMERS
from apps.outbox.publishing import publish
from apps.reservations.tasks import expire_holds
from concert_project.celery import app
from concert_project.schedule import BEAT_SCHEDULE

app.loader.import_default_modules()

OURS = sorted(name for name in app.tasks if not name.startswith("celery."))
# Takes longer than the broker waits, changes nothing, and is done again the next night.
OF_THE_NIGHT = "ops.verify_all_invariants"


def longest_run(task: Any) -> float:
    return float(task.time_limit or app.conf.task_time_limit)


class TestNoWorkIsLost:
    @pytest.mark.parametrize("name", OURS)
    def test_a_task_is_acknowledged_when_it_is_done(self, name):
        task = app.tasks[name]

        assert task.acks_late is (name != OF_THE_NIGHT)
        assert task.reject_on_worker_lost is True
        assert task.ignore_result is True

    @pytest.mark.parametrize("name", OURS)
    def test_a_task_ends_before_the_broker_gives_it_to_another_worker(self, name):
        task = app.tasks[name]

        soft_limit = task.soft_time_limit or app.conf.task_soft_time_limit
        assert 0 < soft_limit < longest_run(task)
        is_given_away_at = app.conf.broker_transport_options["visibility_timeout"]
        assert longest_run(task) < is_given_away_at or not task.acks_late

    def test_an_effect_on_a_batch_ends_before_its_claim_does(self):
        assert (
            draining.CLAIM_TIMEOUT.total_seconds()
            > consumers.EFFECTS_SECONDS + settings.WEBHOOK_TIMEOUT
        )
        # The last batch of a drain begins before its time is over.
        assert (
            draining.DRAIN_SECONDS + draining.CLAIM_TIMEOUT.total_seconds()
            < app.conf.task_soft_time_limit
        )

    def test_a_worker_takes_no_more_than_it_works_on(self):
        assert app.conf.worker_prefetch_multiplier == 1


class TestNoRequestWaits:
    def test_publishing_is_tried_once_and_briefly(self):
        options = app.conf.broker_transport_options

        assert app.conf.task_publish_retry is False
        assert options["max_retries"] == 0
        assert 0 < options["socket_connect_timeout"] < 1
        assert 0 < options["socket_timeout"] < 2


def queue_of_message(store: redis.Redis) -> str:
    """Return the one queue in which something waits."""
    [key] = [key.decode() for key in store.keys("celery:*") if store.type(key) == b"list"]  # type: ignore[union-attr]
    return key.removeprefix("celery:")


class TestNothingOutsideDelaysWhatIsInside:
    """Queues as messages really get them, and the processes that consume them."""

    @pytest.mark.parametrize("entry", BEAT_SCHEDULE.values(), ids=BEAT_SCHEDULE)
    def test_beat_lets_nothing_pile_up(self, store, entry):
        app.tasks[entry["task"]].apply_async(**entry["options"])

        assert queue_of_message(store) == entry["options"]["queue"]
        if not isinstance(entry["schedule"], crontab):
            assert entry["schedule"] < entry["options"]["expires"]

    @pytest.mark.parametrize(
        ("task", "queue"),
        [
            ("queue.admit_visitors", "admission"),
            ("reservations.expire_holds", "default"),
            ("outbox.relay_events", "default"),
            ("concerts.rebuild_lost_ranking", "default"),
        ],
    )
    def test_beat_sends_what_must_not_wait_to_other_queues(self, task, queue):
        [entry] = [entry for entry in BEAT_SCHEDULE.values() if entry["task"] == task]

        assert entry["options"]["queue"] == queue

    def test_so_has_what_the_relay_starts(self, store):
        queues = {}
        for consumer in CONSUMERS.values():
            store.flushall()
            assert announce(consumer.name)
            queues[consumer.name] = queue_of_message(store)

        assert queues == {
            "ranking": "default",
            "token_expiry": "default",
            "external_sync": "external",
        }

    def test_expiry_does_not_meet_it(self, store):
        assert publish(expire_holds)
        assert queue_of_message(store) == "default"


def test_a_task_carries_the_request_id_of_its_cause(store):
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        assert publish(expire_holds)

    [message] = store.lrange("celery:default", 0, -1)  # type: ignore[misc]
    assert json.loads(message)["headers"]["__django_structlog__"]["request_id"] == "r-1"
