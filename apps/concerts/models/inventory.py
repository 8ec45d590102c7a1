"""Seats that are not for the public: what they are kept back for, and until when."""

from typing import Self

from django.contrib.auth.models import Group
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Exists, Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.concerts import triggers
from apps.concerts.models.performance import Performance
from apps.concerts.models.seat import Seat
from apps.core.texts import TypedLineField

REASON_MAX = 200
_is_code = RegexValidator(
    r"^[A-Z][A-Z0-9_]*\Z", _("Use capital letters A to Z, digits and underscores.")
)
_is_colour = RegexValidator(r"^#[0-9a-f]{6}\Z", _("Choose a colour such as #1f6feb."))


class InventoryCategoryQuerySet(models.QuerySet["InventoryCategory"]):
    def sellable_by(self, user_id: int) -> Self:
        """Keep those whose seats an account may sell: one of a group that sells them, or a superuser if any group does."""
        superuser = User.objects.filter(pk=user_id, is_superuser=True)
        may = Q(sellers__user=user_id) | Q(Exists(superuser), sellers__isnull=False)
        return self.filter(may).distinct()


class InventoryCategory(models.Model):
    """A purpose for which seats are kept back. A seat of no category is open: for the public."""

    class Code(models.TextChoices):
        """The ones that there always are."""

        HOUSE = "HOUSE", _("House")
        ARTIST = "ARTIST", _("Artist")
        PROMOTER = "PROMOTER", _("Promoter")
        SPONSOR = "SPONSOR", _("Sponsor")
        TECHNICAL = "TECHNICAL", _("Technical")
        ACCESSIBLE = "ACCESSIBLE", _("Accessible")
        KILLED = "KILLED", _("Killed")

    code = models.CharField(
        _("code"),
        max_length=20,
        validators=[_is_code],
        help_text=_(
            "By which layouts and imports name it, such as FAN_CLUB. It cannot be changed."
        ),
    )
    name = TypedLineField(_("name"), max_length=40)
    letter = models.CharField(
        _("letter"),
        max_length=1,
        validators=[RegexValidator(r"^[A-Z0-9]\Z", _("Use one capital letter A to Z or a digit."))],
        help_text=_("Stands on its seats in the map."),
    )
    colour = models.CharField(_("colour"), max_length=7, validators=[_is_colour])
    returns_on_refund = models.BooleanField(
        _("refunded seats return"),
        default=True,
        help_text=_(
            "A seat that was sold from here and is refunded is kept back again. Otherwise it goes on sale to the public."
        ),
    )
    sellers = models.ManyToManyField(
        Group,
        blank=True,
        related_name="+",
        verbose_name=_("sold by"),
        help_text=_(
            "Groups of staff who may sell its seats. Without any, its seats have to be released first."
        ),
    )

    objects = InventoryCategoryQuerySet.as_manager()

    class Meta:
        verbose_name = _("inventory category")
        verbose_name_plural = _("inventory categories")
        constraints = [
            models.UniqueConstraint(fields=["code"], name="inventory_category_code_once"),
            models.UniqueConstraint(fields=["letter"], name="inventory_category_letter_once"),
            models.CheckConstraint(
                condition=~Q(name="") & Q(letter__regex=r"^[A-Z0-9]$"),
                name="inventory_category_is_named",
            ),
            models.CheckConstraint(
                condition=Q(colour__regex=r"^#[0-9a-f]{6}$"), name="inventory_category_has_colour"
            ),
        ]

    def __str__(self) -> str:
        return str(self.Code(self.code).label) if self.is_built_in else self.name

    @property
    def is_built_in(self) -> bool:
        return self.code in self.Code.values


class SeatAllocation(models.Model):
    """One seat that is kept back, and what for. What is sold stays allocated; that it is sold is told by the claim on it."""

    seat = models.OneToOneField(
        Seat,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="allocation",
        verbose_name=_("seat"),
    )
    # Known from the seat, but the index on it counts the allocations of one hall among those of all.
    performance = models.ForeignKey(
        Performance,
        on_delete=models.CASCADE,
        related_name="allocations",
        db_index=False,
        verbose_name=_("performance"),
    )
    category = models.ForeignKey(
        InventoryCategory,
        on_delete=models.PROTECT,
        related_name="allocations",
        verbose_name=_("category"),
    )
    reason = TypedLineField(_("reason"), max_length=REASON_MAX)
    allocated_by = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name=_("allocated by"),
    )
    allocated_at = models.DateTimeField(_("allocated at"))
    released_at = models.DateTimeField(
        _("released at"),
        null=True,
        help_text=_("When it goes on sale to the public automatically."),
    )
    returns_on_refund = models.BooleanField(
        _("returns when refunded"),
        help_text=_("Otherwise it goes on sale to the public when it was sold and is refunded."),
    )

    class Meta:
        verbose_name = _("seat allocation")
        verbose_name_plural = _("seat allocations")
        indexes = [
            models.Index(fields=["performance", "category"], name="seat_allocation_of_hall"),
            models.Index(
                fields=["released_at"],
                condition=Q(released_at__isnull=False),
                name="seat_allocation_to_release",
            ),
        ]
        triggers = [
            triggers.allocation_keeps_seat_back(),
            triggers.end_of_allocation_opens_seat(),
        ]

    def __str__(self) -> str:
        return f"{self.seat_id}: {self.category_id}"
