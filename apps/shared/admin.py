from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action

from apps.shared.admin_lists import FoundByTyping
from apps.shared.lookups import Days, Ids, Keys, people_lookup
from apps.shared.models import (
    EventDelivery,
    EventDeliveryQuerySet,
    IdempotencyRecord,
    JobProgress,
    OutboxEvent,
)
from apps.shared.outbox import consumers, replay_dead


class _ReadOnly:
    """Staff look; what changes goes through a service."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(_ReadOnly, FoundByTyping, ModelAdmin):
    pass


def note_action(request: HttpRequest, objects: Iterable[Model], message: str) -> None:
    """Write into the history of each object what a member of staff has done to it."""
    assert request.user.pk is not None
    LogEntry.objects.log_actions(request.user.pk, list(objects), CHANGE, message)


class ConsumerFilter(admin.SimpleListFilter):
    """Offer the consumers that there are, without asking the table which it knows."""

    title = _("consumer")
    parameter_name = "consumer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(one.name for one in consumers())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(consumer=self.value()) if self.value() else queryset


class EventTypeFilter(admin.SimpleListFilter):
    """Offer the types that a consumer wants, without asking the table which it knows."""

    title = _("type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (name, name) for name in sorted({t for one in consumers() for t in one.event_types})
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(type=self.value()) if self.value() else queryset


class ReadOnlyInline(_ReadOnly, TabularInline):
    extra = 0
    can_delete = False


class EventDeliveryInline(ReadOnlyInline):
    model = EventDelivery
    fields = ("consumer", "status", "attempts", "next_attempt_at", "done_at", "last_error")
    ordering = ("consumer",)


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    list_display = ("occurred_at", "type", "id")
    list_filter = (EventTypeFilter, "occurred_at")
    lookups = (Ids(("id",)), Days("occurred_at"))
    ordering = ("-occurred_at", "id")
    inlines = (EventDeliveryInline,)


@admin.register(EventDelivery)
class EventDeliveryAdmin(ReadOnlyAdmin):
    list_display = ("event", "consumer", "status", "attempts", "next_attempt_at", "last_error")
    list_filter = ("status", ConsumerFilter)
    list_select_related = ("event",)
    lookups = (
        Ids(("event",), label=_("id of an event")),
        Days("event__occurred_at", among=EventDelivery.objects.all),
    )
    ordering = ("-id",)
    actions = ("replay",)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("shared.change_eventdelivery")

    @action(description=_("Replay dead deliveries"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: EventDeliveryQuerySet) -> None:
        dead = list(queryset.dead().select_related("event"))
        replayed = replay_dead(delivery_ids=[delivery.pk for delivery in dead])
        note_action(request, dead, gettext("Replayed."))
        self.message_user(
            request,
            ngettext(
                "%d delivery will be tried again.", "%d deliveries will be tried again.", replayed
            )
            % replayed,
            messages.SUCCESS if replayed else messages.WARNING,
        )


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
    list_display = ("created_at", "customer", "endpoint", "status", "key")
    list_filter = ("created_at",)
    list_select_related = ("customer",)
    lookups = (people_lookup(), KeyOfCustomer(), Days("created_at"))
    ordering = ("-created_at", "-id")
    exclude = ("body",)


@admin.register(JobProgress)
class JobProgressAdmin(ReadOnlyAdmin):
    list_display = ("name", "reached_at", "finished_at", "rows")
    lookups = (Keys("name", label=_("name")),)
    ordering = ("name",)
