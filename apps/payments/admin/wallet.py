from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from apps.boxoffice.base.columns import column, read_once
from apps.boxoffice.base.lookups import people_lookup
from apps.boxoffice.base.read_only import ReadOnlyAdmin
from apps.boxoffice.base.words import NOTHING, at_venue, in_won, linked, person
from apps.payments.admin.ledger import adjustment_form
from apps.payments.models import LedgerTransaction, Wallet

MOVEMENTS_SHOWN = 20


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    list_display = ("customer", "balance", "version")
    list_select_related = ("customer",)
    lookups = (people_lookup(),)
    ordering = ("-pk",)
    actions_detail = ("adjust",)
    page_select_related = ("customer",)
    fields = ("customer_link", "balance_in_won", "version", "last_movements")

    def title_of(self, wallet: Wallet) -> str:
        return f"{wallet.customer.name} · {in_won(wallet.balance)}"

    customer_link = column(_("customer"), "customer", person)
    balance_in_won = column(_("balance"), "balance", in_won)

    @display(description=_("last movements"))
    @read_once
    def last_movements(self, wallet: Wallet) -> SafeString | str:
        found = LedgerTransaction.objects.filter(customer=wallet.pk).order_by("-sequence")
        lines = [
            (
                linked(movement, f"{movement.get_type_display()} {in_won(movement.amount)}"),
                at_venue(movement.created_at),
                in_won(movement.balance_after),
            )
            for movement in found[:MOVEMENTS_SHOWN]
        ]
        return format_html_join(mark_safe("<br>"), "{} · {} → {}", lines) or NOTHING

    def has_adjust_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        # Not named in the decorator: unfold would look it up in the database at every system check.
        return request.user.has_perm("payments.add_ledgertransaction")

    @action(description=_("Adjust the balance"), permissions=["adjust"])
    def adjust(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(adjustment_form(customer=object_id))
