"""Notices to those who wait in a room: written, looked at, sent, taken back, and kept."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSplitDateTimeWidget

from apps.boxoffice.base.columns import column
from apps.boxoffice.base.lookups import Days, people_lookup
from apps.boxoffice.base.notices import TEXT_SHOWN, NoticeForm, NoticeView, TakingBackView
from apps.boxoffice.base.read_only import ReadOnlyAdmin, lead_to, row_named
from apps.boxoffice.base.words import person
from apps.concerts.lookups import concert_lookup
from apps.core.form_fields import MomentField
from apps.queue.models import RoomNotice, WaitingRoom
from apps.queue.selectors import visitors_waiting
from apps.queue.services import notify_visitors, take_back_room_notice


class RoomNoticeForm(NoticeForm):
    shown_until = MomentField(
        label=_("Shown until"),
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("Leave empty to show it until it is taken back."),
    )

    def clean_shown_until(self) -> datetime | None:
        shown_until: datetime | None = self.cleaned_data["shown_until"]
        if shown_until is not None and shown_until <= timezone.now():
            raise ValidationError(_("Enter a time that is still to come."))
        return shown_until


class RoomNoticeView(NoticeView):
    permission_required = ("queue.notify_visitors",)
    form_class = RoomNoticeForm
    explanation = _(
        "Visitors read it on the page that waits within a few seconds, and in place of the notice before it. It does not pause the queue."
    )
    back = _("Back to the waiting room")

    @cached_property
    def room(self) -> WaitingRoom:
        return get_object_or_404(
            WaitingRoom.objects.select_related("concert"), pk=self.kwargs["pk"]
        )

    @property
    def title(self) -> str:
        return f"{gettext('Notify those who wait')} · {self.room}"

    def about(self) -> WaitingRoom:
        return self.room

    @cached_property
    def waiting(self) -> int | None:
        return visitors_waiting(self.room.concert_id)

    @cached_property
    def readers(self) -> list[tuple[Any, Any]]:
        waiting = gettext("not known: the store of the waiting rooms does not answer")
        if self.waiting is not None:
            waiting = f"{self.waiting:,}"
        before = RoomNotice.objects.standing().filter(room=self.room).first()
        return [
            (_("Visitors who wait now"), waiting),
            *([(_("Shown at the moment"), before)] if before is not None else []),
        ]

    def send(self, form: RoomNoticeForm) -> None:
        assert self.request.user.pk is not None
        notify_visitors.step(
            concert_id=self.room.concert_id,
            text=form.text,
            until=form.cleaned_data["shown_until"],
            waiting=self.waiting,
            staff_id=self.request.user.pk,
        )

    def back_url(self) -> str:
        return reverse("admin:queue_waitingroom_change", args=[self.room.pk])


class TakingRoomNoticeBackView(TakingBackView):
    permission_required = ("queue.notify_visitors",)

    def about(self) -> RoomNotice:
        return get_object_or_404(RoomNotice, pk=self.kwargs["pk"])

    def take_back(self) -> bool:
        assert self.request.user.pk is not None
        return take_back_room_notice.step(
            notice_id=self.kwargs["pk"], staff_id=self.request.user.pk
        )


@admin.register(RoomNotice)
class RoomNoticeAdmin(ReadOnlyAdmin):
    list_display = ("text", "room", "state", "waiting", "sent_by", "sent_at", "shown_until")
    list_filter = ("sent_at",)
    list_select_related = ("room__concert", "sent_by")
    lookups = (concert_lookup("room__concert"), people_lookup("sent_by"), Days("sent_at"))
    ordering = ("-pk",)
    page_select_related = ("room__concert", "sent_by", "ended_by")
    fields = (
        "room_link",
        "state",
        "text_ko",
        "text_en",
        "waiting",
        "sent_by_link",
        "sent_at",
        "shown_until",
        "ended_by_link",
        "ended_at",
    )
    actions_detail = ("take_back",)

    def get_urls(self) -> list[URLPattern]:
        write = self.admin_site.admin_view(RoomNoticeView.as_view(model_admin=self))
        take_back = self.admin_site.admin_view(TakingRoomNoticeBackView.as_view(model_admin=self))
        return [
            path("write/<int64:pk>/", write, name="queue_roomnotice_write"),
            path("<int64:pk>/end/", take_back, name="queue_roomnotice_end"),
            *super().get_urls(),
        ]

    def title_of(self, obj: RoomNotice) -> str:
        return f"{obj.room} · {obj.text}"

    room_link = column(_("waiting room"), "room")
    sent_by_link = column(_("sent by"), "sent_by", person)
    ended_by_link = column(_("ended by"), "ended_by", person)

    @display(description=_("text"))
    def text(self, notice: RoomNotice) -> str:
        return Truncator(notice.text).chars(TEXT_SHOWN)

    @display(description=_("state"))
    def state(self, notice: RoomNotice) -> str:
        if notice.is_shown(timezone.now()):
            return gettext("shown")
        return gettext("its time is over") if notice.ended_at is None else gettext("ended")

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer to take back what is shown."""
        if not request.user.has_perm("queue.notify_visitors"):
            return False
        return object_id is None or row_named(RoomNotice.objects.standing(), object_id).exists()

    @action(description=_("Take back"), permissions=["end"], icon="undo")
    def take_back(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:queue_roomnotice_end", object_id)
