"""Keep what the waiting rooms must never forget: policies, ended visits, and changes and notices with their authors."""

import secrets
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Least, Now
from django.utils.translation import gettext_lazy as _

from apps.concerts.models import (
    DATES,
    OUT_OF_DATES,
    Concert,
    Notice,
    NoticeQuerySet,
    Performance,
)
from apps.core.texts import TypedLineField
from apps.queue.core.room import EndReason

CAPACITY_MAX = 100_000
RATE_MAX = 1_000_000
SPAN_MIN, SPAN_MAX = timedelta(seconds=10), timedelta(hours=4)
LOTTERY_WINDOW_MAX = timedelta(days=7)
REASON_MAX = 200


def new_epoch() -> str:
    return secrets.token_hex(16)


def new_lottery_key() -> str:
    return secrets.token_hex(32)


def _closing_at() -> Least:
    dates = Performance.objects.filter(concert=OuterRef("concert"))
    last = dates.to_be_played().order_by("-starts_at").values("starts_at")
    # Asked only where none is left to be played.
    called_off = dates.filter(called_off_at__isnull=False).order_by("-called_off_at")
    last_at = Coalesce(Subquery(last[:1]), Subquery(called_off.values("called_off_at")[:1]))
    # LEAST leaves out what is NULL.
    return Least(F("concert__sales_close_at"), last_at)


class WaitingRoomQuerySet(models.QuerySet["WaitingRoom"]):
    def with_concert(self) -> Self:
        """Load the concert too, and annotate `closing_at`."""
        return self.select_related("concert").annotate(closing_at=_closing_at())

    def closed_before(self, at: datetime) -> Self:
        """Keep the rooms of concerts that had nothing on sale any more at that moment."""
        return self.annotate(closing_at=_closing_at()).filter(closing_at__lte=at)

    def lock(self) -> Self:
        return self.order_by("pk").select_for_update(of=("self",), no_key=True)


