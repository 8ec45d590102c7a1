"""The categories in which seats are kept back."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminColorInputWidget

from apps.boxoffice.base.forms import CarefulForms
from apps.concerts.models import InventoryCategory


@admin.register(InventoryCategory)
class InventoryCategoryAdmin(CarefulForms, ModelAdmin):
    """Staff add categories of their own and change who sells which; none is deleted, because histories name them."""

    list_display = ("name_of", "code", "letter", "returns_on_refund")
    list_display_links = ("name_of",)
    ordering = ("pk",)
    fields = ("name", "code", "letter", "colour", "returns_on_refund", "sellers")
    filter_horizontal = ("sellers",)

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
        if db_field.name == "colour":
            kwargs["widget"] = UnfoldAdminColorInputWidget
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_delete_permission(
        self, request: HttpRequest, obj: InventoryCategory | None = None
    ) -> bool:
        return False
