import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FAILURES = {
    1: "The drill has found breaches.",
    2: "The drill did not take place.",
}


class Command(BaseCommand):
    help = (
        "Start a stack of its own, let customers shop in it through the API, and break one thing after the other meanwhile: "
        "kill processes, freeze and empty servers, cut sessions, spoil the outside platform. After each fault repeat every "
        "call whose outcome is unknown, compare all answers with the database, both ways, check all invariants and that "
        "every event was consumed once. Prints a table and exits non-zero on a breach."
    )
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["epilog"] = (
            "Example: manage.py fault_drill --seed 1 --json drill.json. All faults take about ten minutes, "
            "--faults broker-frozen,web-killed takes one. Everything is drawn from the seed before anything starts. "
            "No running stack is touched; what the drill starts lies in a folder that goes with it."
        )
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        try:
            from dev.drill.options import add_options
        except ImportError:
            parser.error("The drill comes with the development requirements: see `make run`.")
        add_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """In a process of its own: this one is set up for another database, or for none."""
        from dev.drill.options import as_arguments

        drill = subprocess.Popen(
            [sys.executable, "-m", "dev.drill", *as_arguments(options)],
            cwd=Path(settings.BASE_DIR),
        )
        for number in SIGNALS:
            signal.signal(number, lambda number, frame: drill.send_signal(number))
        status = drill.wait()
        if status:
            raise CommandError(FAILURES.get(status, "The drill was ended."), returncode=status)
