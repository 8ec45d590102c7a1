"""The page on which staff sell seats at the counter."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import cached_property
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts.models import User
from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.jobs.services import request_job
from apps.boxoffice.base.pages import StaffPage, ids_in
from apps.boxoffice.base.words import in_won
from apps.concerts.inventory import sellable_by
from apps.concerts.models import Seat
from apps.concerts.selectors import seats_called
from apps.core.codes import CODES
from apps.core.errors import DomainError
from apps.core.form_fields import WonField
from apps.core.texts import TypedLine, normalized
from apps.payments.counter import PaidBy
from apps.reservations.admin.counter.picture import MAY_LOOK, OfPerformance
from apps.reservations.errors import PriceChanged
from apps.reservations.jobs import GiveComplimentary, complimentary_tickets
from apps.reservations.models import CONTACT_MAX, REASON_MAX
from apps.reservations.picture import SeatNow, seats_now
from apps.reservations.services import (
    COMPS_ALONE_MAX,
    WalkUp,
    may_give_alone,
    sell_at_counter,
)
from apps.reservations.services.selling import SEATS_AT_ONCE

SEATS_TEXT_MAX = 1_000
PEOPLE_NAMED = 10
ACCOUNT, WALK_UP = "ACCOUNT", "WALK_UP"


class ChosenSeats(OfPerformance):
    """Mixin for a view whose address names seats of its performance: `?seat=12&seat=13` by id, `?seats=A 3-12, A 3-13` as printed."""

    request: HttpRequest

    @cached_property
    def typed(self) -> str:
        return normalized(self.request.GET.get("seats", "")).replace("\x00", "")[:SEATS_TEXT_MAX]

    @cached_property
    def chosen(self) -> list[SeatNow]:
        found = Seat.objects.of_performance(self.performance.pk)
        ids = set(
            found.filter(pk__in=ids_in(self.request.GET, "seat")).values_list("pk", flat=True)
        )
        self.not_understood: list[str] = []
        names = dict.fromkeys(part.strip() for part in self.typed.split(",") if part.strip())
        for name in list(names)[: SEATS_AT_ONCE + 1]:  # each takes a query; more are refused anyhow
            named = list(
                seats_called(name)
                .filter(performance=self.performance.pk)
                .values_list("pk", flat=True)[:2]
            )
            if len(named) == 1:
                ids.update(named)
            else:
                self.not_understood.append(name)
        return seats_now(sorted(ids)[: SEATS_AT_ONCE + 1])

    @property
    def total(self) -> int:
        return sum(now.seat.price for now in self.chosen)

    @property
    def names(self) -> str:
        """Return the seats as they may be typed, with what was not understood."""
        return ", ".join([*(str(now.seat) for now in self.chosen), *self.not_understood])

    @cached_property
    def categories(self) -> set[int]:
        """Return the categories whose seats this clerk may sell although they are kept back."""
        assert self.request.user.pk is not None
        return sellable_by(self.request.user.pk)

    def may_have(self, now: SeatNow) -> bool:
        return now.is_sold_by(self.categories)

    def why_not(self) -> list[str]:
        """Say why these seats cannot be sold as they are; nothing if they can."""
        said = [
            gettext("%(name)s is not one seat of this performance.") % {"name": name}
            for name in self.not_understood
        ]
        taken = [str(now.seat) for now in self.chosen if not self.may_have(now)]
        if taken:
            said.append(gettext("Not free: %(seats)s.") % {"seats": ", ".join(taken)})
        if len(self.chosen) > SEATS_AT_ONCE:
            said.append(gettext("Choose at most %(max)d seats at a time.") % {"max": SEATS_AT_ONCE})
        return said


class SaleForm(forms.Form):
    """Ask who buys, and how it is paid."""

    price = WonField(widget=forms.HiddenInput)
    buyer = forms.ChoiceField(
        label=_("Customer"),
        choices=[(WALK_UP, _("walk-up, without an account")), (ACCOUNT, _("has an account"))],
        initial=WALK_UP,
        widget=UnfoldAdminRadioSelectWidget,
    )
    account = TypedLine(
        label=_("Account"),
        max_length=254,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The email address, or the name if only one customer is called that."),
    )
    name = TypedLine(
        label=_("Name of the walk-up"),
        max_length=100,
        required=False,
        widget=UnfoldAdminTextInputWidget,
    )
    contact = TypedLine(
        label=_("Phone number or email address"),
        max_length=CONTACT_MAX,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Optional: how to reach a walk-up. Nothing is sent there."),
    )
    paid_by = forms.ChoiceField(
        label=_("Paid by"),
        choices=PaidBy.choices,
        initial=PaidBy.CASH,
        widget=UnfoldAdminRadioSelectWidget,
    )
    reason = TypedLine(
        label=_("Reason"),
        max_length=REASON_MAX,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_(
            "Needed for complimentary tickets, and for more seats than one customer may have. "
            "It is kept with your name in the history."
        ),
    )

    def __init__(self, *args: Any, may_give: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_give:
            paid_by: Any = self.fields["paid_by"]
            paid_by.choices = [choice for choice in PaidBy.choices if choice[0] != PaidBy.HOUSE]

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if values.get("buyer") == ACCOUNT:
            self._find_account(values.get("account", ""))
        elif not values.get("name"):
            self.add_error("name", _("Enter a name for the tickets."))
        if values.get("paid_by") == PaidBy.HOUSE and not values.get("reason"):
            self.add_error("reason", _("Say why the tickets are complimentary."))
        if values.get("paid_by") == PaidBy.WALLET and values.get("buyer") != ACCOUNT:
            self.add_error("paid_by", _("Only a customer with an account has a wallet."))
        return values

    def _find_account(self, text: str) -> None:
        found = list(customers_called(text)[: PEOPLE_NAMED + 1]) if text else []
        if len(found) == 1:
            self.cleaned_data["customer"] = found[0]
        elif not found:
            self.add_error("account", _("There is no such customer."))
        else:
            people = ", ".join(user.shown_as for user in found[:PEOPLE_NAMED])
            words = gettext("Several customers are called that: %(people)s") % {"people": people}
            self.add_error("account", words)

    @property
    def customer(self) -> int | WalkUp:
        values = self.cleaned_data
        if values["buyer"] == ACCOUNT:
            customer: User = values["customer"]
            return customer.pk
        return WalkUp(values["name"], values["contact"])


def customers_called(text: str) -> Any:
    """Return the active customers with this address, or else with this name."""
    exact = User.objects.filter(email=text.lower(), is_active=True, is_staff=False)
    if exact.exists():
        return exact
    return User.objects.called(text).filter(is_active=True, is_staff=False).order_by("pk")


class SaleView(ChosenSeats, ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """First the seats, by choice on the picture or typed; then, with their prices, who buys them and how. Afterwards the tickets."""

    title = _("Sell at the counter")
    permission_required = (*MAY_LOOK, "reservations.sell_at_counter")
    template_name = "admin/reservations/sell.html"
    form_class = SaleForm

    def get_initial(self) -> dict[str, Any]:
        return {"price": self.total}

    def get_form_kwargs(self) -> dict[str, Any]:
        may_give = self.request.user.has_perm("reservations.give_complimentary")
        return {**super().get_form_kwargs(), "may_give": may_give}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(
            performance=self.performance,
            chosen=self.chosen,
            total=self.total,
            typed=self.names,
            refusals=self.why_not(),
            **kwargs,
        )
        return context

    def form_valid(self, form: SaleForm) -> HttpResponse:
        assert self.request.user.pk is not None
        if not self.chosen or self.why_not():
            return self.form_invalid(form)
        paid_by = PaidBy(form.cleaned_data["paid_by"])
        if paid_by == PaidBy.HOUSE and not may_give_alone(
            staff_id=self.request.user.pk,
            concert_id=self.performance.concert_id,
            tickets=len(self.chosen),
        ):
            return self._ask_second_person(form)
        try:
            sold = sell_at_counter.step(
                performance_id=self.performance.pk,
                seat_ids=[now.seat.pk for now in self.chosen],
                customer=form.customer,
                paid_by=paid_by,
                staff_id=self.request.user.pk,
                shown_price=form.cleaned_data["price"],
                reason=form.cleaned_data["reason"],
            )
        except DomainError as refusal:
            del self.chosen
            form.add_error(None, why_not_sold(refusal))
            return self.form_invalid(form)
        words = ngettext("%(count)s seat sold.", "%(count)s seats sold.", len(sold.tickets))
        self.say(messages.SUCCESS, words % {"count": len(sold.tickets)})
        return redirect("admin:reservations_tickets", sold.reservation.pk)

    def _ask_second_person(self, form: SaleForm) -> HttpResponse:
        assert self.request.user.pk is not None
        asked = complimentary_tickets(
            performance_id=self.performance.pk,
            seat_ids=[now.seat.pk for now in self.chosen],
            customer=form.customer,
            price=form.cleaned_data["price"],
        )
        job = request_job(
            kind=GiveComplimentary.name,
            parameters=asked,
            reason=form.cleaned_data["reason"],
            staff_id=self.request.user.pk,
        )
        words = gettext(
            "More than %(max)d complimentary tickets of one concert in a day need the approval of a second person. Nothing was sold yet."
        )
        self.say(messages.WARNING, words % {"max": COMPS_ALONE_MAX})
        return redirect("admin:boxoffice_staffjob_change", job.pk)


def why_not_sold(refusal: DomainError) -> str:
    """Say it to staff: the messages of the registry are for the customer."""
    details = refusal.details
    if isinstance(refusal, PriceChanged):
        return gettext("The prices have changed in the meantime. Load this page again.")
    match refusal.code:
        case "SEAT_ALREADY_HELD" | "SEAT_ALREADY_RESERVED":
            return gettext("One of the seats has just been taken. Nothing was sold.")
        case "SEAT_LIMIT_EXCEEDED":
            return gettext(
                "One customer may have %(limit)s seats of this performance, and this one has %(taken)s. "
                "Give a reason to make an exception."
            ) % {"limit": details["limit"], "taken": details["taken"]}
        case "INSUFFICIENT_BALANCE":
            return gettext("The wallet has %(balance)s, and %(required)s are needed.") % {
                "balance": in_won(int(str(details["balance"]))),
                "required": in_won(int(str(details["required"]))),
            }
        case "SALES_NOT_OPEN":
            return gettext("Sales to the public have not opened yet.")
        case "SALES_CLOSED":
            return gettext("The performance is over, or was called off.")
        case "PRICE_LIMIT_EXCEEDED":
            return gettext(
                "In total these seats cost more than can be paid at once. Sell fewer at a time."
            )
        case "STAFF_ACCOUNT":
            return gettext("This is an account of staff, which cannot own seats.")
        case _:
            return str(CODES[refusal.code].message)