class WaitingRoom(models.Model):
    """The policy of one concert's waiting room; its visitors of the moment are in Valkey.

    `version` grows with every change, so that a late copy never replaces a newer one. `generation` grows when the room is
    closed: tokens from before are over. `epoch` names this room's life in the store; once `epoch_stored_at` is set, a store
    without it has lost the room. `activity` says how often ticks look at the room: AWAKE every second, RESTING now and then,
    RETIRED never, because its concert is over and the store has forgotten it.
    """

    class State(models.TextChoices):
        OPEN = "OPEN", _("open")
        PAUSED = "PAUSED", _("paused")
        CLOSED = "CLOSED", _("closed")

    class Activity(models.TextChoices):
        AWAKE = "AWAKE", _("awake")
        RESTING = "RESTING", _("resting")
        RETIRED = "RETIRED", _("retired")

    concert = models.OneToOneField(
        Concert,
        on_delete=models.CASCADE,
        related_name="waiting_room",
        verbose_name=_("concert"),
    )
    state = models.CharField(
        _("state"),
        max_length=6,
        choices=State,
        default=State.OPEN,
        help_text=_("An open room admits from its opening time on."),
    )
    pause_reason = TypedLineField(
        _("reason of the pause"),
        max_length=REASON_MAX,
        blank=True,
        default="",
        db_default="",
        help_text=_("Visitors read it while the room is paused."),
    )
    withdrawal_reason = TypedLineField(
        _("why the concert is offline"),
        max_length=REASON_MAX,
        blank=True,
        default="",
        db_default="",
        help_text=_("Visitors read it while the concert is offline."),
    )
    resumed_at = models.DateTimeField(
        _("published again at"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("Turns that had begun before begin anew then."),
    )
    opens_at = models.DateTimeField(
        _("opens at"),
        null=True,
        blank=True,
        help_text=_("Leave empty to open when the sales of the concert open."),
    )
    capacity = models.PositiveIntegerField(
        _("capacity"), default=50, help_text=_("How many visitors may be active at once.")
    )
    admissions_per_minute = models.PositiveIntegerField(
        _("admissions per minute"),
        null=True,
        blank=True,
        help_text=_("Leave empty for no limit."),
    )
    lease = models.DurationField(
        _("lease"),
        default=timedelta(minutes=5),
        help_text=_("How long a visitor stays active after admission."),
    )
    patience = models.DurationField(
        _("patience"),
        default=timedelta(minutes=5),
        help_text=_("A waiting visitor who is not seen for this long loses the place."),
    )
    lottery_window = models.DurationField(
        _("lottery window"),
        default=timedelta(hours=1),
        help_text=_("Visitors who join within this time before opening get a random position."),
    )
    generation = models.PositiveIntegerField(_("generation"), default=1, editable=False)
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    lottery_key = models.CharField(max_length=64, default=new_lottery_key, editable=False)
    epoch = models.CharField(max_length=32, default=new_epoch, editable=False)
    epoch_stored_at = models.DateTimeField(null=True, blank=True, editable=False)
    activity = models.CharField(
        _("activity"),
        max_length=7,
        choices=Activity,
        default=Activity.RESTING,
        db_default=Activity.RESTING,
        editable=False,
    )
    next_tick_at = models.DateTimeField(db_default=Now(), editable=False)

    # Annotated by `with_concert()`: when sales close or the last date begins, whichever is first.
    closing_at: datetime | None

    objects = WaitingRoomQuerySet.as_manager()

    class Meta:
        verbose_name = _("waiting room")
        verbose_name_plural = _("waiting rooms")
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["OPEN", "PAUSED", "CLOSED"]),
                name="waiting_room_state_is_known",
            ),
            models.CheckConstraint(
                condition=Q(capacity__range=(1, CAPACITY_MAX)),
                name="waiting_room_capacity",
                violation_error_message=_("The capacity must be 1 to 100,000."),
            ),
            models.CheckConstraint(
                condition=Q(admissions_per_minute=None) | Q(admissions_per_minute__gte=1),
                name="waiting_room_admissions_per_minute",
                violation_error_message=_("To admit no visitors, pause the room."),
            ),
            models.CheckConstraint(
                condition=Q(admissions_per_minute=None) | Q(admissions_per_minute__lte=RATE_MAX),
                name="waiting_room_rate_max",
                violation_error_message=_("The rate must be 1,000,000 per minute at most."),
            ),
            models.CheckConstraint(
                condition=Q(opens_at=None) | Q(opens_at__range=DATES),
                name="waiting_room_opening",
                violation_error_message=OUT_OF_DATES,
            ),
            models.CheckConstraint(
                condition=Q(lease__range=(SPAN_MIN, SPAN_MAX))
                & Q(patience__range=(SPAN_MIN, SPAN_MAX)),
                name="waiting_room_spans",
                violation_error_message=_("Lease and patience must be 10 seconds to 4 hours."),
            ),
            models.CheckConstraint(
                condition=Q(lottery_window__range=(timedelta(0), LOTTERY_WINDOW_MAX)),
                name="waiting_room_lottery_window",
                violation_error_message=_("The lottery window must be 7 days at most."),
            ),
            models.CheckConstraint(
                condition=Q(activity__in=["AWAKE", "RESTING", "RETIRED"]),
                name="waiting_room_activity_is_known",
            ),
        ]
        indexes = [
            # The rooms to look at next. History is not in it.
            models.Index(
                fields=["activity", "next_tick_at"],
                condition=~Q(activity="RETIRED"),
                name="waiting_room_due",
            ),
        ]

    def __str__(self) -> str:
        return str(self.concert)

    @property
    def opening_at(self) -> datetime:
        """Return the opening time. Needs `concert` to be loaded."""
        return self.opens_at or self.concert.sales_open_at

    def may_open(self, *, at: datetime) -> bool:
        """Tell whether it makes sense to open it: closed, or before its opening while sales are open. A paused one is resumed. Needs `concert`."""
        if self.state != self.State.OPEN:
            return self.state == self.State.CLOSED
        return self.concert.sales_open_at <= at < self.opening_at


class QueueExitQuerySet(models.QuerySet["QueueExit"]):
    def of_concert(self, concert_id: int) -> Self:
        return self.filter(concert_id=concert_id)


