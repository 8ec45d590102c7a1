"""All that one customer has, had and waited for, on one page."""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

from django.db.models import Model
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView

from apps.accounts.models import User
from apps.boxoffice.base.pages import StaffPage
from apps.boxoffice.base.words import (
    NOTHING,
    at_venue,
    in_won,
    linked,
    linked_to,
    may_follow,
    person,
)
from apps.core.errors import ServiceUnavailable
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.selectors import transactions_of_customer, wallet_balance
from apps.queue.models import QueueExit
from apps.queue.timeline import present_visits, why_ended
from apps.reservations.models import Hold, Reservation, Ticket

ROWS_SHOWN = 20

Section = dict[str, Any]


class CustomerView(StaffPage, TemplateView):
    """Show the last orders, holds, visits and movements of a customer, and where all of them are listed."""

    permission_required = ("reservations.view_reservation",)
    template_name = "admin/reservations/customer.html"

    @cached_property
    def customer(self) -> User:
        return get_object_or_404(User, pk=self.kwargs["pk"])

    @property
    def title(self) -> str:
        return self.customer.name

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        customer_id = self.customer.pk
        orders = Reservation.objects.of_customer(customer_id).with_details().newest_first()
        sections = [self._holds(), self._visits()]
        wallet: SafeString | str = ""
        if may_follow(Wallet):
            wallet = linked_to(
                "payments.wallet", customer_id, in_won(wallet_balance(customer_id=customer_id))
            )
            sections.append(self._movements())
        return super().get_context_data(
            account=person(self.customer),
            wallet=wallet,
            lists=list(self._lists()),
            waiting=self._waiting(),
            orders=orders[:ROWS_SHOWN],
            sections=sections,
            **kwargs,
        )

    def _lists(self) -> Iterable[dict[str, str]]:
        """Yield the lists in which staff find all that belongs to the customer."""
        lists: Sequence[tuple[type[Model], Any]] = (
            (Reservation, gettext_lazy("All orders")),
            (Ticket, gettext_lazy("All tickets")),
            (Hold, gettext_lazy("All holds")),
            (QueueExit, gettext_lazy("All visits to waiting rooms")),
            (LedgerTransaction, gettext_lazy("All movements of money")),
        )
        for model, label in lists:
            if may_follow(model):
                url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
                yield {"url": f"{url}?{urlencode({'q': self.customer.email})}", "label": label}

    def _waiting(self) -> str:
        """Say in which waiting rooms the customer is at the moment."""
        try:
            visits = present_visits(self.customer.pk)
        except ServiceUnavailable:
            return _("not known: the store of the waiting rooms does not answer")
        words = [
            _("%(concert)s, since %(time)s")
            % {"concert": visit.concert, "time": at_venue(visit.joined_at)}
            for visit in visits
        ]
        return " · ".join(words) or _("in none")

    def _holds(self) -> Section:
        holds = (
            Hold.objects.of_customer(self.customer.pk)
            .select_related("performance__concert", "reservation")
            .order_by("-held_at", "-pk")
        )
        rows = [
            (
                linked(hold, at_venue(hold.held_at)),
                str(hold.performance.concert),
                at_venue(hold.performance.starts_at),
                in_won(hold.total_price),
                hold.get_status_display(),
                linked(getattr(hold, "reservation", None)),
            )
            for hold in holds[:ROWS_SHOWN]
        ]
        headers = (_("held at"), _("concert"), _("date"), _("amount"), _("state"), _("order"))
        return {"title": _("Last holds"), "headers": headers, "rows": rows}

    def _visits(self) -> Section:
        visits = (
            QueueExit.objects.filter(customer=self.customer.pk)
            .select_related("concert__waiting_room")
            .order_by("-pk")
        )
        rows = [
            (
                linked(visit, at_venue(visit.joined_at)),
                str(visit.concert),
                at_venue(visit.admitted_at) if visit.admitted_at else NOTHING,
                at_venue(visit.ended_at),
                why_ended(visit, getattr(visit.concert, "waiting_room", None)),
            )
            for visit in visits[:ROWS_SHOWN]
        ]
        headers = (_("joined at"), _("concert"), _("admitted at"), _("ended at"), _("why"))
        return {"title": _("Last visits to waiting rooms"), "headers": headers, "rows": rows}

    def _movements(self) -> Section:
        movements = transactions_of_customer(customer_id=self.customer.pk)
        rows = [
            (
                linked(movement, at_venue(movement.created_at)),
                movement.get_type_display(),
                in_won(movement.amount),
                in_won(movement.balance_after),
                movement.reason,
            )
            for movement in movements[:ROWS_SHOWN]
        ]
        headers = (_("when"), _("type"), _("amount"), _("balance after"), _("reason"))
        return {"title": _("Last movements of money"), "headers": headers, "rows": rows}
