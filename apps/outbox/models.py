"""Events, their deliveries and replays, and the health of the receivers outside."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.identifiers import new_id


class OutboxEvent(models.Model):
    """A fact that was committed, in the same transaction as what it tells of."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    type = models.CharField(_("type"), max_length=100)
    payload = models.JSONField(_("payload"))
    occurred_at = models.DateTimeField(_("occurred at"), db_index=True)

    class Meta:
        verbose_name = _("outbox event")
        verbose_name_plural = _("outbox events")

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class EventDeliveryQuerySet(models.QuerySet["EventDelivery"]):
    def pending(self) -> Self:
        return self.filter(status=EventDelivery.Status.PENDING)

    def due(self) -> Self:
        """Keep what is pending and not claimed, or claimed by a worker that has not come back."""
        return self.pending().filter(next_attempt_at__lte=Now())

    def dead(self) -> Self:
        return self.filter(status=EventDelivery.Status.DEAD)


class EventDelivery(models.Model):
    """Track what one consumer did with one event. DEAD deliveries wait for staff to replay them."""

    class Status(models.TextChoices):
        PENDING = "PENDING", _("pending")
        DONE = "DONE", _("done")
        DEAD = "DEAD", _("dead")

    event = models.ForeignKey(
        OutboxEvent,
        on_delete=models.PROTECT,
        related_name="deliveries",
        # The unique constraint below begins with this column.
        db_index=False,
        verbose_name=_("event"),
    )
    consumer = models.CharField(_("consumer"), max_length=50)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.PENDING)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(
        _("next attempt at"),
        help_text=_("The delivery is not tried before this time."),
    )
    last_error = models.TextField(_("last error"), blank=True)
    done_at = models.DateTimeField(_("done at"), null=True, blank=True)

    objects = EventDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("event delivery")
        verbose_name_plural = _("event deliveries")
        constraints = [
            models.UniqueConstraint(fields=["event", "consumer"], name="event_delivered_once"),
            models.CheckConstraint(
                condition=models.Q(status="DONE", done_at__isnull=False)
                | (~models.Q(status="DONE") & models.Q(done_at__isnull=True)),
                name="event_delivery_done_has_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["consumer", "next_attempt_at"],
                condition=models.Q(status="PENDING"),
                name="event_delivery_pending",
            ),
            models.Index(
                fields=["consumer"], condition=models.Q(status="DEAD"), name="event_delivery_dead"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.consumer}: {self.event_id}"


class Receiver(models.Model):
    """Health of the receiver outside that a consumer tells of events, as its answers show it (`receiver_health.py`).

    `failures` counts attempts since the last success, `failing_since` is the first of them. An unhealthy receiver gets nothing
    but a probe at `next_probe_at`. `last_error` outlives the recovery.
    """

    consumer = models.CharField(_("consumer"), max_length=50, primary_key=True)
    failures = models.PositiveIntegerField(_("consecutive failures"), default=0)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)
    unhealthy_since = models.DateTimeField(_("unhealthy since"), null=True, blank=True)
    next_probe_at = models.DateTimeField(_("next probe at"), null=True, blank=True)
    recovered_at = models.DateTimeField(_("recovered at"), null=True, blank=True)
    last_error = models.TextField(_("last error"), blank=True)

    class Meta:
        verbose_name = _("receiver")
        verbose_name_plural = _("receivers")

    def __str__(self) -> str:
        return self.consumer


class DeliveryReplay(models.Model):
    """Record of dead deliveries that got another set of attempts: which, how many, when and by whom.

    `replayed_by` is the account of staff; `actor` names a person who acts without one, on a server's command line for example.
    """

    replayed_at = models.DateTimeField(_("replayed at"), db_default=Now(), editable=False)
    replayed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("replayed by"),
    )
    actor = models.CharField(_("actor"), max_length=100, blank=True)
    chosen = models.TextField(_("selection"), help_text=_("Which dead deliveries were replayed."))
    deliveries = models.PositiveBigIntegerField(_("deliveries"), default=0)

    class Meta:
        verbose_name = _("replay of deliveries")
        verbose_name_plural = _("replays of deliveries")
        indexes = [models.Index(fields=["replayed_at"], name="delivery_replay_by_time")]

    def __str__(self) -> str:
        return f"{self.chosen}: {self.deliveries}"
