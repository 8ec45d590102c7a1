import time
from itertools import count
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections

from apps.core.commands import number
from apps.core.migrating import (
    ResumingExecutor,
    alias_of_owner,
    has_unreleased_tables,
    is_contention,
    use_timeouts_of_migrations,
)

PATIENCE_SECONDS, PATIENCE_MAX_SECONDS = 600.0, 86_400.0
WAIT_SECONDS = 5.0

migrate.MigrationExecutor = ResumingExecutor  # type: ignore[attr-defined]


class Command(migrate.Command):
    """Django's, as the owner of the tables, which tries again while others hold the locks that it needs."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=alias_of_owner())
        parser.add_argument(
            "--patience",
            type=number(0, PATIENCE_MAX_SECONDS),
            default=PATIENCE_SECONDS,
            metavar="SECONDS",
            help="for how long to try again when tables are in use (default: %(default).0f)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if has_unreleased_tables(connections[options["database"]]):
            raise CommandError(
                "This database was made by a version before the first release. Its tables cannot be taken over: "
                "use an empty database (`make clean` removes that of `make run`)."
            )
        give_up_at = time.monotonic() + options["patience"]
        for attempt in count(1):
            try:
                self._try_once(*args, **options)
            except OperationalError as error:
                left = give_up_at - time.monotonic()
                if not is_contention(error) or left <= 0:
                    raise
                reason = str(error.__cause__).splitlines()[0]
                wait = min(WAIT_SECONDS, left)
                self.stderr.write(
                    f"Attempt {attempt}: {reason}. Nothing is left half. Trying again in {wait:.0f} s, "
                    f"for {left:.0f} s at most."
                )
                time.sleep(wait)
            else:
                return

    def _try_once(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        try:
            use_timeouts_of_migrations(connection)
            super().handle(*args, **options)
        finally:
            connection.close()  # whatever comes next in this process gets the time-outs of its role
