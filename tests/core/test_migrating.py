"""`manage.py migrate` while the tables are in use: it waits its turn, gives way, and leaves nothing half."""

import os
import subprocess
import sys
import threading
import time
from io import StringIO
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.core.management import call_command
from django.db import OperationalError, connection, migrations, models
from django.db.migrations.loader import MigrationLoader

from apps.core.management.commands import migrate

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

ADD_FIELD = migrations.AddField(
    "session", "probe", models.CharField(max_length=5, db_default="", default="", db_index=True)
)
INDEX = models.Index(fields=["session_data"], name="probe_index")


def index(name="probe_index"):
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [name])
        return cursor.fetchone()


def columns():
    with connection.cursor() as cursor:
        found = connection.introspection.get_table_description(cursor, "django_session")
    return [column.name for column in found]


def applied():
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM django_migrations WHERE app = 'sessions' ORDER BY 1")
        return [name for (name,) in cursor.fetchall()]


@pytest.fixture
def probe(monkeypatch, settings):
    """Give the app of sessions a second migration; afterwards the table is as it was."""
    monkeypatch.setattr(migrate, "WAIT_SECONDS", 0.2)
    settings.MIGRATION_TIMEOUTS = settings.MIGRATION_TIMEOUTS | {"lock_timeout": 300}

    def make(*operations, atomic=True):
        body = {
            "dependencies": [("sessions", "0001_initial")],
            "operations": list(operations),
            "atomic": atomic,
        }
        second = type("Migration", (migrations.Migration,), body)
        load_disk = MigrationLoader.load_disk

        def load_both(loader):
            load_disk(loader)
            loader.disk_migrations["sessions", "0002_probe"] = second("0002_probe", "sessions")

        monkeypatch.setattr(MigrationLoader, "load_disk", load_both)

    yield make
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions' AND name LIKE '0002%'")
        cursor.execute("DROP INDEX IF EXISTS probe_index")
        cursor.execute("ALTER TABLE django_session DROP COLUMN IF EXISTS probe")
    connection.close()


class Rival:
    """A session whose transaction has read sessions of users, and goes on for a while."""

    def __init__(self, seconds):
        self._seconds = seconds
        self._reads = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self):
        rival = connection.copy()
        with rival.cursor() as cursor:
            cursor.execute(
                "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM django_session"
            )
            self._reads.set()
            time.sleep(self._seconds)
        rival.close()

    def __enter__(self):
        self._thread.start()
        assert self._reads.wait(10)

    def __exit__(self, *_):
        self._thread.join()


def run(*arguments):
    said = StringIO()
    call_command("migrate", "sessions", *arguments, stdout=StringIO(), stderr=said)
    return said.getvalue()


class TestMigrate:
    def test_waits_for_a_table_in_use_and_says_so(self, probe):
        probe(ADD_FIELD)

        with Rival(seconds=1.5):
            said = run()

        assert "Attempt 1: canceling statement due to lock timeout. Nothing is left half." in said
        assert "probe" in columns()
        assert applied() == ["0001_initial", "0002_probe"]

    def test_gives_up_when_its_patience_is_over(self, probe):
        probe(ADD_FIELD)

        with Rival(seconds=2.5), pytest.raises(OperationalError, match="lock timeout"):
            run("--patience", "0.5")

        assert "probe" not in columns()
        assert applied() == ["0001_initial"]

    def test_does_not_repeat_what_fails_for_another_reason(self, probe):
        probe(migrations.RunSQL("SELECT 1 FROM nowhere"))

        with pytest.raises(Exception, match="nowhere"):
            run()

        assert applied() == ["0001_initial"]

    def test_has_time_outs_of_its_own_and_leaves_none_behind(self, probe):
        """A statement of a migration takes what it takes; the next one in this process does not."""
        probe(migrations.RunSQL("CREATE TABLE seen AS SELECT name, setting FROM pg_settings"))

        run()

        with connection.cursor() as cursor:
            for source, expected in (("seen", ["300", "0"]), ("pg_settings", ["3000", "15000"])):
                cursor.execute(
                    f"SELECT setting FROM {source}"  # noqa: S608
                    " WHERE name IN ('lock_timeout', 'statement_timeout') ORDER BY name"
                )
                assert [setting for (setting,) in cursor.fetchall()] == expected
            cursor.execute("DROP TABLE seen")


