"""Rows whose time is over: what goes, what stays, and that it costs nothing when there is nothing to do."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from structlog.testing import capture_logs

from apps.accounts.models import AccessToken
from apps.accounts.services import issue_access_tokens
from apps.api.models import IdempotencyRecord
from apps.core.caching import clear_process_caches
from apps.ops import purging
from apps.ops.models import JobProgress
from apps.ops.purging import count_old, purge, purge_all
from apps.ops.retention import RETENTIONS, Retention
from apps.ops.tasks import purge as purge_task
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.payments.models import LedgerTransaction
from apps.queue.models import QueueExit, WaitingRoom
from apps.reservations.models import Hold, SeatClaim
from concert_project.celery import app
from concert_project.schedule import BEAT_SCHEDULE
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, SeatFactory
from tests.factories.queue import QueueExitFactory, WaitingRoomFactory
from tests.factories.reservations import hold, reservation

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
LONG_AGO = timedelta(days=4_000)


def named(name: str) -> Retention:
    [found] = [retention for retention in RETENTIONS if retention.name == name]
    return found


def event(*statuses: str, age: timedelta) -> OutboxEvent:
    at = timezone.now() - age
    made = OutboxEvent.objects.create(type="probe", payload={}, occurred_at=at)
    for number, status in enumerate(statuses):
        EventDelivery.objects.create(
            event=made,
            consumer=f"consumer {number}",
            status=status,
            next_attempt_at=at,
            done_at=at if status == "DONE" else None,
        )
    return made


def record(*, age: timedelta) -> IdempotencyRecord:
    return IdempotencyRecord.objects.create(
        customer=CustomerFactory(),
        operation="Probe",
        key="k",
        status=201,
        body=b"{}",
        created_at=timezone.now() - age,
    )


def session(*, age: timedelta) -> Session:
    return Session.objects.create(
        session_key=f"{age}", session_data="", expire_date=timezone.now() - age
    )


def access_token(*, age: timedelta) -> AccessToken:
    issue_access_tokens(user_ids=[CustomerFactory().pk])
    made = AccessToken.objects.latest("pk")
    made.expires_at = timezone.now() - age
    made.created_at = made.expires_at - SECOND
    made.save()
    return made


def released_hold(*, age: timedelta, status: str = "RELEASED") -> Hold:
    performance = PerformanceFactory()
    made = hold(CustomerFactory(), [SeatFactory(performance=performance)])
    at = timezone.now() - age
    SeatClaim.objects.filter(hold=made).update(ended_at=at)
    Hold.objects.filter(pk=made.pk).update(status=status, ended_at=at)
    return made


def queue_exit(*, age: timedelta) -> QueueExit:
    """Make an exit of a generation that is over."""
    room: WaitingRoom = WaitingRoomFactory(generation=2)
    return QueueExitFactory(concert=room.concert, ended_at=timezone.now() - age)


def log_entry(*, age: timedelta) -> LogEntry:
    return LogEntry.objects.create(
        user=CustomerFactory(staff=True),
        object_repr="a concert",
        action_flag=CHANGE,
        action_time=timezone.now() - age,
    )


# A row of each table, as old as it is asked for.
MAKE: dict[str, Callable[..., Any]] = {
    "access_tokens": access_token,
    "admin_log": log_entry,
    "events": lambda age: event("DONE", "DONE", age=age),
    "idempotency_records": record,
    "queue_exits": queue_exit,
    "sessions": session,
    "unpaid_holds": released_hold,
}


TABLES = list(MAKE)
# Of everything else, why it stays.
KEPT = {
    "accounts.User": "an account: deleted by staff, never by age",
    "accounts.User_groups": "goes with its account",
    "accounts.User_user_permissions": "goes with its account",
    "auth.Group": "staff make a few",
    "auth.Group_permissions": "goes with its group",
    "auth.Permission": "as many as the code has",
    "boxoffice.StaffJob": "who asked for what, and who approved it: some a day",
    "boxoffice.StaffJobRow": "what became of each row of it",
    "concerts.Concert": "what was sold",
    "concerts.HallTemplate": "staff make a few",
    "concerts.InventoryCategory": "staff make a few",
    "concerts.InventoryCategory_sellers": "goes with its category",
    "concerts.Performance": "what was sold",
    "concerts.Poster": "goes with its concert",
    "concerts.SeatAllocation": "goes with its seat",
    "concerts.SeatMapDraft": "those of the day before go with the next one",
    "concerts.RankingEntry": "what the ranking of all time counted",
    "concerts.Seat": "what was sold",
    "contenttypes.ContentType": "as many as the code has",
    "payments.LedgerEntry": "the books",
    "payments.LedgerTransaction": "the books",
    "payments.Wallet": "one for each account",
    "queue.PolicyChange": "who steered a sale, and why: the proof of fairness",
    "queue.RoomNotice": "what those who wait were told, and by whom; a few for each concert",
    "queue.WaitingRoom": "one for each concert",
    "reservations.HolderNotice": "what ticket holders were told, and by whom; a few for each performance",
    "reservations.Reservation": "a sale",
    "reservations.Ticket": "a sale",
    "outbox.DeliveryReplay": "who had what was given up tried again: a few a year",
    "outbox.Receiver": "one for each platform outside",
    "ops.JobProgress": "as many as the code has jobs",
}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def explained_search(name: str) -> Any:
    """Return the plan of the search for old rows, and what it did."""
    with CaptureQueriesContext(connection) as queries:
        assert purge(named(name)) == 0
    [search] = [query["sql"] for query in queries if "SKIP LOCKED" in query["sql"]][1:]
    with connection.cursor() as cursor:
        # Tables of tests are small enough to read whole.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, FORMAT JSON) {search}")
        return cursor.fetchone()


class TestEveryModel:
    def test_is_purged_or_kept_for_a_reason(self) -> None:
        purged = {table for retention in RETENTIONS for table, _column in retention.tables}
        models = apps.get_models(include_auto_created=True)

        left = {model._meta.label for model in models if model._meta.db_table not in purged}

        assert left == KEPT.keys()

    def test_has_no_table_that_only_the_database_knows(self) -> None:
        known = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}

        tables = set(connection.introspection.table_names())

        assert tables - known == {"django_migrations"}


def test_every_table_is_known() -> None:
    assert [retention.name for retention in RETENTIONS] == TABLES


@pytest.mark.parametrize("name", TABLES)
class TestEveryTable:
    def test_loses_what_is_old_and_nothing_else(self, name: str) -> None:
        keep = named(name).keep
        old = MAKE[name](age=keep + SECOND)
        young = MAKE[name](age=keep - timedelta(minutes=1))

        assert count_old(named(name)) == 1
        assert purge(named(name)) == 1

        assert list(type(old).objects.all()) == [young]
        assert purge(named(name)) == count_old(named(name)) == 0

    def test_is_kept_for_as_long_as_its_setting_says(self, name: str, settings) -> None:
        made = MAKE[name](age=LONG_AGO)
        setattr(settings, named(name).setting, LONG_AGO + timedelta(days=1))

        assert purge(named(name)) == 0

        assert type(made).objects.get() == made

    def test_is_emptied_batch_by_batch(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(purging, "BATCH", 2)
        for number in range(5):
            MAKE[name](age=LONG_AGO + number * SECOND)
        batches: list[int] = []

        assert purge(named(name), on_progress=batches.append) == 5

        assert batches == [2, 2, 1]
        assert purge(named(name), on_progress=batches.append) == 0

    def test_is_searched_by_an_index(self, name: str) -> None:
        [[plan]] = explained_search(name)

        assert not [node for node in nodes(plan["Plan"]) if node["Node Type"] == "Seq Scan"]

    def test_costs_five_statements_when_there_is_nothing_to_do(
        self, name: str, django_assert_max_num_queries
    ) -> None:
        with django_assert_max_num_queries(7):  # with the savepoint of a test
            purge(named(name))


class TestWhatStays:
    @pytest.mark.parametrize("statuses", [("DONE", "PENDING"), ("DONE", "DEAD"), ()])
    def test_an_event_that_a_consumer_has_not_done(self, statuses: tuple[str, ...]) -> None:
        event(*statuses, age=timedelta(days=400))

        assert purge_all() == 0

        assert OutboxEvent.objects.count() == 1
        assert EventDelivery.objects.count() == len(statuses)

    def test_an_exit_of_the_present_generation(self) -> None:
        """Without it, its visitor could come back with the token."""
        room: WaitingRoom = WaitingRoomFactory(generation=2)
        for generation in (1, 2):
            QueueExitFactory(
                concert=room.concert,
                generation=generation,
                ended_at=timezone.now() - timedelta(days=400),
            )

        assert purge_all() == 1

        assert QueueExit.objects.get().generation == 2

    def test_an_exit_of_whose_generation_the_oldest_is_young(self) -> None:
        """Keep it beside others that go, of more generations and rooms than are found in one leap."""
        for generations in (3, 1, 4):
            room: WaitingRoom = WaitingRoomFactory(generation=generations)
            for generation in range(1, generations + 1):
                for days in (1, 400) if generation != 2 else (1, 2):
                    QueueExitFactory(
                        concert=room.concert,
                        generation=generation,
                        ended_at=timezone.now() - timedelta(days=days),
                    )

        assert purge_all() == 3  # generation 1 of two rooms, and 3 of the last

        old = QueueExit.objects.filter(ended_at__lt=timezone.now() - timedelta(days=90))
        assert sorted(old.values_list("generation", flat=True)) == [1, 3, 4]
        assert QueueExit.objects.count() == 16 - 3

    def test_a_hold_that_is_the_proof_of_a_breach(self) -> None:
        made = released_hold(age=timedelta(days=400))
        SeatClaim.objects.filter(hold=made).update(ended_at=None)
        sold = reservation(CustomerFactory(), [SeatFactory()])
        Hold.objects.filter(pk=sold.hold_id).update(
            status="EXPIRED", ended_at=timezone.now() - timedelta(days=400)
        )
        SeatClaim.objects.filter(hold=sold.hold_id).update(ended_at=timezone.now())

        assert purge_all() == 0

        assert Hold.objects.count() == 2

    def test_what_was_paid_and_what_is_held(self) -> None:
        sold = reservation(CustomerFactory(), [SeatFactory()])
        held = hold(CustomerFactory(), [SeatFactory()])
        long_ago = timezone.now() - timedelta(days=4000)
        Hold.objects.update(held_at=long_ago)
        Hold.objects.filter(pk=sold.hold_id).update(ended_at=long_ago)

        purge(named("unpaid_holds"))

        assert set(Hold.objects.all()) == {sold.hold, held}
        assert LedgerTransaction.objects.count() == 2


class TestExits:
    def test_are_found_without_a_look_at_rooms_that_have_none(self) -> None:
        for _ in range(30):
            WaitingRoomFactory(generation=9)
        young = QueueExitFactory(concert=WaitingRoomFactory(generation=2).concert)

        [[plan]] = explained_search("queue_exits")

        assert list(QueueExit.objects.all()) == [young]
        looks = {
            node["Index Name"]: node["Actual Loops"]
            for node in nodes(plan["Plan"])
            if "Index Name" in node
        }
        assert looks["queue_exit_recent"] <= 2
        assert sum(looks.values()) <= 4


class TestProgress:
    def test_is_recorded_with_what_is_deleted(self) -> None:
        event("DONE", age=timedelta(days=400))
        before = timezone.now()

        purge(named("events"))

        progress = JobProgress.objects.get(pk="purge events")
        assert progress.rows == 1
        assert progress.finished_at is not None
        assert before <= progress.finished_at <= timezone.now()
        assert progress.reached_at == progress.finished_at - named("events").keep

    def test_reaches_nothing_where_nothing_was_deleted(self) -> None:
        purge(named("events"))

        assert JobProgress.objects.get(pk="purge events").reached_at is None

    def test_never_goes_back(self, settings) -> None:
        event("DONE", age=timedelta(days=400))
        purge(named("events"))
        reached_at = JobProgress.objects.get(pk="purge events").reached_at
        settings.EVENT_RETENTION = timedelta(days=390)
        event("DONE", age=timedelta(days=400))

        purge(named("events"))

        assert JobProgress.objects.get(pk="purge events").reached_at == reached_at

    def test_is_not_finished_when_the_time_is_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(purging, "BATCH", 1)
        for _ in range(3):
            record(age=timedelta(days=2))

        assert purge(named("idempotency_records"), seconds=0.0) == 1

        assert JobProgress.objects.get().finished_at is None

    def test_is_shown_by_the_metrics(self, client) -> None:
        record(age=timedelta(days=2))
        purge(named("idempotency_records"))
        clear_process_caches()

        page = client.get("/metrics").content.decode()

        finished = JobProgress.objects.get().finished_at
        assert finished is not None
        assert 'encore_purged_rows_total{table="idempotency_records"} 1.0' in page
        shown = dict(
            re.findall(r'^encore_purge_finished_timestamp_seconds{table="(\w+)"} (.+)', page, re.M)
        )
        assert float(shown.pop("idempotency_records")) == pytest.approx(finished.timestamp())
        # An alert on what is too old finds a table that was never purged.
        assert shown == dict.fromkeys(set(TABLES) - {"idempotency_records"}, "0.0")


class TestTwoAtOnce:
    @pytest.mark.django_db(transaction=True)
    def test_do_no_harm(self, race, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(purging, "BATCH", 5)
        for _ in range(30):
            record(age=timedelta(days=2))

        purged = race([lambda: purge(named("idempotency_records"))] * 4)

        # One that finds another at work leaves the rest to it, and to the next run.
        assert sum(purged) + purge(named("idempotency_records")) == 30
        assert not IdempotencyRecord.objects.exists()
        assert JobProgress.objects.get().rows == 30


class TestTask:
    def test_purges_every_table(self) -> None:
        for name in TABLES:
            MAKE[name](age=LONG_AGO)

        purge_task(reason="a newer caller")

        assert [count_old(retention) for retention in RETENTIONS] == [0] * len(TABLES)

    def test_goes_on_after_a_table_that_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        broken = Retention("a", "EVENT_RETENTION", "SELECT 1 FROM nowhere old", ())
        monkeypatch.setattr(purging, "RETENTIONS", (broken, *RETENTIONS))
        MAKE["unpaid_holds"](age=timedelta(days=400))

        with capture_logs() as lines:
            assert purge_all() == 1

        assert [line["table"] for line in lines if line["event"] == "purge_failed"] == ["a"]

    def test_is_done_by_beat(self) -> None:
        [entry] = [entry for entry in BEAT_SCHEDULE.values() if entry["task"] == purge_task.name]

        assert entry["options"]["queue"] == "external"  # no process that admits waits for it
        assert entry["schedule"] > len(TABLES) * purging.SECONDS_PER_TABLE
        assert len(TABLES) * purging.SECONDS_PER_TABLE < app.conf.task_soft_time_limit


class TestCommand:
    def run(self, *arguments: str) -> str:
        printed = StringIO()
        call_command("purge", *arguments, stdout=printed, no_color=True)
        return printed.getvalue()

    def test_purges_what_is_named_and_says_how_much(self) -> None:
        record(age=timedelta(days=2))
        session(age=timedelta(days=2))

        printed = self.run("--table", "sessions")

        assert "1 rows deleted." in printed
        assert "events" not in printed
        assert (IdempotencyRecord.objects.count(), Session.objects.count()) == (1, 0)

    def test_purges_everything_otherwise(self) -> None:
        for name in TABLES:
            MAKE[name](age=LONG_AGO)

        assert f"{len(TABLES)} rows deleted." in self.run()

    def test_changes_nothing_in_a_dry_run(self) -> None:
        record(age=timedelta(days=2))

        printed = self.run("--dry-run")

        assert "1 rows would be deleted, nothing changed." in printed
        assert IdempotencyRecord.objects.count() == 1
        assert not JobProgress.objects.exists()

    def test_refuses_a_table_that_is_kept_for_ever(self) -> None:
        with pytest.raises(CommandError, match="invalid choice: 'ledger'"):
            self.run("--table", "ledger")
