"""Staff see each room's policy beside its live figures, and steer it. Whatever changes goes through the services."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from apps.accounts.models import User
from apps.boxoffice.base.columns import column, read_once
from apps.boxoffice.base.forms import CarefulForms
from apps.boxoffice.base.lists import FoundByTyping, NameFilter
from apps.boxoffice.base.lookups import Days, Numbers, people_lookup
from apps.boxoffice.base.read_only import ReadOnlyAdmin, lead_to, row_named
from apps.boxoffice.base.timeline import moments_of, timeline
from apps.boxoffice.base.words import NOTHING, linked, person
from apps.concerts.lookups import concert_lookup
from apps.core.errors import ServiceUnavailable
from apps.queue.admin.notices import RoomNoticeAdmin
from apps.queue.admin.preparing import PrepareView
from apps.queue.admin.steering import CloseForm, PolicyForm, SteeringView
from apps.queue.core.room import Figures
from apps.queue.models import PolicyChange, QueueExit, RoomNotice, WaitingRoom
from apps.queue.policy_words import field_in_words, value_in_words
from apps.queue.selectors import live_figures
from apps.queue.services import edit_policy

UNKNOWN = "–"
State = WaitingRoom.State


@admin.register(WaitingRoom)
class WaitingRoomAdmin(CarefulForms, FoundByTyping, ModelAdmin):
    form = PolicyForm
    list_display = ("concert", "state", "opening", "capacity", "admissions_per_minute")
    list_filter = ("state",)
    list_select_related = ("concert",)
    lookups = (
        concert_lookup("concert"),
        Numbers(),
        Days("concert__sales_open_at", label=_("day on which sales open")),
    )
    ordering = ("-concert__sales_open_at", "-pk")
    readonly_fields = (
        "concert_link",
        "state",
        "pause_reason",
        "notice",
        "generation",
        "people_waiting",
        "people_active",
        "admitted",
        "longest_wait",
        "health",
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "concert_link",
                    "state",
                    "pause_reason",
                    "notice",
                    "opens_at",
                    "generation",
                )
            },
        ),
        (
            _("Now"),
            {"fields": ("people_waiting", "people_active", "admitted", "longest_wait", "health")},
        ),
        (
            _("Policy"),
            {
                "fields": (
                    "capacity",
                    "admissions_per_minute",
                    "lease",
                    "patience",
                    "lottery_window",
                    "reason",
                )
            },
        ),
    )
    actions_detail = (
        "cockpit",
        "open_now",
        "pause",
        "resume",
        "close",
        "notify_visitors",
        "remove_visitor",
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rooms make themselves."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(SteeringView.as_view(model_admin=self))
        steer = path("<int:pk>/steer/<str:control>/", view, name="queue_waitingroom_steer")
        prepare = path(
            "prepare/<int64:concert_id>/",
            self.admin_site.admin_view(PrepareView.as_view(model_admin=self)),
            name="queue_waitingroom_prepare",
        )
        return [steer, prepare, *super().get_urls()]

    # Buttons of the page of a room: those that its state allows, for those who may.

    def has_open_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer to open what is closed, or earlier than it would open by itself: a paused room is resumed."""
        return self._may_steer(request, object_id, lambda room: room.may_open(at=timezone.now()))

    def has_pause_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may_steer(request, object_id, lambda room: room.state == State.OPEN)

    def has_resume_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may_steer(request, object_id, lambda room: room.state == State.PAUSED)

    def has_close_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may_steer(request, object_id, lambda room: room.state != State.CLOSED)

    def has_notify_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("queue.notify_visitors") and self._makes_sense(
            request, object_id, lambda room: room.state != State.CLOSED
        )

    def _may_steer(
        self, request: HttpRequest, room_id: Any, makes_sense: Callable[[WaitingRoom], bool]
    ) -> bool:
        return self.has_change_permission(request) and self._makes_sense(
            request, room_id, makes_sense
        )

    def _makes_sense(
        self, request: HttpRequest, room_id: Any, makes_sense: Callable[[WaitingRoom], bool]
    ) -> bool:
        if room_id is None:
            return True
        room = self._room(request, room_id)
        return room is not None and makes_sense(room)

    @staticmethod
    def _room(request: HttpRequest, room_id: Any) -> WaitingRoom | None:
        """Return a room, read once for all of its buttons; None if there is none with this id."""
        if not hasattr(request, "room_with_buttons"):
            rooms = row_named(WaitingRoom.objects.select_related("concert"), room_id)
            request.room_with_buttons = rooms.first()  # type: ignore[attr-defined]
        room: WaitingRoom | None = request.room_with_buttons  # type: ignore[attr-defined]
        return room

    @action(description=_("Cockpit"), permissions=["view"], icon="monitoring")
    def cockpit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        room = self._room(request, object_id)
        if room is None:
            raise Http404
        return redirect("boxoffice:cockpit", room.concert_id)

    @action(description=_("Open now"), permissions=["open"], icon="play_arrow")
    def open_now(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return _to(object_id, "open")

    @action(description=_("Pause"), permissions=["pause"], icon="pause")
    def pause(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return _to(object_id, "pause")

    @action(description=_("Resume"), permissions=["resume"], icon="play_arrow")
    def resume(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return _to(object_id, "resume")

    @action(description=CloseForm.title, permissions=["close"], icon="block")
    def close(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return _to(object_id, "close")

    @action(description=_("Notify those who wait"), permissions=["notify"], icon="campaign")
    def notify_visitors(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return lead_to("admin:queue_roomnotice_write", object_id)

    @action(description=_("Remove a visitor"), permissions=["close"], icon="person_remove")
    def remove_visitor(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return _to(object_id, "remove")

    def save_model(
        self, request: HttpRequest, obj: WaitingRoom, form: PolicyForm, change: bool
    ) -> None:
        edits = {field: form.cleaned_data[field] for field in form.changed_data}
        reason = edits.pop("reason", "")
        edit_policy(concert_id=obj.concert_id, staff_id=request.user.pk, reason=reason, **edits)

    concert_link = column(_("concert"), "concert")

    @display(description=_("opens at"), ordering="opens_at")
    def opening(self, room: WaitingRoom) -> Any:
        return room.opening_at

    @display(description=_("notice"))
    def notice(self, room: WaitingRoom) -> SafeString | str:
        return linked(RoomNotice.objects.standing().filter(room=room).first())

    @display(description=_("waiting"))
    def people_waiting(self, room: WaitingRoom) -> str:
        figures = _figures(room)
        return f"{figures.waiting:,}" if figures else UNKNOWN

    @display(description=_("active"))
    def people_active(self, room: WaitingRoom) -> str:
        figures = _figures(room)
        return f"{figures.active:,} / {figures.capacity:,}" if figures else UNKNOWN

    @display(description=_("admitted"))
    def admitted(self, room: WaitingRoom) -> str:
        figures = _figures(room)
        if not figures:
            return UNKNOWN
        return _("%(total)s in all, %(minute)s within the last minute") % {
            "total": f"{figures.admitted_total:,}",
            "minute": f"{figures.admitted_per_minute:,}",
        }

    @display(description=_("longest wait"))
    def longest_wait(self, room: WaitingRoom) -> str:
        figures = _figures(room)
        return str(timedelta(seconds=figures.longest_wait // 1_000_000)) if figures else UNKNOWN

    @display(description=_("health"))
    def health(self, room: WaitingRoom) -> Any:
        figures = _figures(room)
        if figures is None:
            return _("No live figures: no visitor has come yet, or the store does not answer.")
        if figures.is_healing:
            return _("Healing after a loss of the store: visitors are coming back to their places.")
        if not room.concert.is_published:
            return _("The concert is offline: no visitors are let in, and every place is kept.")
        if figures.exits_pending:
            return ngettext(
                "%(count)d end is waiting to be recorded.",
                "%(count)d ends are waiting to be recorded.",
                figures.exits_pending,
            ) % {"count": figures.exits_pending}
        return _("All well.")


def _to(room_id: int, control: str) -> HttpResponse:
    return redirect(reverse("admin:queue_waitingroom_steer", args=[room_id, control]))


def _figures(room: WaitingRoom) -> Figures | None:
    """Return the live figures, read when the page is written: saving the form must not wait for the store under its locks.

    Read once for the whole page, which has to open while the store is down, too.
    """
    if not hasattr(room, "figures"):
        try:
            room.figures = live_figures(room.concert_id)  # type: ignore[attr-defined]
        except ServiceUnavailable:
            room.figures = None  # type: ignore[attr-defined]
    figures: Figures | None = room.figures  # type: ignore[attr-defined]
    return figures


@admin.register(QueueExit)
class QueueExitAdmin(ReadOnlyAdmin):
    list_display = ("customer", "concert", "reason", "joined_at", "admitted_at", "ended_at")
    list_filter = ("reason", "ended_at")
    list_select_related = ("customer", "concert")
    lookups = (people_lookup(), concert_lookup("concert"), Days("ended_at"))
    ordering = ("-pk",)
    page_select_related = ("concert",)
    fields = (
        "concert_link",
        "customer_link",
        "reason",
        "joined_at",
        "admitted_at",
        "ended_at",
        "waited",
        "story",
        "slot",
        "generation",
    )

    def title_of(self, obj: QueueExit) -> str:
        who = self._customer(obj)
        name = who.name if who else f"#{obj.customer_id}"
        return f"{name} · {obj.concert} · {obj.get_reason_display()}"

    @staticmethod
    def _customer(obj: QueueExit) -> User | None:
        """Return the account, which may be gone."""
        return User.objects.filter(pk=obj.customer_id).first()

    concert_link = column(_("concert"), "concert")

    @display(description=_("customer"))
    def customer_link(self, obj: QueueExit) -> Any:
        return person(self._customer(obj))

    @display(description=_("timeline"))
    @read_once
    def story(self, obj: QueueExit) -> SafeString:
        return timeline(moments_of(obj))

    @display(description=_("waited"))
    def waited(self, obj: QueueExit) -> str:
        waited = (obj.admitted_at or obj.ended_at) - obj.joined_at
        return str(timedelta(seconds=round(waited.total_seconds())))


class FieldFilter(NameFilter):
    title = _("field")
    parameter_name = "field"

    def names(self) -> tuple[str, ...]:
        return (
            *("state", "pause_reason", "opens_at", "capacity", "admissions_per_minute", "lease"),
            *("patience", "lottery_window", "removed_visitor"),
        )

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, field_in_words(name).capitalize()) for name in self.names()]


@admin.register(PolicyChange)
class PolicyChangeAdmin(ReadOnlyAdmin):
    list_display = (
        "room",
        "field_in_words",
        "old_in_words",
        "new_in_words",
        "reason",
        "changed_by",
        "actor",
        "changed_at",
    )
    list_filter = (FieldFilter, "changed_at")
    list_select_related = ("room__concert", "changed_by")
    lookups = (concert_lookup("room__concert"), people_lookup("changed_by"), Days("changed_at"))
    ordering = ("-pk",)
    page_select_related = ("room__concert", "changed_by")
    fields = (
        "room_link",
        "field_in_words",
        "old_in_words",
        "new_in_words",
        "reason",
        "changed_by_link",
        "changed_at",
    )

    def title_of(self, obj: PolicyChange) -> str:
        before, after = self.old_in_words(obj), self.new_in_words(obj)
        return f"{obj.room} · {self.field_in_words(obj)}: {before} → {after}"

    room_link = column(_("waiting room"), "room")

    @display(description=_("field"))
    def field_in_words(self, obj: PolicyChange) -> str:
        return field_in_words(obj.field)

    @display(description=_("old value"))
    def old_in_words(self, obj: PolicyChange) -> str:
        return value_in_words(obj.field, obj.old_value)

    @display(description=_("new value"))
    def new_in_words(self, obj: PolicyChange) -> str:
        return value_in_words(obj.field, obj.new_value)

    @display(description=_("changed by"))
    def changed_by_link(self, obj: PolicyChange) -> Any:
        return person(obj.changed_by) if obj.changed_by else obj.actor or NOTHING
