"""Test how people and monitoring systems hear of a broken invariant: the command, the task, the log line, the metric."""

import json
import logging
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from celery.app.log import Logging
from django.conf import settings as configured
from django.core.cache import BaseCache, CacheHandler, cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from apps.concerts.services import rebuild_ranking
from apps.core.caching import clear_process_caches
from apps.ops import monitoring
from apps.ops.invariants import INVARIANTS
from apps.ops.models import JobProgress
from apps.ops.monitoring import Scope
from apps.ops.tasks import verify_all_invariants, verify_invariants
from apps.payments.models import Wallet
from concert_project.celery import app
from concert_project.schedule import BEAT_SCHEDULE
from tests.factories.payments import WalletFactory
from tests.ops.invariants.planting import NOWHERE, unprotected

pytestmark = pytest.mark.django_db

BROKEN = f"1 of {len(INVARIANTS)} are broken: balance_is_ledger."


@pytest.fixture
def broken() -> Wallet:
    """A balance that the ledger does not explain."""
    wallet = WalletFactory(balance=5_000)
    set_balance(wallet, 6_000)
    return wallet


def set_balance(wallet: Wallet, balance: int) -> None:
    with unprotected():
        Wallet.objects.filter(pk=wallet.pk).update(balance=balance)


def move(wallet: Wallet, **ago: float) -> None:
    """Let what happened to a wallet have happened so long ago."""
    with unprotected():
        wallet.customer.ledger_transactions.update(created_at=timezone.now() - timedelta(**ago))


def progress(at: datetime) -> None:
    JobProgress.objects.create(name=monitoring.JOB, reached_at=at)


def checked_line(lines: list[Any]) -> Any:
    [line] = [line for line in lines if line["event"] == "invariants_checked"]
    return line


def beat_entry(task: str) -> Any:
    """Return what beat does with a task that workers know, and that holds up no process that admits."""
    [entry] = [entry for entry in BEAT_SCHEDULE.values() if entry["task"] == task]
    assert entry["options"]["queue"] == "external"
    app.loader.import_default_modules()
    assert task in app.tasks
    return entry


class TestCommand:
    def run(self, *arguments: str) -> tuple[str, CommandError | None]:
        printed = StringIO()
        try:
            call_command("verify_invariants", *arguments, stdout=printed, no_color=True)
        except CommandError as failure:
            return printed.getvalue(), failure
        return printed.getvalue(), None

    def test_prints_every_invariant_and_succeeds(self) -> None:
        rebuild_ranking()

        printed, failure = self.run()

        assert failure is None
        for statement, _ in INVARIANTS.values():
            assert statement[:60] in printed
        assert f"{len(INVARIANTS)} invariants, 0 breaches, " in printed
        assert "not checked" not in printed

    def test_names_a_breach_and_fails(self, broken: Wallet) -> None:
        printed, failure = self.run()

        assert f"customer {broken.pk}: balance 6,000, ledger 5,000" in printed
        assert str(failure) == BROKEN
        assert failure is not None
        assert failure.returncode == 1

    def test_says_how_many_more_there_are(self) -> None:
        WalletFactory.create_batch(12, balance=1_000)
        with unprotected():
            Wallet.objects.update(balance=1)

        printed, _ = self.run()

        assert printed.count("balance 1, ledger 1,000") == 10
        assert "… and 2 more" in printed

    def test_says_what_it_could_not_check_and_succeeds(self, settings) -> None:
        settings.QUEUE_URL = NOWHERE

        printed, failure = self.run()

        assert failure is None
        assert "not checked: store unavailable" in printed

    def test_prints_json(self, broken: Wallet) -> None:
        printed, failure = self.run("--json")

        answer = json.loads(printed)
        assert failure is not None
        assert answer["breaches"] == 1
        assert [result["name"] for result in answer["invariants"]] == list(INVARIANTS)
        [found] = [result for result in answer["invariants"] if result["breaches"]]
        assert found["examples"] == [f"customer {broken.pk}: balance 6,000, ledger 5,000"]
        names = {"name", "statement", "breaches", "examples", "counts", "not_checked", "seconds"}
        assert set(found) == names

    def test_looks_only_at_what_has_changed_since_a_moment(self, broken: Wallet) -> None:
        later = timezone.now() + timedelta(seconds=1)

        printed, failure = self.run("--since", later.isoformat())

        assert failure is None
        assert f"{len(INVARIANTS)} invariants, 0 breaches, " in printed
        _, failure = self.run("--since", "2000-01-01")
        assert str(failure) == BROKEN

    def test_refuses_a_moment_that_is_none(self) -> None:
        with pytest.raises(CommandError, match="'yesterday' is not a time such as"):
            call_command("verify_invariants", "--since", "yesterday")

    def test_tells_the_metric_what_it_found_in_everything(self, broken: Wallet) -> None:
        self.run("--since", "2000-01-01")
        assert cache.get(Scope.EVERYTHING.key) is None

        self.run()

        assert cache.get(Scope.EVERYTHING.key)["breaches"]["balance_is_ledger"] == 1


