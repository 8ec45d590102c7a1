from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action

from apps.shared.models import EventDelivery, IdempotencyRecord, OutboxEvent
from apps.shared.outbox import replay_dead


class _ReadOnly:
    """Staff look; what changes goes through a service."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(_ReadOnly, ModelAdmin):
    show_full_result_count = False


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
    list_filter = ("type", "occurred_at")
    search_fields = ("=id",)
    search_help_text = _("The whole id of an event.")
    ordering = ("-occurred_at", "id")
    inlines = (EventDeliveryInline,)


@admin.register(EventDelivery)
class EventDeliveryAdmin(ReadOnlyAdmin):
    list_display = ("event", "consumer", "status", "attempts", "next_attempt_at", "last_error")
    list_filter = ("status", "consumer")
    list_select_related = ("event",)
    search_fields = ("=event__id",)
    search_help_text = _("The whole id of an event.")
    ordering = ("-id",)
    actions = ("replay",)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("shared.change_eventdelivery")

    @action(description=_("Replay dead deliveries"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[EventDelivery]) -> None:
        replayed = replay_dead(delivery_ids=list(queryset.values_list("pk", flat=True)))
        self.message_user(
            request,
            ngettext(
                "%d delivery will be tried again.", "%d deliveries will be tried again.", replayed
            )
            % replayed,
            messages.SUCCESS if replayed else messages.WARNING,
        )


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "customer", "endpoint", "status", "key")
    list_filter = ("endpoint", "created_at")
    list_select_related = ("customer",)
    search_fields = ("customer__email", "=key")
    ordering = ("-created_at", "-id")
    exclude = ("body",)
