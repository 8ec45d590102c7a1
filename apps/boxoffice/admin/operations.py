from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from apps.api.models import IdempotencyRecord
from apps.boxoffice.base.columns import column
from apps.boxoffice.base.entries import ActionWithReason
from apps.boxoffice.base.lists import NameFilter, bounded_count
from apps.boxoffice.base.lookups import Days, Ids, Keys, people_lookup
from apps.boxoffice.base.read_only import NOTED_EACH, ReadOnlyAdmin, ReadOnlyInline, note_action
from apps.boxoffice.base.words import NOTHING, as_json, at_venue, linked, linked_to, outcome, person
from apps.ops.models import JobProgress
from apps.outbox.events import CONSUMERS
from apps.outbox.models import (
    DeliveryReplay,
    EventDelivery,
    EventDeliveryQuerySet,
    OutboxEvent,
    Receiver,
)
from apps.outbox.replaying import replay_dead

REPLAY_SECONDS = 5.0  # of one click; `manage.py replay_dead_deliveries` has no bound


class ConsumerFilter(NameFilter):
    title = _("consumer")
    parameter_name = "consumer"

    def names(self) -> list[str]:
        return sorted(consumer.name for consumer in CONSUMERS.values())


class EventTypeFilter(NameFilter):
    """Offer the types that a consumer wants."""

    title = _("type")
    parameter_name = "type"

    def names(self) -> list[str]:
        return sorted({name for consumer in CONSUMERS.values() for name in consumer.event_types})


class EventDeliveryInline(ReadOnlyInline):
    model = EventDelivery
    fields = ("consumer_link", "status", "attempts", "next_attempt_at", "done_at", "last_error")
    readonly_fields = fields
    ordering = ("consumer",)

    @display(description=_("consumer"))
    def consumer_link(self, delivery: EventDelivery) -> SafeString | str:
        return linked(delivery, delivery.consumer)


class EventWords:
    """Columns and fields that say of an event what it tells, and of what."""

    @staticmethod
    def _event(obj: Any) -> OutboxEvent:
        event: OutboxEvent = obj if isinstance(obj, OutboxEvent) else obj.event
        return event

    @display(description=_("content"))
    def content(self, obj: Any) -> SafeString:
        return as_json(self._event(obj).payload)

    @display(description=_("about"))
    def subjects(self, obj: Any) -> SafeString:
        """Link to what the content names."""
        payload = self._event(obj).payload
        if not isinstance(payload, dict):
            return format_html("{}", NOTHING)
        links = [
            (linked_to(model, payload[key], f"{label} {payload[key]}"),)
            for key, model, label in SUBJECTS
            if payload.get(key)
        ]
        return format_html_join(mark_safe("<br>"), "{}", links)


# By key of a payload: the model of what it names, and what that is called.
SUBJECTS = (
    ("reservation_id", "reservations.reservation", _("reservation")),
    ("customer_id", "accounts.user", _("customer")),
    ("performance_id", "concerts.performance", _("performance")),
    ("concert_id", "concerts.concert", _("concert")),
)


@admin.register(OutboxEvent)
class OutboxEventAdmin(EventWords, ReadOnlyAdmin):
    list_display = ("occurred_at", "type", "id")
    list_filter = (EventTypeFilter, "occurred_at")
    lookups = (Ids(("id",)), Days("occurred_at"))
    ordering = ("-occurred_at", "id")
    fields = ("type", "occurred_at", "subjects", "content", "id")
    inlines = (EventDeliveryInline,)

    def title_of(self, obj: OutboxEvent) -> str:
        return f"{obj.type} · {at_venue(obj.occurred_at)}"


@admin.register(EventDelivery)
class EventDeliveryAdmin(EventWords, ReadOnlyAdmin):
    list_display = ("event", "consumer", "status", "attempts", "next_attempt_at", "last_error")
    list_filter = ("status", ConsumerFilter)
    list_select_related = ("event",)
    lookups = (
        Ids(("event",), label=_("id of an event")),
        Days("event__occurred_at", among=EventDelivery.objects.all),
    )
    ordering = ("-id",)
    actions = ("replay",)
    action_form = ActionWithReason
    page_select_related = ("event",)
    fields = (
        "consumer",
        "status",
        "attempts",
        "next_attempt_at",
        "done_at",
        "last_error",
        "event_link",
        "subjects",
        "content",
    )

    def title_of(self, obj: EventDelivery) -> str:
        return f"{obj.event.type} → {obj.consumer}"

    event_link = column(_("event"), "event")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("outbox.change_eventdelivery")

    @action(description=_("Replay dead deliveries"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: EventDeliveryQuerySet) -> None:
        dead = list(queryset.dead().select_related("event")[: NOTED_EACH + 1])
        replayed = _replay(self, request, queryset, chosen="selected")
        if replayed and len(dead) <= NOTED_EACH:
            note_action(request, dead, gettext("Replayed."))


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
    def health(self, receiver: Receiver) -> tuple[str, str]:
        if receiver.unhealthy_since:
            return "UNHEALTHY", gettext("unhealthy, probing")
        if receiver.failing_since:
            return "FAILING", gettext("failing")
        return "HEALTHY", gettext("healthy")

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


class KeyOfCustomer:
    """Find "mina@example.com, 4711": keys are indexed behind the customer."""

    label = _("customer and key")

    def find(self, text: str) -> Q | None:
        customer, comma, key = text.partition(",")
        condition = people_lookup().find(customer.strip()) if comma else None
        if condition is None:
            return None
        found = condition & Q(key=key.strip())
        return found if IdempotencyRecord.objects.filter(found).exists() else None


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "customer", "operation", "status", "key")
    list_filter = ("created_at",)
    list_select_related = ("customer",)
    lookups = (people_lookup(), KeyOfCustomer(), Days("created_at"))
    ordering = ("-created_at", "-id")
    page_select_related = ("customer",)
    # Without the body, which may be anything that the customer was told.
    fields = ("customer_link", "operation", "key", "status", "created_at", "fingerprint")

    def title_of(self, obj: IdempotencyRecord) -> str:
        return f"{obj.operation} · {obj.customer.email} · {at_venue(obj.created_at)}"

    customer_link = column(_("customer"), "customer", person)


@admin.register(JobProgress)
class JobProgressAdmin(ReadOnlyAdmin):
    list_display = ("name", "reached_at", "finished_at", "rows")
    lookups = (Keys("name", label=_("name")),)
    ordering = ("name",)
