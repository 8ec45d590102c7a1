from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.boxoffice.base.jobs.kinds import KINDS
from apps.core.identifiers import new_id
from apps.core.texts import TypedNoteField

REASON_MAX = 500
SUBJECT_MAX = 64
DETAIL_MAX = 500


class StaffJobQuerySet(models.QuerySet["StaffJob"]):
    def awaiting_approval(self) -> Self:
        return self.filter(status=StaffJob.Status.AWAITING_APPROVAL)

    def running(self) -> Self:
        return self.filter(status=StaffJob.Status.RUNNING)


class StaffJob(models.Model):
    """Something that staff asked for: done in the background row by row, after a second person's approval if it needs one.

    Rows are worked on in the order of their subjects; `reached` is the last one that has a result. `parameters` are for the kind.
    """

    class Status(models.TextChoices):
        AWAITING_APPROVAL = "AWAITING_APPROVAL", _("awaits approval")
        RUNNING = "RUNNING", _("running")
        DONE = "DONE", _("done")
        REJECTED = "REJECTED", _("rejected")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(_("kind"), max_length=50)
    parameters = models.JSONField(_("parameters"), default=dict)
    reason = TypedNoteField(_("reason"), max_length=REASON_MAX)
    status = models.CharField(_("status"), max_length=17, choices=Status)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("requested by"),
    )
    requested_at = models.DateTimeField(_("requested at"))
    language = models.CharField(
        _("language"),
        max_length=10,
        help_text=_("Of the one who asked; results are written in it."),
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("approved or rejected by"),
    )
    decided_at = models.DateTimeField(_("approved or rejected at"), null=True, blank=True)
    decision_reason = TypedNoteField(
        _("reason of the decision"),
        max_length=REASON_MAX,
        blank=True,
        default="",
        db_default="",
    )
    reached = models.CharField(_("reached"), max_length=SUBJECT_MAX, blank=True, default="")
    rows_total = models.PositiveIntegerField(_("rows"), default=0)
    rows_applied = models.PositiveIntegerField(_("done"), default=0)
    rows_refused = models.PositiveIntegerField(_("refused"), default=0)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    objects = StaffJobQuerySet.as_manager()

    class Meta:
        app_label = "boxoffice"
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("requested_by")),
                name="staff_job_decided_by_another",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["AWAITING_APPROVAL", "RUNNING"], finished_at=None)
                | Q(status__in=["DONE", "REJECTED"], finished_at__isnull=False),
                name="staff_job_finished_has_time",
            ),
            models.CheckConstraint(
                condition=(Q(decided_by=None) & Q(decided_at=None))
                | (Q(decided_by__isnull=False) & Q(decided_at__isnull=False)),
                name="staff_job_decided_has_time",
            ),
        ]
        indexes = [
            models.Index(fields=["-requested_at"], name="staff_job_newest_first"),
            # Finds what is to be done, however many jobs there were.
            models.Index(
                fields=["status", "id"],
                condition=Q(status__in=["AWAITING_APPROVAL", "RUNNING"]),
                name="staff_job_open",
            ),
        ]

    def __str__(self) -> str:
        return KINDS[self.kind].title(self.parameters) if self.kind in KINDS else self.kind

    @property
    def rows_done(self) -> int:
        return self.rows_applied + self.rows_refused


class StaffJobRow(models.Model):
    """The result of one row of a job. `subject` names the row for its kind, `detail` says what was done or why it was refused."""

    class Outcome(models.TextChoices):
        APPLIED = "APPLIED", _("done")
        REFUSED = "REFUSED", _("refused")

    job = models.ForeignKey(
        StaffJob,
        on_delete=models.CASCADE,
        related_name="rows",
        # The unique constraint below begins with this column.
        db_index=False,
        verbose_name=_("job"),
    )
    subject = models.CharField(_("row"), max_length=SUBJECT_MAX)
    outcome = models.CharField(_("result"), max_length=7, choices=Outcome)
    detail = models.CharField(_("detail"), max_length=DETAIL_MAX, blank=True)

    class Meta:
        app_label = "boxoffice"
        verbose_name = _("row of a job")
        verbose_name_plural = _("rows of jobs")
        constraints = [
            models.UniqueConstraint(fields=["job", "subject"], name="staff_job_row_once"),
        ]
        indexes = [
            # Finds the jobs that acted on an object, for its timeline.
            models.Index(fields=["subject"], name="staff_job_rows_of_subject"),
        ]

    def __str__(self) -> str:
        return self.subject