class QueueExit(models.Model):
    """The end of one visit: the durable memory of who has had their turn, and of how long people waited.

    `slot` is 0 for one drawn by lottery; waiting then counts from the opening, which `joined_at` says.
    """

    class Reason(models.TextChoices):
        COMPLETED = EndReason.COMPLETED.value, _("completed")
        TIMED_OUT = EndReason.TIMED_OUT.value, _("timed out")
        LEFT = EndReason.LEFT.value, _("left")
        REMOVED = EndReason.REMOVED.value, _("removed by staff")
        MERGED = EndReason.MERGED.value, _("merged with an older place")

    concert = models.ForeignKey(
        Concert,
        on_delete=models.CASCADE,
        related_name="queue_exits",
        # The unique constraint below begins with this column.
        db_index=False,
        verbose_name=_("concert"),
    )
    # No constraint on the customer: one account that is gone must not keep a batch of others from being recorded.
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="queue_exits",
        verbose_name=_("customer"),
    )
    generation = models.PositiveIntegerField(_("generation"))
    slot = models.BigIntegerField(_("place"))
    reason = models.CharField(_("reason"), max_length=9, choices=Reason)
    joined_at = models.DateTimeField(_("joined at"))
    admitted_at = models.DateTimeField(_("admitted at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"))

    objects = QueueExitQuerySet.as_manager()

    class Meta:
        verbose_name = _("queue exit")
        verbose_name_plural = _("queue exits")
        constraints = [
            models.UniqueConstraint(
                fields=["concert", "customer", "generation", "slot"], name="queue_exit_once"
            ),
            models.CheckConstraint(
                condition=Q(reason__in=["COMPLETED", "TIMED_OUT", "LEFT", "REMOVED", "MERGED"]),
                name="queue_exit_reason_is_known",
            ),
        ]
        indexes = [
            # Healing replays the last minutes of one generation; the retention drops generations that are over.
            models.Index(fields=["concert", "generation", "ended_at"], name="queue_exit_recent"),
            # Rows lie in this order, so a day is a few blocks of the table; staff ask for one.
            BrinIndex(fields=["ended_at"], autosummarize=True, name="queue_exit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id}: {self.reason}"


class PolicyChange(models.Model):
    """Record of a change to a part of a room's policy: by whom, when and why.

    `changed_by` is the account of staff; `actor` names a person who acts without one, on a server's command line for example. Both are
    empty for the system itself.
    """

    room = models.ForeignKey(
        WaitingRoom,
        on_delete=models.CASCADE,
        related_name="changes",
        # The index below begins with this column.
        db_index=False,
        verbose_name=_("waiting room"),
    )
    field = models.CharField(_("field"), max_length=30)
    old_value = models.CharField(_("old value"), max_length=REASON_MAX, blank=True)
    new_value = models.CharField(_("new value"), max_length=REASON_MAX, blank=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("changed by"),
    )
    actor = TypedLineField(_("actor"), max_length=100, blank=True, default="", db_default="")
    reason = TypedLineField(
        _("reason"), max_length=REASON_MAX, blank=True, default="", db_default=""
    )
    changed_at = models.DateTimeField(_("changed at"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("policy change")
        verbose_name_plural = _("policy changes")
        indexes = [
            models.Index(fields=["room", "changed_at"], name="policy_change_of_room"),
            models.Index(fields=["changed_at"], name="policy_change_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.field}: {self.old_value} → {self.new_value}"


class RoomNotice(Notice):
    """A text for those who wait in a room: shown from when it is sent until `shown_until`, or until it is taken back.

    A room shows one at a time; another one ends it. `waiting` is how many read it at first, None if the store did not answer.
    """

    room = models.ForeignKey(
        WaitingRoom,
        on_delete=models.CASCADE,
        related_name="notices",
        verbose_name=_("waiting room"),
    )
    shown_until = models.DateTimeField(_("shown until"), null=True, blank=True)
    waiting = models.PositiveIntegerField(
        _("waiting"), null=True, blank=True, help_text=_("When it was sent.")
    )

    objects = NoticeQuerySet["RoomNotice"].as_manager()

    class Meta(Notice.Meta):
        verbose_name = _("notice to those who wait")
        verbose_name_plural = _("notices to those who wait")
        permissions = (("notify_visitors", "Can show notices to those who wait"),)
        constraints = [
            *Notice.Meta.constraints,
            models.UniqueConstraint(
                fields=["room"], condition=Q(ended_at=None), name="room_shows_one_notice"
            ),
            models.CheckConstraint(
                condition=Q(shown_until=None)
                | Q(shown_until__gt=F("sent_at"), shown_until__lte=DATES[1]),
                name="roomnotice_is_shown_for_a_time",
                violation_error_message=_("Enter a time that is still to come."),
            ),
        ]

    def is_shown(self, at: datetime) -> bool:
        return self.ended_at is None and (self.shown_until is None or at < self.shown_until)
