"""Beat starts from whatever it finds in its file, and remembers what ran last."""

import dbm.dumb
import json
import shelve
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from celery.beat import PersistentScheduler
from structlog.testing import capture_logs

from concert_project.beat import FileScheduler, Ticking
from concert_project.celery import app as celery_app
from tests.reservations.workers import started, wait_until

pytestmark = pytest.mark.slow

NIGHTLY = "verify all invariants"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "celerybeat-schedule"


def scheduler(path):
    return FileScheduler(app=celery_app, schedule_filename=str(path))


def shelf(path, entries):
    """Leave what Celery's own scheduler kept, as the dbm of another Python may have written it."""
    with dbm.dumb.open(str(path), "n") as database, shelve.Shelf(database) as kept:
        kept["entries"] = entries
        kept["__version__"] = "5.4.0"


def empty_record(path):
    """Leave a database with a record of no bytes: what a machine leaves that went down while it was written."""
    with dbm.open(str(path), "n") as database:
        database[b"entries"] = b""
        database[b"__version__"] = b""


def folder(path):
    path.mkdir()
    (path / "anything").touch()


def unwritable(path):
    path.parent.chmod(0o500)
    path.with_name(f"{path.name}.unfinished").symlink_to("/proc/nowhere")


DAMAGES = {
    "no file": lambda path: None,
    "empty record": empty_record,
    "of other Pythons": lambda path: shelf(path, {}),
    "zero length": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(4096)),
    "truncated": lambda path: path.write_text('{"purge": "2026-01-01T00:'),
    "another JSON": lambda path: path.write_text("[1, null]"),
    "times that are none": lambda path: path.write_text('{"purge": null, "x": 7}'),
    "a time without zone": lambda path: path.write_text('{"purge": "2026-01-01T00:00:00"}'),
    "the future": lambda path: path.write_text('{"purge": "2999-01-01T00:00:00+00:00"}'),
    "folder": folder,
    "unwritable": unwritable,
    "dangling link": lambda path: path.symlink_to(path.parent / "nowhere"),
}


class TestFile:
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_may_be_in_any_state(self, path, damage):
        DAMAGES[damage](path)
        before = datetime.now(UTC)

        beat = scheduler(path)
        beat.tick()
        beat.close()

        assert beat.schedule["purge"].last_run_at >= before
        if damage not in ("folder", "unwritable"):
            assert json.loads(path.read_text()).keys() == celery_app.conf.beat_schedule.keys()
        path.parent.chmod(0o700)

    @pytest.mark.parametrize("damage", ["empty record", "truncated", "folder"])
    def test_is_named_when_it_is_of_no_use(self, path, damage):
        DAMAGES[damage](path)
        if damage == "empty record" and not path.exists():
            path = next(path.parent.iterdir())

        with capture_logs() as lines:
            scheduler(path)

        assert (lines[0]["event"], lines[0]["path"]) == ("schedule_forgotten", str(path))

    def test_kept_the_scheduler_of_celery_from_starting(self, path):
        empty_record(path)

        with pytest.raises(EOFError):
            PersistentScheduler(app=celery_app, schedule_filename=str(path))

    def test_remembers_what_a_night_without_beat_has_missed(self, path):
        two_days_ago = datetime.now(UTC) - timedelta(days=2)
        runs = dict.fromkeys([NIGHTLY, "a task of before"], two_days_ago.isoformat())
        path.write_text(json.dumps(runs))

        entry = scheduler(path).schedule[NIGHTLY]

        assert entry.last_run_at == two_days_ago
        assert entry.is_due().is_due

    def test_would_have_been_missed_without_it(self, path):
        assert not scheduler(path).schedule[NIGHTLY].is_due().is_due

    def test_is_written_in_one_step(self, path):
        beat = scheduler(path)
        beat.close()
        path.with_name(f"{path.name}.unfinished").write_text("{")

        assert scheduler(path)._read().keys() == celery_app.conf.beat_schedule.keys()


class TestTicking:
    def test_stops_when_the_schedule_is_not_looked_at(self, settings, monkeypatch):
        now = [0.0]
        monkeypatch.setattr("concert_project.beat.time.monotonic", lambda: now[0])
        ticking = Ticking(celery_app, patience=30.0)

        now[0] = 31.0

        assert not ticking()
        ticking.tick()
        assert ticking()

    def test_goes_on_while_there_is_no_broker(self, monkeypatch):
        now = [0.0]
        monkeypatch.setattr("concert_project.beat.time.monotonic", lambda: now[0])
        ticking = Ticking(
            Celery("x", broker="redis://127.0.0.1:1/0", set_as_current=False), patience=30.0
        )

        now[0] = 31.0

        assert ticking()


class TestProcess:
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("damage", ["empty record", "folder"])
    def test_sends_tasks_whatever_its_file_is(self, broker_store, damage, tmp_path):
        path = tmp_path / "celerybeat-schedule"
        DAMAGES[damage](path)

        with started("beat", "beat", "--schedule", str(path)) as beat:
            wait_until(lambda: broker_store.llen("celery:admission"), beat.log_tail())
