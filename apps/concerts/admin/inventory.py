"""The categories in which seats are kept back, and the seats in them."""

import re
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminColorInputWidget,
)

from apps.boxoffice.base.columns import column
from apps.boxoffice.base.forms import CarefulForms
from apps.boxoffice.base.lists import FoundByTyping
from apps.boxoffice.base.read_only import ReadOnlyAdmin
from apps.boxoffice.base.words import at_venue, linked, person
from apps.concerts.lookups import concert_lookup, seat_lookup
from apps.concerts.models import InventoryCategory, SeatAllocation


class Codes:
    """Find categories by their codes, in small letters or capitals."""

    label = _("code")

    def find(self, text: str) -> Q | None:
        return Q(code=text.upper()) if re.fullmatch(r"\w{1,20}", text) else None


@admin.register(InventoryCategory)
class InventoryCategoryAdmin(CarefulForms, FoundByTyping, ModelAdmin):
    """Staff add categories of their own and change who sells which; none is deleted, because histories name them."""

    list_display = ("name_of", "code", "letter", "returns_on_refund")
    list_display_links = ("name_of",)
    lookups = (Codes(),)
    ordering = ("pk",)
    fields = ("name", "code", "letter", "colour", "returns_on_refund", "sellers")

    @display(description=_("name"), ordering="name")
    def name_of(self, category: InventoryCategory) -> str:
        return str(category)

    def get_readonly_fields(
        self, request: HttpRequest, obj: InventoryCategory | None = None
    ) -> tuple[str, ...]:
        if obj is None:
            return ()
        return ("name", "code") if obj.is_built_in else ("code",)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        widgets: dict[str, Any] = {
            "colour": UnfoldAdminColorInputWidget,
            "sellers": UnfoldAdminCheckboxSelectMultipleWidget,
        }
        if db_field.name in widgets:
            kwargs["widget"] = widgets[db_field.name]
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_delete_permission(
        self, request: HttpRequest, obj: InventoryCategory | None = None
    ) -> bool:
        return False


@admin.register(SeatAllocation)
class SeatAllocationAdmin(ReadOnlyAdmin):
    """Seats that are kept back; the page of their performance changes that."""

    list_display = ("seat", "performance", "category", "reason", "allocated_at", "released_at")
    list_select_related = ("seat", "performance", "category")
    list_filter = ("category",)
    lookups = (concert_lookup("performance__concert"), seat_lookup("seat"))
    ordering = ("-pk",)
    page_select_related = ("seat", "performance__concert", "category", "allocated_by")
    fields = (
        "concert",
        "date",
        "seat_link",
        "category_link",
        "reason",
        "by",
        "allocated_at",
        "released_at",
        "returns_on_refund",
    )

    concert = column(_("concert"), "performance.concert")
    seat_link = column(_("seat"), "seat")
    category_link = column(_("category"), "category")
    by = column(_("allocated by"), "allocated_by", person)

    @display(description=_("date"))
    def date(self, allocation: SeatAllocation) -> Any:
        return linked(allocation.performance, at_venue(allocation.performance.starts_at))

    def title_of(self, allocation: SeatAllocation) -> str:
        return f"{allocation.seat} · {allocation.category} · {allocation.performance.concert}"