class TestTask:
    def test_logs_one_line_when_all_is_well(self) -> None:
        rebuild_ranking()

        with capture_logs() as lines:
            verify_invariants()

        line = checked_line(lines)
        assert line["log_level"] == "info"
        assert line["breaches"] == dict.fromkeys(INVARIANTS, 0)
        assert (line["examples"], line["not_checked"]) == ({}, {})
        assert line["seconds"] > 0

    def test_logs_an_error_with_its_examples(self, broken: Wallet) -> None:
        with capture_logs() as lines:
            verify_invariants()

        line = checked_line(lines)
        assert line["log_level"] == "error"
        assert line["breaches"]["balance_is_ledger"] == 1
        assert line["examples"] == {
            "balance_is_ledger": [f"customer {broken.pk}: balance 6,000, ledger 5,000"]
        }

    def test_is_not_silenced_by_celery(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker that is started without `--loglevel` would let warnings through only."""
        monkeypatch.setattr(Logging, "already_setup", False)
        root = logging.getLogger()
        before = (root.level, list(root.handlers))

        app.log.setup_logging_subsystem(loglevel="CRITICAL")

        assert (root.level, list(root.handlers)) == before

    def test_takes_what_newer_callers_send(self) -> None:
        verify_invariants(reason="tomorrow's release")

    def test_may_take_longer_than_a_request(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '1ms'")

        verify_invariants()

        assert cache.get(Scope.LATELY.key)["breaches"]["balance_is_ledger"] == 0

    def test_ends_before_celery_would_end_or_repeat_it(self, settings) -> None:
        limits = [
            monitoring.CHECK_SECONDS,
            verify_invariants.soft_time_limit,
            verify_invariants.time_limit,
            settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"],
        ]

        assert limits == sorted(set(limits))

    def test_is_done_by_beat_every_five_minutes(self) -> None:
        assert beat_entry("ops.verify_invariants")["schedule"] == 300 > monitoring.CHECK_SECONDS

    @pytest.mark.django_db(transaction=True)
    def test_two_at_once_do_no_harm(self, race) -> None:
        rebuild_ranking()

        assert race([monitoring.watch_invariants] * 2) == [True, True]
        assert set(cache.get(Scope.LATELY.key)["breaches"].values()) == {0}

    def test_does_without_a_cache(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(monitoring, "cache", dead_cache())

        assert monitoring.watch_invariants() is True


class TestWhatIsLookedAt:
    def reached_at(self) -> datetime | None:
        return (
            JobProgress.objects.filter(pk=monitoring.JOB)
            .values_list("reached_at", flat=True)
            .first()
        )

    def test_is_what_has_changed_since_the_last_time(self, broken: Wallet) -> None:
        move(broken, minutes=40)
        progress(timezone.now() - timedelta(minutes=20))
        before = timezone.now()

        assert monitoring.watch_invariants() is True

        reached_at = self.reached_at()
        assert reached_at is not None
        assert before <= reached_at <= timezone.now()

    def test_overlaps_with_the_last_time(self, broken: Wallet) -> None:
        move(broken, minutes=14)
        progress(timezone.now())

        assert monitoring.watch_invariants() is False

    def test_is_the_last_day_at_first(self, broken: Wallet) -> None:
        move(broken, hours=23)
        assert monitoring.watch_invariants() is False

        move(broken, hours=25)
        assert monitoring.watch_invariants() is True

    def test_is_a_day_at_most_however_long_no_check_was_made(self, broken: Wallet) -> None:
        move(broken, days=7)
        progress(timezone.now() - timedelta(days=30))

        assert monitoring.watch_invariants() is True

    def test_stays_the_same_until_a_breach_is_mended(self, broken: Wallet) -> None:
        long_ago = timezone.now() - timedelta(hours=3)
        progress(long_ago)
        move(broken, hours=2)

        for _ in range(2):
            assert monitoring.watch_invariants() is False
        assert self.reached_at() == long_ago

        set_balance(broken, 5_000)
        assert monitoring.watch_invariants() is True
        assert self.reached_at() != long_ago

    def test_is_everything_at_night(self, broken: Wallet) -> None:
        move(broken, days=7)
        assert monitoring.watch_invariants() is True

        verify_all_invariants(reason="tomorrow's release")

        assert cache.get(Scope.EVERYTHING.key)["breaches"]["balance_is_ledger"] == 1
        monitoring.watch_invariants()
        assert cache.get(Scope.LATELY.key)["breaches"]["balance_is_ledger"] == 0

    def test_beat_has_everything_checked_once_a_day(self, settings) -> None:
        entry = beat_entry("ops.verify_all_invariants")
        due_in = entry["schedule"].remaining_estimate(timezone.now())

        assert timedelta(0) < due_in <= timedelta(days=1)
        soft, hard = verify_all_invariants.soft_time_limit, verify_all_invariants.time_limit
        assert soft is not None
        assert hard is not None
        assert monitoring.NIGHT_SECONDS < soft < hard
        # The broker hands a task out again that was not acknowledged for as long.
        assert not verify_all_invariants.acks_late


class TestMetric:
    def figures(self, client) -> dict[str, float]:
        clear_process_caches()
        response = client.get("/metrics")
        assert response.status_code == 200
        return {
            sample.labels.get("invariant", sample.name): sample.value
            for family in text_string_to_metric_families(response.content.decode())
            for sample in family.samples
            if sample.name.startswith("encore_invariant")
        }

    def test_is_absent_before_the_first_check(self, client) -> None:
        assert self.figures(client) == {}

    def test_tells_breaches_and_the_time_of_the_last_check(self, client, broken: Wallet) -> None:
        rebuild_ranking()
        before = timezone.now()
        monitoring.watch_invariants()

        found = self.figures(client)

        checked_at = found.pop("encore_invariants_checked_timestamp_seconds")
        assert before.timestamp() <= checked_at <= timezone.now().timestamp()
        assert found.pop("encore_invariants_check_seconds") > 0
        assert found == dict.fromkeys(INVARIANTS, 0) | {"balance_is_ledger": 1}

    def test_is_absent_for_what_could_not_be_checked(self, client, settings) -> None:
        settings.QUEUE_URL = NOWHERE
        monitoring.watch_invariants()

        assert "ranking_recounted" not in self.figures(client)
        assert self.figures(client)["balance_is_ledger"] == 0

    def test_goes_back_to_zero(self, client, broken: Wallet) -> None:
        monitoring.watch_invariants()
        set_balance(broken, 5_000)
        monitoring.watch_invariants()

        assert self.figures(client)["balance_is_ledger"] == 0

    def test_keeps_what_the_night_found(self, client, broken: Wallet) -> None:
        move(broken, days=7)
        monitoring.watch_invariants(scope=Scope.EVERYTHING)
        monitoring.watch_invariants()

        clear_process_caches()
        page = client.get("/metrics").content.decode()

        name = 'encore_invariant_breaches{invariant="balance_is_ledger",scope='
        assert f'{name}"everything"}} 1.0' in page
        assert f'{name}"lately"}} 0.0' in page

    def test_is_the_same_in_every_process(self, client) -> None:
        """Nothing is kept but in the cache, which they share, and for some seconds."""
        monitoring.watch_invariants()
        found = self.figures(client)

        assert found == self.figures(client)
        kept = cache.get(Scope.LATELY.key)
        assert found["encore_invariants_checked_timestamp_seconds"] == kept["checked_at"]

    def test_is_kept_for_two_days(self, store) -> None:
        monitoring.watch_invariants()

        [key] = store.keys(f"cache*{Scope.LATELY.key}")
        assert timedelta(hours=47) < timedelta(seconds=store.ttl(key)) <= timedelta(hours=48)

    def test_of_a_dead_cache_leaves_the_other_figures(
        self, client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monitoring.watch_invariants()
        monkeypatch.setattr(monitoring, "cache", dead_cache())

        assert self.figures(client) == {}
        assert b"encore_deliveries_pending" in client.get("/metrics").content


def dead_cache() -> BaseCache:
    """Return the one that `CACHES` configures, with no server at the other end."""
    return CacheHandler({"default": configured.CACHES["default"] | {"LOCATION": NOWHERE}})[
        "default"
    ]
