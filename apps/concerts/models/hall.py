from typing import Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.core.search import search
from apps.core.texts import TypedLineField


class HallTemplateQuerySet(models.QuerySet["HallTemplate"]):
    def matching(self, text: str) -> Self:
        found: Self = search(self, text, HallTemplate.SEARCHED)
        return found

    def by_name(self) -> Self:
        return self.order_by("venue", "name", "pk")


class HallTemplate(models.Model):
    """A hall that is kept to give its seats to any performance; changing it changes no performance."""

    name = TypedLineField(
        _("name"), max_length=100, help_text=_("Such as “Seated, with orchestra pit”.")
    )
    venue = TypedLineField(_("venue"), max_length=200)
    seats_total = models.PositiveIntegerField(_("seats"), editable=False)
    # See `apps.concerts.plans`.
    plan = models.BinaryField(editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    SEARCHED = ("name", "venue")

    objects = HallTemplateQuerySet.as_manager()

    class Meta:
        verbose_name = _("venue template")
        verbose_name_plural = _("venue templates")
        constraints = [
            models.UniqueConstraint(
                fields=["venue", "name"],
                name="hall_template_once",
                violation_error_message=_("This venue has a template of that name already."),
            ),
            models.CheckConstraint(
                condition=~models.Q(name="") & ~models.Q(venue=""),
                name="hall_template_is_named",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.venue} · {self.name}"


class SeatMapDraft(models.Model):
    """Seats as staff want them to be in a performance, kept from the page that shows what would change until it is applied."""

    performance = models.ForeignKey(
        "concerts.Performance",
        on_delete=models.CASCADE,
        related_name="drafts",
        verbose_name=_("performance"),
    )
    source = models.CharField(
        _("source"), max_length=200, help_text=_("The name of the file, or what was chosen.")
    )
    plan = models.BinaryField(editable=False)
    removes_missing = models.BooleanField(
        _("removes other seats"),
        help_text=_("Seats of the performance that are not in the draft are to be removed."),
    )
    created_at = models.DateTimeField(
        _("created at"), default=timezone.now, editable=False, db_index=True
    )

    class Meta:
        verbose_name = _("draft of a seat map")
        verbose_name_plural = _("drafts of seat maps")

    def __str__(self) -> str:
        return self.source
