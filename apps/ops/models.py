from django.db import models
from django.utils.translation import gettext_lazy as _


class JobProgress(models.Model):
    """Record how far a job has come that runs again and again.

    `reached_at` is the moment up to which the past is dealt with: purged, or checked. `finished_at` is when a run last had
    nothing left to do, `rows` counts what all of them did.
    """

    name = models.CharField(_("name"), max_length=50, primary_key=True)
    reached_at = models.DateTimeField(_("reached at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    rows = models.PositiveBigIntegerField(_("rows"), default=0)

    class Meta:
        verbose_name = _("progress of a job")
        verbose_name_plural = _("progress of jobs")

    def __str__(self) -> str:
        return self.name
