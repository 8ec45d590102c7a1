from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from apps.shared.models import (
    DeliveryReplay,
    EventDelivery,
    EventDeliveryQuerySet,
    IdempotencyRecord,
    JobProgress,
    OutboxEvent,
    Receiver,
)
from apps.shared.outbox import consumers
from apps.shared.replaying import replay_dead


class _ReadOnly:
    """Staff look; what changes goes through a service."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


REPLAY_SECONDS = 5.0  # of one click; `manage.py replay_dead_deliveries` has no bound
NOTED_EACH = (
    100  # of one action: more objects than these have no entry of their own in their histories
)
ROWS_COUNTED = 100_000  # above the largest hall, whose seats staff block all at once


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Count to `ROWS_COUNTED` and no further, so that a page of a long table does not read all of it.

    Filters and the search find what lies beyond.
    """

    @cached_property
    def count(self) -> int:
        found: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return _bounded_count(found)


class ReadOnlyAdmin(_ReadOnly, ModelAdmin):
    paginator = BoundedPaginator
    show_full_result_count = False


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
    search_fields = ("=id",)
    search_help_text = _("The whole id of an event.")
    ordering = ("-occurred_at", "id")
    inlines = (EventDeliveryInline,)


@admin.register(EventDelivery)
class EventDeliveryAdmin(ReadOnlyAdmin):
    list_display = ("event", "consumer", "status", "attempts", "next_attempt_at", "last_error")
    list_filter = ("status", ConsumerFilter)
    list_select_related = ("event",)
    search_fields = ("=event__id",)
    search_help_text = _("The whole id of an event.")
    ordering = ("-id",)
    actions = ("replay",)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("shared.change_eventdelivery")

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
    model_admin.message_user(
        request, words % replayed, messages.SUCCESS if replayed else messages.WARNING
    )
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
    ordering = ("consumer",)
    actions = ("replay_all",)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Show those, too, that never failed and so have no row yet."""
        Receiver.objects.bulk_create(
            [Receiver(consumer=one.name) for one in consumers() if one.is_outside],
            ignore_conflicts=True,
        )
        return super().changelist_view(request, extra_context)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("shared.change_eventdelivery")

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
        return _bounded_count(EventDelivery.objects.pending().filter(consumer=receiver.pk))

    @display(description=_("dead"))
    def dead(self, receiver: Receiver) -> int:
        return _bounded_count(EventDelivery.objects.dead().filter(consumer=receiver.pk))

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


def _bounded_count(found: QuerySet[Any]) -> int:
    return found.order_by()[:ROWS_COUNTED].count()


@admin.register(DeliveryReplay)
class DeliveryReplayAdmin(ReadOnlyAdmin):
    list_display = ("replayed_at", "deliveries", "chosen", "replayed_by", "actor")
    list_select_related = ("replayed_by",)
    ordering = ("-replayed_at", "-id")


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "customer", "endpoint", "status", "key")
    list_filter = ("endpoint", "created_at")
    list_select_related = ("customer",)
    search_fields = ("customer__email", "=key")
    ordering = ("-created_at", "-id")
    exclude = ("body",)


@admin.register(JobProgress)
class JobProgressAdmin(ReadOnlyAdmin):
    list_display = ("name", "reached_at", "finished_at", "rows")
    ordering = ("name",)
