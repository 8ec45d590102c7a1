"""The button that leads to the notices to ticket holders, whose pages belong to an app above this one."""

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from apps.boxoffice.base.read_only import lead_to


class NotifiesHolders:
    """Mixin for the admin of what tickets are for; stands before `ModelAdmin`."""

    page_of_notice: ClassVar[str]

    def has_notify_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("reservations.notify_holders")

    @action(description=_("Notify ticket holders"), permissions=["notify"], icon="campaign")
    def notify_holders(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to(self.page_of_notice, object_id)
