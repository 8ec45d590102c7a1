from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.concerts.services import rebuild_ranking


class Command(BaseCommand):
    help = "Build the ranking anew from what was consumed, and publish it when it is complete."

    def handle(self, *args: Any, **options: Any) -> None:
        if not rebuild_ranking():
            raise CommandError(
                "Another rebuild is under way. Try again in a minute if it does not finish."
            )
        self.stdout.write(self.style.SUCCESS("The ranking is rebuilt."))
