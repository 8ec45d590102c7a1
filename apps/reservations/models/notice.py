"""Notices by staff to those who have tickets."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.concerts.models import Concert, Notice, NoticeQuerySet, Performance

if TYPE_CHECKING:
    from apps.reservations.models.reservation import Reservation


class HolderNotice(Notice):
    """A text for all who have tickets for a performance, or for any date of a concert: those who buy later read it, too.

    It ends with the performance, or when it is taken back. `customers` and `tickets` count who had some when it was sent.
    """

    concert = models.ForeignKey(
        Concert,
        on_delete=models.CASCADE,
        related_name="notices",
        db_index=False,
        verbose_name=_("concert"),
    )
    performance = models.ForeignKey(
        Performance,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="notices",
        verbose_name=_("performance"),
        help_text=_("Empty if it is for all dates of the concert."),
    )
    customers = models.PositiveIntegerField(_("customers"), help_text=_("When it was sent."))
    tickets = models.PositiveIntegerField(_("tickets"), help_text=_("When it was sent."))

    objects = NoticeQuerySet["HolderNotice"].as_manager()

    class Meta(Notice.Meta):
        verbose_name = _("notice to ticket holders")
        verbose_name_plural = _("notices to ticket holders")
        permissions = (("notify_holders", "Can show notices to ticket holders"),)
        indexes = (
            models.Index(
                fields=["concert"], condition=Q(ended_at=None), name="holder_notices_standing"
            ),
        )

    def is_for(self, reservation: "Reservation", at: datetime) -> bool:
        """Tell whether the holder of a reservation reads it: also one whose reservation was cancelled later. Needs `performance`."""
        return (
            self.performance_id in (None, reservation.performance_id)
            and at < reservation.performance.ends_at
            and (reservation.cancelled_at is None or self.sent_at <= reservation.cancelled_at)
        )
