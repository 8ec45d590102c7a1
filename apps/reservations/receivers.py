"""Announce a drain for each consumer after the commit of a sale, a cancellation or what becomes of a date."""

from django.dispatch import receiver

from apps.concerts.signals import performance_called_off, performance_rescheduled
from apps.outbox.announcing import announce
from apps.reservations.signals import reservation_cancelled, reservation_confirmed, seats_cancelled


@receiver([reservation_confirmed, reservation_cancelled, seats_cancelled], dispatch_uid="ranking")
def announce_ranking(**_: object) -> None:
    announce("ranking")


@receiver(reservation_confirmed, dispatch_uid="token_expiry")
def announce_token_expiry(**_: object) -> None:
    announce("token_expiry")


@receiver(
    [
        reservation_confirmed,
        reservation_cancelled,
        seats_cancelled,
        performance_rescheduled,
        performance_called_off,
    ],
    dispatch_uid="external_sync",
)
def announce_external_sync(**_: object) -> None:
    announce("external_sync")
