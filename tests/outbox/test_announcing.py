"""One drain waits for a burst of events, none is forgotten, and a broker in trouble is no trouble of a sale."""

import time

import pytest
import redis

from apps.core.lean_store import script_client
from apps.outbox import announcing
from apps.outbox.announcing import (
    GATHER_SECONDS,
    SURE_SECONDS,
    WAITS_AT_MOST,
    announce,
    drain_announced,
)
from apps.outbox.draining import Drained
from apps.outbox.models import EventDelivery
from apps.outbox.tasks import relay_events
from tests.outbox.deliveries import queued, record
from tests.protections import (
    CLAIMING_DELIVERIES,
    FLAG_DROPPED_BEFORE_THE_CLAIM,
    after,
    without,
)

pytestmark = pytest.mark.django_db

FLAG = "draining:waiting:ranking"
# What a committed sale may take at most, three consumers together, on a busy machine.
AT_MOST = 2.0


@pytest.fixture
def ranked(consumer):
    """Record what the consumer of that name is given."""
    return consumer("ranking")


def times_asked(broker_store: redis.Redis) -> int:
    return broker_store.info("commandstats")["cmdstat_set"]["calls"]


def pass_time(broker_store: redis.Redis) -> None:
    """End what the broker and this process remember of the drain."""
    broker_store.delete(FLAG)
    announcing._waits_until.clear()


def drain_elsewhere() -> None:
    """Drain as a worker does, whose memory this process does not share."""
    known = dict(announcing._waits_until)
    drain_announced(consumer="ranking")
    announcing._waits_until.update(known)


class TestAnnounce:
    def test_enqueues_one_drain_for_a_burst(self, broker_store):
        assert [announce("ranking") for _ in range(20)] == [True] * 20

        [message] = queued(broker_store)
        assert message["headers"]["task"] == "outbox.drain"
        assert message["headers"]["kwargsrepr"] == "{'consumer': 'ranking'}"

    def test_lets_it_wait_a_moment_for_the_rest_of_the_burst(self, broker_store):
        announce("ranking")

        [message] = queued(broker_store)
        assert message["headers"]["eta"] is not None
        assert 0 < GATHER_SECONDS < 1

    def test_is_for_each_consumer_its_own(self, broker_store):
        announce("ranking")
        announce("token_expiry")

        assert len(queued(broker_store)) == 2

    def test_of_a_drain_that_is_lost_holds_up_no_longer_than_its_flag(self, broker_store):
        announce("ranking")
        broker_store.delete("celery:default")
        assert 0 < broker_store.ttl(FLAG) <= WAITS_AT_MOST

        pass_time(broker_store)
        announce("ranking")

        assert len(queued(broker_store)) == 1


class TestKnownToWait:
    """A drain that cannot have begun yet takes what is committed now, so the broker need not be asked about it."""

    def test_is_not_asked_about_again(self, broker_store):
        announce("ranking")
        asked = times_asked(broker_store)

        assert [announce("ranking") for _ in range(20)] == [True] * 20

        assert times_asked(broker_store) == asked

    def test_is_also_the_drain_of_another_process(self, broker_store):
        broker_store.set(FLAG, 1, ex=WAITS_AT_MOST)
        announce("ranking")
        asked = times_asked(broker_store)

        assert announce("ranking") is True

        assert times_asked(broker_store) == asked
        assert queued(broker_store) == []

    def test_is_not_one_that_may_have_begun(self, broker_store):
        age = GATHER_SECONDS + 0.01
        broker_store.set(FLAG, 1, px=round((WAITS_AT_MOST - age) * 1_000))
        announce("ranking")
        asked = times_asked(broker_store)

        assert announce("ranking") is True

        assert times_asked(broker_store) == asked + 1

    def test_is_not_one_that_was_never_sent(self, broker_store, monkeypatch):
        monkeypatch.setattr(announcing, "publish", lambda *_, **__: False)
        assert announce("ranking") is False
        asked = times_asked(broker_store)

        announce("ranking")

        assert times_asked(broker_store) == asked + 1

    def test_ends_before_the_drain_begins(self, broker_store, ranked):
        assert 0 < SURE_SECONDS < GATHER_SECONDS
        announce("ranking")
        record()
        drain_elsewhere()
        record()

        # Without time passing: the twin, in which the drain begins too early.
        announce("ranking")
        assert EventDelivery.objects.due().count() == 1
        assert len(queued(broker_store)) == 1  # the one that has just run

        pass_time(broker_store)
        announce("ranking")
        assert len(queued(broker_store)) == 2

    def test_is_made_up_for_by_the_relay_if_it_began_too_early(self, broker_store, ranked):
        announce("ranking")
        drain_elsewhere()
        record()
        announce("ranking")
        assert len(queued(broker_store)) == 1

        announcing._waits_until.clear()  # the relay runs in a worker, seconds later
        relay_events()

        assert len(queued(broker_store)) == 2


class TestDrainAnnounced:
    def test_drains_and_lets_another_one_be_announced(self, ranked, broker_store):
        event = record()
        announce("ranking")

        drain_announced(consumer="ranking", event_id="from a newer caller")
        announce("ranking")

        assert ranked.event_ids == [event.pk]
        assert len(queued(broker_store)) == 2

    @pytest.fixture
    def late_sale(self, monkeypatch):
        """Sell, and let the drain that comes for that be overtaken by another sale right after its claim."""

        def sell():
            record()
            announce("ranking")

        after(monkeypatch, CLAIMING_DELIVERIES, sell)
        sell()

    def test_announces_what_is_committed_after_its_claim(self, ranked, broker_store, late_sale):
        assert len(queued(broker_store)) == 1

        drain_announced(consumer="ranking")

        # The first event was taken, the late one has a drain of its own.
        assert len(ranked.event_ids) == 1
        assert EventDelivery.objects.due().count() == 1
        assert len(queued(broker_store)) == 2

    def test_would_strand_it_if_the_flag_were_dropped_after_the_claim(
        self, ranked, broker_store, late_sale, monkeypatch
    ):
        """The twin: the same sale, with the flag still up when it is announced."""
        without(monkeypatch, FLAG_DROPPED_BEFORE_THE_CLAIM)

        drain_announced(consumer="ranking")

        assert EventDelivery.objects.due().count() == 1
        assert len(queued(broker_store)) == 1  # the one that has just run

    def test_announces_another_if_there_is_more_than_it_may_take(
        self, ranked, broker_store, monkeypatch
    ):
        monkeypatch.setattr(announcing, "drain", lambda **_: Drained(100, has_more=True))

        drain_announced(consumer="ranking")

        assert len(queued(broker_store)) == 1

    def test_does_its_work_when_the_flag_cannot_be_dropped(self, ranked, settings):
        event = record()
        settings.BROKER_URL = "redis://127.0.0.1:1/0"

        drain_announced(consumer="ranking")

        assert ranked.event_ids == [event.pk]


@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("trouble", ["stop", "pause"])
class TestBrokerTrouble:
    def test_does_not_fail_and_hardly_waits(self, valkey_server, settings, trouble, is_warm):
        broker = valkey_server()
        settings.BROKER_URL = broker.url
        store = script_client(broker.url)
        if is_warm:
            assert store.execute_command("PING") == b"PONG"
        getattr(broker, trouble)()

        started_at = time.monotonic()
        announced = [announce("ranking") for _ in range(3)]  # as many as a sale has

        assert announced == [False] * 3
        assert time.monotonic() - started_at < AT_MOST
