from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.shared import outbox
from apps.shared.models import EventDelivery

SHOWN_MAX = 20


class Command(BaseCommand):
    help = (
        "Give deliveries of events that were given up (DEAD) another full set of attempts. Mend the "
        "cause first: --dry-run shows the last errors. Without --consumer and --event, all of them."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["epilog"] = (
            "Example: manage.py replay_dead_deliveries --consumer external_sync --dry-run. The relay "
            "takes them up within seconds; a consumer that has done an event does nothing the second time."
        )
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--consumer", metavar="NAME", help="those of one consumer only")
        parser.add_argument(
            "--event",
            type=UUID,
            nargs="+",
            action="extend",
            metavar="UUID",
            help="those of these events only",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="list them with their last error, change nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        consumer: str | None = options["consumer"]
        known = sorted(one.name for one in outbox.consumers())
        if consumer is not None and consumer not in known:
            raise CommandError(f"No consumer {consumer!r}: there are {', '.join(known)}.")
        dead = EventDelivery.objects.dead()
        if consumer is not None:
            dead = dead.filter(consumer=consumer)
        if options["event"] is not None:
            dead = dead.filter(event__in=options["event"])

        if options["dry_run"]:
            for one in dead.order_by("pk")[:SHOWN_MAX]:
                self.stdout.write(f"{one.event_id} {one.consumer}: {one.last_error}")
            number = dead.count()
            if number > SHOWN_MAX:
                self.stdout.write(f"… and {number - SHOWN_MAX:,} more")
            self.stdout.write(f"{number:,} dead, nothing changed.")
            return
        ids = None if options["event"] is None else list(dead.values_list("pk", flat=True))
        replayed = outbox.replay_dead(consumer=consumer, delivery_ids=ids)
        self.stdout.write(self.style.SUCCESS(f"{replayed:,} will be tried again."))
