"""Pages of staff about deliveries: which consumer is owed what, why it failed, and another set of attempts for what was given up."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.boxoffice.admin.events import EventWords
from apps.boxoffice.base.columns import Badge, column, read_once
from apps.boxoffice.base.entries import ActionWithReason
from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.lists import NameFilter, bounded_count
from apps.boxoffice.base.lookups import Days, Ids, Keys, people_lookup
from apps.boxoffice.base.pages import StaffPage
from apps.boxoffice.base.read_only import NOTED_EACH, ReadOnlyAdmin, lead_to, note_action, row_named
from apps.boxoffice.base.words import NOTHING, at_venue, linked, outcome, person
from apps.core.texts import TypedLine
from apps.outbox.events import CONSUMERS
from apps.outbox.models import DeliveryReplay, EventDelivery, EventDeliveryQuerySet, Receiver
from apps.outbox.replaying import replay_dead
from apps.reservations.models import Reservation
from apps.reservations.order_events import EventsOfOrder, order_id_in

REPLAY_SECONDS = 5.0  # of one click; `manage.py replay_dead_deliveries` has no bound
REASON_MAX = 200
ERROR_SHOWN = 60  # characters in a list


class ConsumerFilter(NameFilter):
    title = _("consumer")
    parameter_name = "consumer"

    def names(self) -> list[str]:
        return sorted(consumer.name for consumer in CONSUMERS.values())


@admin.register(EventDelivery)
class EventDeliveryAdmin(EventWords, ReadOnlyAdmin):
    list_display = (
        *("event_type", "occurred", "order_link", "consumer", "state", "attempts", "next_short"),
        "short_error",
    )
    list_filter = ("status", ConsumerFilter)
    list_select_related = ("event",)
    lookups = (
        Ids(("event",), label=_("id of an event")),
        EventsOfOrder("event"),
        Days("event__occurred_at", among=EventDelivery.objects.all),
    )
    ordering = ("-id",)
    actions = ("replay",)
    action_form = ActionWithReason
    actions_detail = ("replay_this",)
    page_select_related = ("event",)
    fields = (
        "consumer",
        "status",
        "attempts",
        "next_at",
        "done_at",
        "last_error",
        "replays",
        "event_link",
        "subjects",
        "content",
    )

    def title_of(self, obj: EventDelivery) -> str:
        return f"{obj.event.type} → {obj.consumer}"

    event_link = column(_("event"), "event")

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(ReplayView.as_view(model_admin=self))
        return [
            path("<int64:pk>/replay/", page, name="outbox_eventdelivery_replay"),
            *super().get_urls(),
        ]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        _attach_orders(changelist.result_list)
        return changelist

    @display(description=_("event"), ordering="event__type")
    def event_type(self, delivery: EventDelivery) -> str:
        return delivery.event.type

    @display(description=_("occurred at"))
    def occurred(self, delivery: EventDelivery) -> str:
        return _short(delivery.event.occurred_at)

    @display(description=_("order"))
    def order_link(self, delivery: EventDelivery) -> SafeString | str:
        order: Reservation | None = getattr(delivery, "order", None)
        number = format_html('<span class="whitespace-nowrap">{}</span>', order or NOTHING)
        return linked(order, number)

    @display(
        description=_("status"),
        ordering="status",
        label={
            EventDelivery.Status.PENDING.value: "info",
            EventDelivery.Status.DONE.value: "success",
            EventDelivery.Status.DEAD.value: "danger",
        },
    )
    def state(self, delivery: EventDelivery) -> Badge:
        return Badge(delivery.status, delivery.get_status_display())

    @display(description=_("next attempt at"))
    def next_short(self, delivery: EventDelivery) -> str:
        is_pending = delivery.status == EventDelivery.Status.PENDING
        return _short(delivery.next_attempt_at) if is_pending else NOTHING

    @display(description=_("next attempt at"))
    def next_at(self, delivery: EventDelivery) -> str:
        """Return when it is tried next; what is done or given up is not."""
        is_pending = delivery.status == EventDelivery.Status.PENDING
        return at_venue(delivery.next_attempt_at) if is_pending else NOTHING

    @display(description=_("last error"))
    def short_error(self, delivery: EventDelivery) -> str:
        return Truncator(delivery.last_error).chars(ERROR_SHOWN) or NOTHING

    @display(description=_("replayed by"))
    @read_once
    def replays(self, delivery: EventDelivery) -> SafeString | str:
        """Say who replayed it; of more than a hundred at once there is a record for all of them only."""
        content_type = ContentType.objects.get_for_model(EventDelivery)
        entries = LogEntry.objects.filter(content_type=content_type, object_id=str(delivery.pk))
        lines = [
            (person(entry.user), at_venue(entry.action_time), entry.get_change_message())
            for entry in entries.select_related("user").order_by("-action_time")
        ]
        return format_html_join(mark_safe("<br>"), "{} · {} · {}", lines) or NOTHING

    def has_replay_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Offer it to those who may; at one delivery only if that is dead."""
        is_allowed: bool = request.user.has_perm("outbox.change_eventdelivery")
        if object_id is None or not is_allowed:
            return is_allowed
        return row_named(EventDelivery.objects.dead(), object_id).exists()

    @action(description=_("Replay"), permissions=["replay"], icon="replay")
    def replay_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:outbox_eventdelivery_replay", object_id)

    @action(description=_("Replay dead deliveries"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: EventDeliveryQuerySet) -> None:
        dead = list(queryset.dead().select_related("event")[: NOTED_EACH + 1])
        replayed = _replay(self, request, queryset, chosen="selected")
        if replayed and len(dead) <= NOTED_EACH:
            note_action(request, dead, gettext("Replayed."))


def _short(at: datetime) -> str:
    return date_format(timezone.localtime(at), "SHORT_DATETIME_FORMAT")


def _attach_orders(deliveries: Iterable[EventDelivery]) -> None:
    """Give each delivery the order that its event is about; one query for all."""
    named = {delivery.pk: order_id_in(delivery.event.payload) for delivery in deliveries}
    orders = Reservation.objects.in_bulk([pk for pk in named.values() if pk])
    for delivery in deliveries:
        delivery.order = orders.get(named[delivery.pk])  # type: ignore[attr-defined]


class ReplayForm(forms.Form):
    reason = TypedLine(
        label=_("Reason"),
        max_length=REASON_MAX,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("What was mended. It is kept with your name in the history."),
    )


class ReplayView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """Asks before one dead delivery gets another set of attempts."""

    title = _("Replay")
    permission_required = ("outbox.change_eventdelivery",)
    template_name = "admin/boxoffice/replay.html"
    form_class = ReplayForm

    @cached_property
    def delivery(self) -> EventDelivery:
        found = EventDelivery.objects.select_related("event")
        return get_object_or_404(found, pk=self.kwargs["pk"])

    def about(self) -> EventDelivery:
        return self.delivery

    def form_valid(self, form: ReplayForm) -> HttpResponse:
        pk = self.delivery.pk
        replayed = replay_dead(
            deliveries=EventDelivery.objects.filter(pk=pk),
            chosen=f"delivery {pk}",
            staff_id=self.request.user.pk,
        )
        if replayed:
            words = gettext("Replayed: %(reason)s") % {"reason": form.cleaned_data["reason"]}
            note_action(self.request, [self.delivery], words)
            self.say(messages.SUCCESS, gettext("The delivery will be tried again."))
        else:
            self.say(messages.WARNING, gettext("The delivery is not dead: nothing was changed."))
        return redirect("admin:outbox_eventdelivery_change", pk)


def _replay(
    model_admin: ModelAdmin, request: HttpRequest, deliveries: EventDeliveryQuerySet, *, chosen: str
) -> int:
    """Replay what is dead, for as long as a request may take, and say how far that came."""
    replayed = replay_dead(
        deliveries=deliveries, chosen=chosen, staff_id=request.user.pk, seconds=REPLAY_SECONDS
    )
    words = ngettext(
        "%d delivery will be tried again.", "%d deliveries will be tried again.", replayed
    )
    level, text = outcome(replayed, words % replayed, gettext("No delivery among these is dead."))
    model_admin.message_user(request, text, level)
    if replayed and deliveries.dead().exists():
        model_admin.message_user(
            request,
            gettext("More dead deliveries remain. Replay again to continue."),
            messages.WARNING,
        )
    return replayed


@admin.register(Receiver)
class ReceiverAdmin(ReadOnlyAdmin):
    list_display = (
        *("consumer", "health", "failing_since", "failures", "next_probe_at"),
        *("pending", "dead", "last_error"),
    )
    readonly_fields = ("pending", "dead")
    lookups = (Keys("consumer", label=_("consumer")),)
    ordering = ("consumer",)
    actions = ("replay_all",)
    action_form = ActionWithReason

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Show those, too, that never failed and so have no row yet."""
        Receiver.objects.bulk_create(
            [
                Receiver(consumer=consumer.name)
                for consumer in CONSUMERS.values()
                if consumer.is_outside
            ],
            ignore_conflicts=True,
        )
        return super().changelist_view(request, extra_context)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("outbox.change_eventdelivery")

    @display(
        description=_("health"),
        label={"HEALTHY": "success", "FAILING": "warning", "UNHEALTHY": "danger"},
    )
    def health(self, receiver: Receiver) -> Badge:
        if receiver.unhealthy_since:
            return Badge("UNHEALTHY", gettext("unhealthy, probing"))
        if receiver.failing_since:
            return Badge("FAILING", gettext("failing"))
        return Badge("HEALTHY", gettext("healthy"))

    @display(description=_("pending"))
    def pending(self, receiver: Receiver) -> int:
        return bounded_count(EventDelivery.objects.pending().filter(consumer=receiver.pk))

    @display(description=_("dead"))
    def dead(self, receiver: Receiver) -> int:
        return bounded_count(EventDelivery.objects.dead().filter(consumer=receiver.pk))

    @action(description=_("Replay all dead deliveries"), permissions=["replay"])
    def replay_all(self, request: HttpRequest, queryset: QuerySet[Receiver]) -> None:
        for receiver in queryset.order_by("pk"):
            replayed = _replay(
                self,
                request,
                EventDelivery.objects.filter(consumer=receiver.pk),
                chosen=f"consumer {receiver.pk}",
            )
            if replayed:
                words = ngettext(
                    "Replayed %d dead delivery.", "Replayed %d dead deliveries.", replayed
                )
                note_action(request, [receiver], words % replayed)


@admin.register(DeliveryReplay)
class DeliveryReplayAdmin(ReadOnlyAdmin):
    list_display = ("replayed_at", "deliveries", "chosen", "replayed_by", "actor")
    list_select_related = ("replayed_by",)
    lookups = (people_lookup("replayed_by"), Days("replayed_at"))
    ordering = ("-replayed_at", "-id")
    page_select_related = ("replayed_by",)
    fields = ("replayed_at", "deliveries", "chosen", "who")

    def title_of(self, obj: DeliveryReplay) -> str:
        return f"{obj.chosen} · {at_venue(obj.replayed_at)}"

    @display(description=_("replayed by"))
    def who(self, obj: DeliveryReplay) -> SafeString | str:
        return person(obj.replayed_by) if obj.replayed_by else obj.actor or NOTHING
