from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.boxoffice.base.columns import column
from apps.boxoffice.base.forms import CarefulForms
from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.lookups import Days, Ids, Named, Numbers, narrowed, people_lookup
from apps.boxoffice.base.read_only import ReadOnlyAdmin, ReadOnlyInline
from apps.boxoffice.base.words import NOTHING, at_venue, in_won, linked, linked_to, person
from apps.core.codes import CODES
from apps.core.errors import DomainError
from apps.core.form_fields import WonField
from apps.payments.admin.export import LedgerExports
from apps.payments.admin.reconciliation import RECONCILE, ReconciliationView
from apps.payments.corrections import ApprovalNeeded, correct_wallet, request_correction
from apps.payments.models import COUNTER_TYPES, LedgerEntry, LedgerTransaction

# What was paid for a reservation, refunded of it, and moved for it at the counter: there is an index for each.
IDS_OF_MOVEMENTS = (
    Ids(("id",)),
    Ids(
        ("reference",),
        label=_("id of a reservation"),
        within=(Q(type="PAYMENT"), Q(type="REFUND"), Q(type__in=COUNTER_TYPES)),
    ),
)


def movements_with_id(text: str) -> QuerySet[LedgerTransaction]:
    return narrowed(LedgerTransaction.objects.all(), IDS_OF_MOVEMENTS, text)


class LedgerEntryInline(ReadOnlyInline):
    model = LedgerEntry
    fields = ("account_link", "customer_link", "amount")
    readonly_fields = fields
    ordering = ("pk",)

    @display(description=_("account"))
    def account_link(self, entry: LedgerEntry) -> SafeString | str:
        return linked(entry, entry.get_account_display())

    customer_link = column(_("customer"), "customer", person)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerEntry]:
        entries: QuerySet[LedgerEntry] = super().get_queryset(request).select_related("customer")
        return entries


class AdjustmentForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = LedgerTransaction
        fields = ("customer", "amount", "reason")
        field_classes = {"amount": WonField}
        help_texts = {
            "amount": _(
                "Won; negative takes money away. A second person has to approve large corrections."
            )
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = True

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        if amount == 0:
            raise forms.ValidationError(_("Enter an amount other than zero."))
        return amount


@admin.register(LedgerTransaction)
class LedgerTransactionAdmin(LedgerExports, CarefulForms, ReadOnlyAdmin):
    """Read-only but for one thing: adding a transaction books an adjustment."""

    list_display = (
        *("created_at", "customer", "type", "amount_in_won", "balance_after_in_won"),
        *("order_link", "reason"),
    )
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
    actions_list = ("sales", "reconcile_books")
    page_select_related = ("customer", "adjusted_by")
    page_fields = (
        "type",
        "customer_link",
        "amount_in_won",
        "balance_after_in_won",
        "reservation",
        "reason",
        "adjusted_by_link",
        "created_at",
        "sequence",
        "id",
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(ReconciliationView.as_view(model_admin=self))
        return [path("reconcile/", view, name=RECONCILE), *super().get_urls()]

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
        return self.page_fields

    def title_of(self, obj: LedgerTransaction) -> str:
        return f"{obj.get_type_display()} · {in_won(obj.amount)} · {obj.customer.name}"

    customer_link = column(_("customer"), "customer", person)
    amount_in_won = column(_("amount"), "amount", in_won)
    balance_after_in_won = column(_("balance after"), "balance_after", in_won)

    @display(description=_("reservation"))
    def reservation(self, obj: LedgerTransaction) -> SafeString | str:
        if obj.reference is None:
            return NOTHING
        return linked_to("reservations.reservation", obj.reference, obj.reference)

    adjusted_by_link = column(_("adjusted by"), "adjusted_by", person)

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.inlines if obj else ()

    def save_model(
        self, request: HttpRequest, obj: LedgerTransaction, form: Any, change: bool
    ) -> None:
        assert request.user.pk is not None
        asked: Any = {
            "customer_id": obj.customer_id,
            "amount": obj.amount,
            "reason": obj.reason,
            "staff_id": request.user.pk,
        }
        try:
            obj.__dict__ = correct_wallet(**asked).__dict__
        except ApprovalNeeded:
            request.correction_requested = request_correction(  # type: ignore[attr-defined]
                customer=obj.customer.email, **asked
            )

    @action(description=_("Sales by concert and day"), permissions=["view"], icon="table_chart")
    def sales(self, request: HttpRequest) -> HttpResponse:
        return redirect("admin:reservations_sales_report")

    @action(description=_("Reconciliation"), permissions=["view"], icon="balance")
    def reconcile_books(self, request: HttpRequest) -> HttpResponse:
        return redirect(f"admin:{RECONCILE}")

    @display(description=_("order"))
    def order_link(self, obj: LedgerTransaction) -> SafeString | str:
        if obj.reference is None:
            return NOTHING
        return linked_to("reservations.reservation", obj.reference, _("Order"))

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write nothing into the history of what has yet to be approved."""
        if hasattr(request, "correction_requested"):
            return None
        return super().log_addition(request, obj, message)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        job: StaffJob | None = getattr(request, "correction_requested", None)
        if job is None:
            response: HttpResponse = super().response_add(request, obj, post_url_continue)
            return response
        request.has_acted = True  # type: ignore[attr-defined]
        words = _(
            "Nothing is booked yet: a second person has to approve a correction of this size."
        )
        self.message_user(request, words, messages.WARNING)
        return redirect("admin:boxoffice_staffjob_change", job.pk)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        try:
            response: HttpResponse = super().add_view(request, form_url, extra_context)
        except DomainError as refusal:
            self.message_user(request, CODES[refusal.code].message, messages.ERROR)
            entered = {name: request.POST[name] for name in AdjustmentForm.Meta.fields}
            return redirect(adjustment_form(**entered))
        return response


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = ("account", "customer", "amount_in_won", "transaction_link")
    list_filter = ("account",)
    list_select_related = ("transaction__customer", "customer")
    lookups = (
        people_lookup("transaction__customer"),
        Named("transaction", _("id of a transaction or a reservation"), movements_with_id),
        Numbers(),
        Days("transaction__created_at", among=LedgerEntry.objects.all),
    )
    ordering = ("-id",)
    page_select_related = ("transaction__customer", "customer")
    fields = ("account", "customer_link", "amount_in_won", "transaction_link", "id")

    def title_of(self, entry: LedgerEntry) -> str:
        return f"{entry.get_account_display()} · {in_won(entry.amount)}"

    customer_link = column(_("customer"), "customer", person)
    amount_in_won = column(_("amount"), "amount", in_won)

    @display(description=_("transaction"))
    def transaction_link(self, entry: LedgerEntry) -> SafeString | str:
        booked = entry.transaction
        words = f"{booked.get_type_display()} {in_won(booked.amount)} · {booked.customer}"
        return linked(booked, f"{words} · {at_venue(booked.created_at)}")


def adjustment_form(**initial: str) -> str:
    return f"{reverse('admin:payments_ledgertransaction_add')}?{urlencode(initial)}"
