"""Define what a second person approves about sales."""

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.boxoffice.base.jobs.kinds import Parameters, SingleStep
from apps.boxoffice.base.words import in_won
from apps.concerts.job_dates import AboutDate, date_in_words
from apps.concerts.models import Seat
from apps.core.history import note
from apps.payments.counter import PaidBy
from apps.reservations.services import WalkUp, sell_at_counter

if TYPE_CHECKING:
    from apps.boxoffice.base.jobs.models import StaffJob


class GiveComplimentary(AboutDate, SingleStep):
    """Complimentary tickets that one person may not give alone. Their seats are not kept meanwhile: those that are sold by then make it refuse."""

    name = "give_complimentary"
    label = _("Give complimentary tickets")
    permission = "reservations.give_complimentary"

    def title(self, parameters: Parameters) -> str:
        count = len(parameters["seat_ids"])
        words = ngettext("%(count)d complimentary ticket", "%(count)d complimentary tickets", count)
        return f"{words % {'count': count}} · {date_in_words(parameters)}"

    def preview(self, parameters: Parameters) -> list[tuple[str, str]]:
        seats = Seat.objects.filter(pk__in=parameters["seat_ids"]).in_map_order()
        return [
            (gettext("Performance"), date_in_words(parameters)),
            (gettext("Customer"), _customer(parameters)),
            (gettext("Seats"), ", ".join(map(str, seats))),
            (gettext("Price, paid by the house"), in_won(parameters["price"])),
        ]

    def apply(self, subject: str, job: "StaffJob") -> str:
        parameters = job.parameters
        walk_up = parameters.get("walk_up")
        sold = sell_at_counter.step(
            performance_id=parameters["performance_id"],
            seat_ids=parameters["seat_ids"],
            customer=WalkUp(**walk_up) if walk_up else parameters["customer_id"],
            paid_by=PaidBy.HOUSE,
            staff_id=job.requested_by_id,
            shown_price=parameters["price"],
            reason=job.reason,
        )
        if job.decided_by_id is not None:
            words = gettext("Approved the complimentary tickets.")
            note([sold.reservation], words, staff_id=job.decided_by_id)
        return gettext("Reservation %(id)s") % {"id": sold.reservation.pk}


def complimentary_tickets(
    *, performance_id: int, seat_ids: list[int], customer: int | WalkUp, price: int
) -> dict[str, Any]:
    """Return the parameters of such a job."""
    if isinstance(customer, WalkUp):
        buyer: dict[str, Any] = {"walk_up": {"name": customer.name, "contact": customer.contact}}
    else:
        buyer = {"customer_id": customer}
    return {"performance_id": performance_id, "seat_ids": seat_ids, "price": price, **buyer}


def _customer(parameters: Parameters) -> str:
    if walk_up := parameters.get("walk_up"):
        return str(walk_up["name"])
    customer = User.objects.filter(pk=parameters["customer_id"]).first()
    return customer.shown_as if customer else gettext("an account that was deleted")
