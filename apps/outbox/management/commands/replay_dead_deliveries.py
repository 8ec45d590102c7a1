from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.acting import actor_called, add_actor_option
from apps.core.commands import moment_in, words
from apps.outbox.events import CONSUMERS
from apps.outbox.models import EventDelivery
from apps.outbox.replaying import replay_dead

SHOWN_MAX = 20

_venue_time = moment_in(ZoneInfo(settings.VENUE_TIME_ZONE))
# Options that narrow the choice, each with the lookup that it stands for.
LOOKUPS = {
    "consumer": "consumer",
    "event": "event__in",
    "since": "event__occurred_at__gte",
    "until": "event__occurred_at__lt",
    "error": "last_error__icontains",
}


class Command(BaseCommand):
    help = (
        "Give deliveries of events that were given up (DEAD) another full set of attempts. Mend the "
        "cause first: --dry-run shows the last errors. Without options all of them; with several, those that all of them name."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["epilog"] = (
            "Example: manage.py replay_dead_deliveries --consumer external_sync --since 2027-01-02 --dry-run. "
            "The relay takes them up within seconds; a consumer that has done an event does nothing the second time. "
            "It works in batches and may be interrupted: what is done stays done, and who did it is recorded."
        )
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--consumer", type=words, metavar="NAME", help="those of one consumer only"
        )
        parser.add_argument(
            "--event",
            type=UUID,
            nargs="+",
            action="extend",
            metavar="UUID",
            help="those of these events only",
        )
        parser.add_argument(
            "--since",
            type=_venue_time,
            metavar="TIME",
            help="those of events from this time on, the venue's if it names no zone",
        )
        parser.add_argument(
            "--until", type=_venue_time, metavar="TIME", help="those of events before this time"
        )
        parser.add_argument(
            "--error",
            type=words,
            metavar="TEXT",
            help="those whose last error has this in it, for example 404",
        )
        add_actor_option(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="list them with their last error, change nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        consumer: str | None = options["consumer"]
        known = sorted(CONSUMERS)
        if consumer is not None and consumer not in known:
            raise CommandError(f"No consumer {consumer!r}: there are {', '.join(known)}.")
        by = actor_called(options["by"])
        wanted = {name: options[name] for name in LOOKUPS if options[name] is not None}
        dead = EventDelivery.objects.dead().filter(
            **{LOOKUPS[name]: value for name, value in wanted.items()}
        )
        number = dead.count()

        if options["dry_run"]:
            for delivery in dead.order_by("pk")[:SHOWN_MAX]:
                self.stdout.write(f"{delivery.event_id} {delivery.consumer}: {delivery.last_error}")
            if number > SHOWN_MAX:
                self.stdout.write(f"… and {number - SHOWN_MAX:,} more")
            self.stdout.write(f"{number:,} dead, nothing changed.")
            return
        done = 0

        def show(replayed: int) -> None:
            nonlocal done
            done += replayed
            self.stderr.write(f"\r{done:,} of {number:,}", ending="" if done < number else "\n")

        replayed = replay_dead(
            deliveries=dead,
            chosen=", ".join(f"{name} {_in_words(value)}" for name, value in wanted.items()),
            on_progress=show,
            **by,
        )
        self.stdout.write(self.style.SUCCESS(f"{replayed:,} will be tried again."))


def _in_words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
