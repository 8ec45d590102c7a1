"""Pages of staff about events: what was told to whom of what happened."""

from typing import Any

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.boxoffice.base.columns import read_once
from apps.boxoffice.base.lists import NameFilter
from apps.boxoffice.base.lookups import Days, Ids
from apps.boxoffice.base.read_only import ReadOnlyAdmin, ReadOnlyInline
from apps.boxoffice.base.words import NOTHING, as_json, at_venue, linked, linked_to
from apps.outbox.events import CONSUMERS
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.reservations.order_events import EventsOfOrder, order_named_in


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
    @read_once
    def subjects(self, obj: Any) -> SafeString:
        """Link to what the content names."""
        payload = self._event(obj).payload
        if not isinstance(payload, dict):
            return format_html("{}", NOTHING)
        order = order_named_in(payload)
        links = [(linked(order, f"{ORDER} {order}"),)] if order else []
        links += [
            (linked_to(model, payload[key], f"{label} {payload[key]}"),)
            for key, model, label in SUBJECTS
            if payload.get(key)
        ]
        return format_html_join(mark_safe("<br>"), "{}", links)


ORDER = _("order")
# By key of a payload: the model of what else it names, and what that is called.
SUBJECTS = (
    ("customer_id", "accounts.user", _("customer")),
    ("performance_id", "concerts.performance", _("performance")),
    ("concert_id", "concerts.concert", _("concert")),
)


@admin.register(OutboxEvent)
class OutboxEventAdmin(EventWords, ReadOnlyAdmin):
    list_display = ("occurred_at", "type", "id")
    list_filter = (EventTypeFilter, "occurred_at")
    lookups = (Ids(("id",)), EventsOfOrder("pk"), Days("occurred_at"))
    ordering = ("-occurred_at", "id")
    fields = ("type", "occurred_at", "subjects", "content", "id")
    inlines = (EventDeliveryInline,)

    def title_of(self, obj: OutboxEvent) -> str:
        return f"{obj.type} · {at_venue(obj.occurred_at)}"
