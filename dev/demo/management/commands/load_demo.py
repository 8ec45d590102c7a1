from typing import Any

from django.core.management.base import BaseCommand

from apps.concerts.models import Performance
from dev.demo.accounts import load_fans, load_logins, logins_path
from dev.demo.catalogue import PRODUCTIONS, load_production
from dev.demo.sales import sell_seats, settle_ranking


class Command(BaseCommand):
    help = (
        "Load concerts, sales and logins to try Encore out. What is there already stays, so running "
        "it again is quick."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        logins = load_logins()
        fans = load_fans()
        reservations = 0
        for production in PRODUCTIONS:
            concert, performances = load_production(production)
            for performance, seats in zip(performances, production.sold, strict=False):
                performance.concert = concert
                reservations += sell_seats(performance=performance, seats=seats, fans=fans)
        if reservations:
            settle_ranking()
        self.stdout.write(
            f"{len(PRODUCTIONS)} concerts, {Performance.objects.count()} performances, "
            f"{reservations} new reservations. Logins are in {logins_path()}:"
        )
        for login in logins:
            self.stdout.write(f"  {login.role:<18}{login.email:<22}{login.password}  {login.url}")