class TestTwoRoles:
    """A database whose tables one role owns, and in which another sells."""

    @pytest.fixture
    def urls(self):
        """Return the addresses of the owner, who is no superuser, and of the application."""
        name = f"{connection.settings_dict['NAME']}_roles"
        owner, application = f"{name}_owner", f"{name}_application"
        place = "{HOST}:{PORT}".format(**connection.settings_dict)

        def drop(cursor):
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            for role in (application, owner):
                cursor.execute(f'DROP ROLE IF EXISTS "{role}"')

        with connection.cursor() as cursor:
            drop(cursor)
            cursor.execute(f"CREATE ROLE \"{owner}\" LOGIN CREATEROLE PASSWORD 'unused'")
            cursor.execute(f'CREATE DATABASE "{name}" OWNER "{owner}"')
        yield [f"postgresql://{role}:unused@{place}/{name}" for role in (owner, application)]
        with connection.cursor() as cursor:
            drop(cursor)

    def manage(self, *arguments, **variables):
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=settings.BASE_DIR,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "concert_project.settings.local",
                "DATABASE_STATEMENT_TIMEOUT_MS": "7000",
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def test_migrate_as_the_owner_and_work_as_the_application(self, urls):
        owner, application = urls
        both = {"OWNER_DATABASE_URL": owner, "DATABASE_URL": application}
        program = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT current_user")
    print(cursor.fetchone()[0])
"""

        migrated = self.manage("migrate", **both)
        worked = self.manage("shell", "--no-imports", "--command", program, **both)
        refused = self.manage("migrate", DATABASE_URL=application)

        assert migrated.returncode == 0, migrated.stderr
        assert worked.stdout.strip() == urlsplit(application).username, worked.stderr
        assert refused.returncode != 0
        with psycopg.connect(application) as session:
            owners = session.execute("SELECT tableowner FROM pg_tables WHERE schemaname = 'public'")
            assert {role for (role,) in owners} == {urlsplit(owner).username}
            shown = [
                session.execute(f"SHOW {name}").fetchone()[0] for name in settings.DATABASE_TIMEOUTS
            ]
        assert shown == ["3s", "7s", "30s"]


class TestMigrationThatIsNoTransaction:
    def test_goes_on_where_it_was_cut_off(self, probe):
        probe(ADD_FIELD, AddIndexConcurrently("session", INDEX), atomic=False)
        with Rival(seconds=2.5), pytest.raises(OperationalError, match="lock timeout"):
            # The field needs no more than a moment; the index waits for all who have read.
            run("--patience", "0.5")

        run()

        assert "probe" in columns()
        assert index() == (True,)
        assert applied() == ["0001_initial", "0002_probe"]

    def test_builds_an_index_anew_that_was_left_invalid(self, probe):
        probe(AddIndexConcurrently("session", INDEX), atomic=False)

        with Rival(seconds=1.5):
            said = run()

        assert "Attempt 1" in said
        assert index() == (True,)

    def test_has_left_one_invalid_before(self, probe):
        """Show that the twin above has something to mend."""
        probe(AddIndexConcurrently("session", INDEX), atomic=False)

        with Rival(seconds=2.5), pytest.raises(OperationalError):
            run("--patience", "0")

        assert index() == (False,)

    def test_repeats_nothing_that_was_done_by_one_that_was_killed(self, probe):
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE django_session ADD probe varchar(5) NOT NULL DEFAULT ''")
            cursor.execute("CREATE INDEX probe_index ON django_session (session_data)")
        probe(ADD_FIELD, AddIndexConcurrently("session", INDEX), atomic=False)

        run()

        assert applied() == ["0001_initial", "0002_probe"]

    def test_may_replace_an_index_by_one_of_the_same_name(self, probe):
        with connection.cursor() as cursor:
            cursor.execute("CREATE INDEX probe_index ON django_session (expire_date)")
        add = models.Index(fields=["expire_date"], name="probe_index")
        probe(
            migrations.SeparateDatabaseAndState(
                state_operations=[migrations.AddIndex("session", add)]
            ),
            RemoveIndexConcurrently("session", "probe_index"),
            AddIndexConcurrently("session", INDEX),
            atomic=False,
        )

        run()

        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_get_indexdef('probe_index'::regclass)")
            assert "(session_data)" in cursor.fetchone()[0]
