"""Pages of staff about technical records: answers that are kept, and how far jobs of the system have come."""

from django.contrib import admin
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.api.models import IdempotencyRecord
from apps.boxoffice.base.columns import column
from apps.boxoffice.base.lookups import Days, Keys, people_lookup
from apps.boxoffice.base.read_only import ReadOnlyAdmin
from apps.boxoffice.base.words import at_venue, person
from apps.ops.models import JobProgress


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
        return f"{obj.operation} · {obj.customer} · {at_venue(obj.created_at)}"

    customer_link = column(_("customer"), "customer", person)


@admin.register(JobProgress)
class JobProgressAdmin(ReadOnlyAdmin):
    list_display = ("name", "reached_at", "finished_at", "rows")
    lookups = (Keys("name", label=_("name")),)
    ordering = ("name",)
