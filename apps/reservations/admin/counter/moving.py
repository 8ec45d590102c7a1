"""The page on which staff move a customer to other seats."""

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextInputWidget

from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.jobs.services import request_job
from apps.boxoffice.base.pages import StaffPage, ids_in
from apps.boxoffice.base.words import in_won
from apps.concerts.models import Performance
from apps.core.errors import DomainError
from apps.core.form_fields import WonField
from apps.core.texts import TypedLine
from apps.payments.counter import PaidBy
from apps.payments.selectors import paid_by_house_of
from apps.reservations.admin.counter.picture import MAY_LOOK
from apps.reservations.admin.counter.selling import ChosenSeats, why_not_sold
from apps.reservations.errors import MoveRefused, PriceChanged
from apps.reservations.models import REASON_MAX, Reservation
from apps.reservations.moves import MoveCustomer
from apps.reservations.picture import SeatNow
from apps.reservations.selectors import with_refunds
from apps.reservations.services import MovePrice, reseat

DATES_OFFERED = 300
WAYS_TO_PAY = [
    (PaidBy.CASH, PaidBy.CASH.label),
    (PaidBy.CARD, PaidBy.CARD.label),
    (PaidBy.WALLET, PaidBy.WALLET.label),
    (PaidBy.HOUSE, _("nobody: the difference is waived")),
]


NOT_WHOLE = _("A part of this reservation was cancelled or refunded, so it cannot be moved.")


class MoveForm(forms.Form):
    difference = WonField(widget=forms.HiddenInput)
    paid_by = forms.ChoiceField(
        label=_("A difference is paid by"),
        choices=WAYS_TO_PAY,
        initial=PaidBy.CASH,
        widget=UnfoldAdminRadioSelectWidget,
    )
    reason = TypedLine(
        label=_("Reason"),
        max_length=REASON_MAX,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("It is kept with your name in the history."),
    )

    def __init__(self, *args: Any, may_give: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_give:
            paid_by: Any = self.fields["paid_by"]
            paid_by.choices = [choice for choice in WAYS_TO_PAY if choice[0] != PaidBy.HOUSE]


class MoveView(ChosenSeats, ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """First the date and the seats, then with the difference in price how it is paid. Afterwards the new tickets."""

    title = _("Move to other seats")
    permission_required = (*MAY_LOOK, "reservations.reseat")
    template_name = "admin/reservations/move.html"
    form_class = MoveForm
    kind: ClassVar = MoveCustomer()

    @cached_property
    def reservation(self) -> Reservation:
        found = Reservation.objects.with_details().select_related(
            "performance__concert", "hold", "customer"
        )
        return get_object_or_404(found, pk=self.kwargs["pk"])

    def about(self) -> Any:
        return self.reservation

    @cached_property
    def performance(self) -> Performance:
        """Return the date to which the customer moves: the present one, unless another one is asked for."""
        [asked] = ids_in(self.request.GET, "performance")[:1] or [self.reservation.performance_id]
        return get_object_or_404(
            Performance.objects.select_related("concert"),
            pk=asked,
            concert=self.reservation.performance.concert_id,
        )

    @cached_property
    def agreed(self) -> dict[int, int]:
        """Return what the seats of the reservation cost its customer, by the id of the seat."""
        return {ticket.seat_id: ticket.price for ticket in self.reservation.tickets.all()}

    @property
    def is_partly_given_up(self) -> bool:
        [reservation] = with_refunds([self.reservation])
        return bool(reservation.refunds) or any(
            ticket.cancelled_at for ticket in reservation.tickets.all()
        )

    @property
    def total(self) -> int:
        return sum(self.agreed.get(now.seat.pk, now.seat.price) for now in self.chosen)

    @property
    def price(self) -> MovePrice:
        house = paid_by_house_of(self.reservation.pk)
        return MovePrice(self.reservation.total_price, house, self.total)

    def may_have(self, now: SeatNow) -> bool:
        return super().may_have(now) or now.seat.pk in self.agreed

    def why_not(self) -> list[str]:
        said = super().why_not()
        if self.reservation.status == Reservation.Status.CANCELLED:
            said.append(gettext("This reservation was cancelled: there is nothing to move."))
        elif self.is_partly_given_up:
            said.append(str(NOT_WHOLE))
        if self.chosen and len(self.chosen) != len(self.agreed):
            words = gettext("Choose as many seats as the customer has: %(count)d.")
            said.append(words % {"count": len(self.agreed)})
        return said

    def get_initial(self) -> dict[str, Any]:
        return {"difference": self.price.difference}

    def get_form_kwargs(self) -> dict[str, Any]:
        may_give = self.request.user.has_perm("reservations.give_complimentary")
        return {**super().get_form_kwargs(), "may_give": may_give}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        dates = Performance.objects.of_concert(self.performance.concert_id).by_date()
        context: dict[str, Any] = super().get_context_data(
            reservation=self.reservation,
            performance=self.performance,
            dates=dates.not_ended(at=timezone.now())[:DATES_OFFERED],
            chosen=self.chosen,
            total=self.total,
            price=self.price,
            comes_back=-self.price.difference,
            typed=self.names,
            refusals=self.why_not(),
            **kwargs,
        )
        return context

    def form_valid(self, form: MoveForm) -> HttpResponse:
        assert self.request.user.pk is not None
        if not self.chosen or self.why_not():
            return self.form_invalid(form)
        paid_by = PaidBy(form.cleaned_data["paid_by"])
        difference = form.cleaned_data["difference"]
        by: dict[str, Any] = {
            "reason": form.cleaned_data["reason"],
            "staff_id": self.request.user.pk,
        }
        asked = self.kind.parameters(
            self.reservation,
            self.performance,
            [now.seat for now in self.chosen],
            paid_by=paid_by,
            difference=difference,
        )
        if self.kind.needs_second_person(asked):
            job = request_job(kind=self.kind.name, parameters=asked, **by)
            words = gettext("A second person has to approve this move. Nothing was changed yet.")
            self.say(messages.WARNING, words)
            return redirect("admin:boxoffice_staffjob_change", job.pk)
        try:
            move = reseat.step(
                reservation_id=self.reservation.pk,
                performance_id=asked["performance_id"],
                seat_ids=asked["seat_ids"],
                paid_by=paid_by,
                shown_difference=difference,
                **by,
            )
        except DomainError as refusal:
            del self.chosen, self.reservation
            form.add_error(None, why_not_moved(refusal))
            return self.form_invalid(form)
        self.say(messages.SUCCESS, gettext("The customer was moved. The old tickets are void."))
        if move.difference < 0:
            words = gettext("%(amount)s went back to the customer's wallet.")
            self.say(messages.INFO, words % {"amount": in_won(-move.difference)})
        return redirect("admin:reservations_tickets", move.sold.reservation.pk)


def why_not_moved(refusal: DomainError) -> str:
    if isinstance(refusal, MoveRefused):
        match refusal.details["reason"]:
            case MoveRefused.Reason.SAME_SEATS:
                return gettext("The customer has these seats already.")
            case MoveRefused.Reason.NOT_WHOLE:
                return str(NOT_WHOLE)
            case _:
                return gettext(
                    "These are not as many seats as the customer has, or of another concert."
                )
    if isinstance(refusal, PriceChanged):
        return gettext("The prices have changed in the meantime. Load this page again.")
    if refusal.code == "ALREADY_CANCELLED":
        return gettext(
            "This reservation was cancelled or moved in the meantime. Nothing was changed."
        )
    return why_not_sold(refusal)
