"""Every argument of every management command of ours, given what it cannot be."""

import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import (
    CommandError,
    call_command,
    get_commands,
    load_command_class,
)
from django.db import connection

from apps.core.commands import file_path, words
from apps.core.texts import typed_line
from tests.factories.accounts import CustomerFactory
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    name: load_command_class(app, name)
    for name, app in sorted(get_commands().items())
    if app.startswith(("apps.", "dev."))
}
# What else a command needs, so that it refuses the argument and nothing before it.
GIVEN = {
    "room": ["{room}", "show"],
    "loadtest_prepare": [
        *("--customers=1", "--seats=1", "--capacity=1", "--output=/dev/null"),
    ],
}
NO_TEXTS = ["\udcff", "\0", ""]
HOSTILE = [
    *("nan", "inf", "-1", "1e400", "9" * 5_000, "[::1", "http://[::1", "http://x:99999"),
    *("9999-12-31T23:59-12:00", *NO_TEXTS),
]


def arguments_of(name):
    """Return the arguments that take a value, without those that every command of Django has."""
    everywhere = {action.dest for action in COMMANDS["load_demo"].create_parser("", "")._actions}
    inherited = set()
    if name == "migrate":
        from django.core.management.commands import migrate

        inherited = {action.dest for action in migrate.Command().create_parser("", "")._actions}
    return [
        action
        for action in COMMANDS[name].create_parser("", name)._actions
        if action.nargs != 0 and action.dest not in everywhere | inherited
    ]


def cases():
    for name in COMMANDS:
        for action in arguments_of(name):
            # Everything else can be the name of a file.
            for value in NO_TEXTS if action.type is file_path else HOSTILE:
                yield pytest.param(name, action, value, id=f"{name} {action.dest} {value[:20]!a}")


def contents():
    """Return a digest of each table."""
    tables = sorted({model._meta.db_table for model in apps.get_models()})
    digests = " UNION ALL ".join(
        f"SELECT '{table}', md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM \"{table}\" t"  # noqa: S608
        for table in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(digests)
        return dict(cursor.fetchall())  # they may be digested in parallel, in any order


@pytest.fixture
def room():
    return WaitingRoomFactory()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refusal_of(*arguments):
    """Run a command; return the line that it refuses its arguments in, None if it does not."""
    try:
        call_command(*arguments, stdout=StringIO(), stderr=StringIO(), no_color=True)
    except CommandError as refusal:
        [line] = str(refusal).splitlines()
        line.encode()  # a terminal can show it
        return line
    return None


class TestHostileArguments:
    def test_every_command_is_tried(self):
        tried = {case.values[0] for case in cases()}

        assert set(COMMANDS) - tried == {"load_demo", "rebuild_ranking", "reconcile"}

    @pytest.mark.parametrize(("name", "action", "value"), list(cases()))
    def test_is_refused_in_one_line_and_changes_nothing(self, room, tmp_path, name, action, value):
        WalletFactory()
        given = [text.format(room=room.concert_id) for text in GIVEN.get(name, [])]
        if action.option_strings:
            given.append(f"{action.option_strings[0]}={value}")
        elif action.dest == "value":
            given.append(value)
        else:
            given[["concert_id", "control"].index(action.dest)] = value
        before = contents()

        refusal = refusal_of(name, *given)

        is_fine = action.type is words and value not in NO_TEXTS
        is_fine |= action.type is typed_line and value in ("", *set(HOSTILE) - set(NO_TEXTS))
        assert refusal or is_fine
        assert contents() == before
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("value", HOSTILE)
    @pytest.mark.parametrize(
        "given",
        [
            *(["capacity"], ["rate"], ["open"], ["remove", "--reason=x"]),
            *(["capacity", "7", "--by"], ["pause", "--reason=x", "--by"]),
        ],
        ids=" ".join,
    )
    def test_is_no_value_of_a_control_of_a_room_and_no_actor(self, room, given, value):
        *others, last = given
        given = [*others, f"--by={value}"] if last == "--by" else [*given[:1], value, *given[1:]]
        before = contents()

        assert refusal_of("room", str(room.concert_id), *given)
        assert contents() == before

    @pytest.mark.parametrize("day", ["0001-01-01", "0001-01-02", "9999-12-31"])
    @pytest.mark.parametrize(
        "given",
        [
            *(["export_ledger", "--from"], ["export_ledger", "--to"]),
            *(["replay_dead_deliveries", "--since"], ["replay_dead_deliveries", "--until"]),
            *(["verify_invariants", "--since"], ["room", "{room}", "open"]),
        ],
        ids=" ".join,
    )
    def test_may_be_an_end_of_the_calendar(self, room, given, day):
        """Refused or not, there is no traceback."""
        refusal_of(*(text.format(room=room.concert_id) for text in given), day)

    @pytest.mark.parametrize("command", ["changepassword", "room"])
    def test_is_refused_to_commands_of_django_as_well(self, command):
        process = subprocess.run(
            [sys.executable, ROOT / "manage.py", command, b"\xff"], capture_output=True, check=False
        )

        assert (process.returncode, process.stderr) == (1, b"An argument is not in UTF-8.\n")

    @pytest.mark.parametrize("value", HOSTILE)
    def test_names_no_actor_of_a_replay(self, value):
        CustomerFactory(staff=True)

        assert refusal_of("replay_dead_deliveries", f"--by={value}")
