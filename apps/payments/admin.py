from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.payments.export import ledger_csv
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.payments.services import adjust_wallet
from apps.shared.admin import ReadOnlyAdmin, ReadOnlyInline
from apps.shared.admin_forms import CarefulForms
from apps.shared.codes import CODES
from apps.shared.errors import DomainError
from apps.shared.lookups import Days, Ids, Named, Numbers, narrowed, people_lookup

# A reservation is paid once and refunded once, and there is an index for each.
IDS_OF_MOVEMENTS = (
    Ids(("id",)),
    Ids(
        ("reference",),
        label=_("id of a reservation"),
        within=(Q(type="PAYMENT"), Q(type="REFUND")),
    ),
)


def _movements_with_id(text: str) -> QuerySet[LedgerTransaction]:
    return narrowed(LedgerTransaction.objects.all(), IDS_OF_MOVEMENTS, text)


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    list_display = ("customer", "balance", "movements")
    list_select_related = ("customer",)
    lookups = (people_lookup(),)
    ordering = ("-pk",)
    actions_detail = ("adjust",)

    def has_adjust_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        # Not named in the decorator: unfold would look it up in the database at every system check.
        return request.user.has_perm("payments.add_ledgertransaction")

    @action(description=_("Adjust the balance"), permissions=["adjust"])
    def adjust(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(_adjustment_form(customer=object_id))


class LedgerEntryInline(ReadOnlyInline):
    model = LedgerEntry
    fields = ("account", "customer", "amount")
    ordering = ("pk",)


class AdjustmentForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = LedgerTransaction
        fields = ("customer", "amount", "reason")
        help_texts = {"amount": _("Won; negative takes money away.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = True

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        if amount == 0:
            raise forms.ValidationError(_("An adjustment of nothing is none."))
        return amount


@admin.register(LedgerTransaction)
class LedgerTransactionAdmin(CarefulForms, ReadOnlyAdmin):
    """Read-only but for one thing: adding a transaction books an adjustment."""

    list_display = ("created_at", "customer", "type", "amount", "balance_after", "reference")
    list_filter = ("type", "created_at")
    list_select_related = ("customer",)
    lookups = (
        people_lookup(),
        *IDS_OF_MOVEMENTS,
        Days("created_at"),
    )
    ordering = ("-created_at", "-id")
    autocomplete_fields = ("customer",)
    inlines = (LedgerEntryInline,)
    actions = ("export",)

    @action(description=_("Export as CSV"), permissions=["view"])
    def export(
        self, request: HttpRequest, queryset: QuerySet[LedgerTransaction]
    ) -> StreamingHttpResponse:
        """What was selected, or the whole filtered list; sent while it is read."""
        return StreamingHttpResponse(
            _for_spreadsheets(ledger_csv(queryset)),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="ledger.csv"'},
        )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("payments.add_ledgertransaction")

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = AdjustmentForm
            kwargs["widgets"] = {"reason": UnfoldAdminTextareaWidget()}
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return AdjustmentForm.Meta.fields
        return [field.name for field in LedgerTransaction._meta.fields]

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.inlines if obj else ()

    def save_model(
        self, request: HttpRequest, obj: LedgerTransaction, form: Any, change: bool
    ) -> None:
        assert request.user.pk is not None
        booked = adjust_wallet(
            customer_id=obj.customer_id,
            amount=obj.amount,
            reason=obj.reason,
            staff_id=request.user.pk,
        )
        obj.__dict__ = booked.__dict__

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        try:
            response: HttpResponse = super().add_view(request, form_url, extra_context)
        except DomainError as refusal:
            self.message_user(request, CODES[refusal.code].message, messages.ERROR)
            entered = {name: request.POST[name] for name in AdjustmentForm.Meta.fields}
            return redirect(_adjustment_form(**entered))
        return response


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = ("id", "transaction", "account", "customer", "amount")
    list_filter = ("account",)
    list_select_related = ("transaction", "customer")
    lookups = (
        people_lookup("transaction__customer"),
        Named("transaction", _("id of a transaction or a reservation"), _movements_with_id),
        Numbers(),
        Days("transaction__created_at", among=LedgerEntry.objects.all),
    )
    ordering = ("-id",)


def _adjustment_form(**initial: str) -> str:
    return f"{reverse('admin:payments_ledgertransaction_add')}?{urlencode(initial)}"


def _for_spreadsheets(lines: Iterator[str]) -> Iterator[bytes]:
    """Without the mark at the beginning, Excel would not read Korean."""
    yield BOM_UTF8
    for line in lines:
        yield line.encode()
