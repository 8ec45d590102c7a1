from typing import Self

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.concerts import triggers
from apps.core.search import SearchFold
from apps.core.texts import TypedLineField


class Grade(models.TextChoices):
    """Price classes, the dearest first."""

    VIP = "VIP", "VIP"
    R = "R", "R"
    S = "S", "S"
    A = "A", "A"


class SeatKind(models.TextChoices):
    """Sort seats by what they are like, whatever they cost."""

    STANDARD = "STANDARD", _("standard seat")
    WHEELCHAIR = "WHEELCHAIR", _("wheelchair space")
    COMPANION = "COMPANION", _("companion seat")  # beside a wheelchair space
    AISLE = "AISLE", _("aisle seat")
    RESTRICTED_VIEW = "RESTRICTED_VIEW", _("restricted view")


class SeatQuerySet(models.QuerySet["Seat"]):
    def of_performance(self, performance_id: int) -> Self:
        return self.filter(performance_id=performance_id)

    def in_section(self, section: str) -> Self:
        return self.filter(section=section)

    def for_the_public(self) -> Self:
        return self.filter(is_blocked=False)

    def in_map_order(self) -> Self:
        """Sort seats as they were generated: section by section, row by row, number by number."""
        return self.order_by("pk")

    def lock(self) -> Self:
        return self.order_by("pk").select_for_update(of=("self",), no_key=True)


class Seat(models.Model):
    """One seat of one performance. Claims on it decide whether it is free; nothing here does."""

    performance = models.ForeignKey(
        "concerts.Performance",
        on_delete=models.CASCADE,
        related_name="seats",
        # The unique constraint below begins with this column.
        db_index=False,
        verbose_name=_("performance"),
    )
    section = TypedLineField(_("section"), max_length=20)
    row = models.CharField(_("row"), max_length=5)
    number = models.PositiveSmallIntegerField(_("number"))
    grade = models.CharField(_("grade"), max_length=3, choices=Grade)
    price = models.PositiveIntegerField(
        _("price"), validators=[MinValueValidator(1)], help_text=_("In whole won.")
    )
    x = models.PositiveSmallIntegerField(
        _("x"), help_text=_("Position in the seat map: one unit is one seat, from the left.")
    )
    y = models.PositiveSmallIntegerField(
        _("y"), help_text=_("Position in the seat map: one unit is one row, from the stage.")
    )
    kind = models.CharField(
        _("kind"),
        max_length=15,
        choices=SeatKind,
        default=SeatKind.STANDARD,
        db_default=SeatKind.STANDARD,
    )
    # Whether it has an allocation, repeated here by triggers for what sells: it reads each seat anyway.
    is_blocked = models.BooleanField(
        _("not for the public"),
        default=False,
        editable=False,
        help_text=_("Kept back in a category of the inventory."),
    )

    objects = SeatQuerySet.as_manager()

    class Meta:
        verbose_name = _("seat")
        verbose_name_plural = _("seats")
        constraints = [
            models.UniqueConstraint(
                fields=["performance", "section", "row", "number"],
                name="seat_once_per_performance",
            ),
            models.CheckConstraint(
                condition=~Q(section="") & ~Q(row="") & Q(number__gte=1),
                name="seat_is_named",
            ),
            # What costs nothing cannot be paid, and so not be reserved.
            models.CheckConstraint(condition=Q(price__gte=1), name="seat_has_price"),
            models.CheckConstraint(condition=Q(grade__in=Grade.values), name="seat_grade_is_known"),
            models.CheckConstraint(
                condition=Q(kind__in=SeatKind.values), name="seat_kind_is_known"
            ),
        ]
        indexes = [
            # The lowest and the highest price of a concert are read from its two ends.
            models.Index(fields=["performance", "price"], name="seat_price_range"),
            # By which staff find a seat as it is printed.
            models.Index(
                SearchFold(F("row")), F("number"), SearchFold(F("section")), name="seat_as_printed"
            ),
        ]
        triggers = [
            triggers.new_seat_is_for_the_public(),
            triggers.seat_is_kept_back_by_allocation(),
        ]

    def __str__(self) -> str:
        return f"{self.section} {self.row}-{self.number}"
