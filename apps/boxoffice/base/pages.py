"""Pages of the admin that are not Django's: with the way that leads to them above, and what they are called."""

from typing import Any

from django.db.models import Model
from django.http import QueryDict
from unfold.views import UnfoldModelAdminViewMixin

ID_DIGITS = 19  # of the largest


class StaffPage(UnfoldModelAdminViewMixin):
    """Mixin for a view; stands before it. Its template includes `admin/shown.html`, and has the object of `about` as `original`."""

    def about(self) -> Model | None:
        """Return the object that the page is about, if it is about one."""
        return None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(
            opts=self.model_admin.opts, original=self.about(), heading=self.title, **kwargs
        )
        return context


def ids_in(values: QueryDict, name: str) -> list[int]:
    """Return the ids in the values of a name; what cannot be one is passed over."""
    return [
        int(value)
        for value in values.getlist(name)
        if value.isascii() and value.isdecimal() and len(value) < ID_DIGITS
    ]
