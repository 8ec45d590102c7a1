"""Define which customers staff move only with the approval of a second person: where a move gives back much, or waives much."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.boxoffice.base.jobs.kinds import Parameters, SingleStep
from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.words import in_won
from apps.concerts.job_dates import date_in_words, named
from apps.concerts.models import Performance, Seat
from apps.payments.counter import PaidBy
from apps.reservations.models import Reservation
from apps.reservations.refund_limits import given_back_by_moves, is_above_limit
from apps.reservations.services import reseat

WAIVED_ALONE_MAX = 4  # tickets of one move of which the house pays the difference


class MoveCustomer(SingleStep):
    """A customer who is moved at a loss: to seats so much cheaper that it is a large refund, or to many dearer ones at the cost of the house.

    The seats are not kept meanwhile.
    """

    name = "move_customer"
    label = _("Move a customer")
    permission = "payments.refund"

    @staticmethod
    def parameters(
        reservation: Reservation,
        performance: Performance,
        seats: Sequence[Seat],
        *,
        paid_by: PaidBy,
        difference: int,
    ) -> dict[str, Any]:
        """Return them for a move to `seats` of a performance. Needs the customer and the tickets of the reservation, and the concert."""
        return {
            "reservation_id": str(reservation.pk),
            "performance_id": performance.pk,
            "seat_ids": [seat.pk for seat in seats],
            "paid_by": paid_by.value,
            "difference": difference,
            "given_back_by_moves": given_back_by_moves([reservation]),
            "customer": reservation.customer.shown_as,
            **named(performance),
            "before": [str(ticket.seat) for ticket in reservation.tickets.all()],
            "after": [str(seat) for seat in seats],
        }

    def title(self, parameters: Parameters) -> str:
        words = gettext("Move %(customer)s to other seats") % {"customer": parameters["customer"]}
        return f"{words} · {date_in_words(parameters)}"

    def preview(self, parameters: Parameters) -> list[tuple[str, str]]:
        difference = parameters["difference"]
        lines = [
            (gettext("Customer"), parameters["customer"]),
            (gettext("Old seats"), ", ".join(parameters["before"])),
            (gettext("Performance"), date_in_words(parameters)),
            (gettext("New seats"), ", ".join(parameters["after"])),
            (gettext("Difference in price"), in_won(difference)),
        ]
        if difference > 0:
            paid_by = str(PaidBy(parameters["paid_by"]).label)
            return [*lines, (gettext("A difference is paid by"), paid_by)]
        given_back = in_won(parameters["given_back_by_moves"] - difference)
        return [*lines, (gettext("Given back by moves in all"), given_back)]

    def needs_second_person(self, parameters: Parameters) -> bool:
        difference = parameters["difference"]
        if difference < 0:
            return is_above_limit(parameters["given_back_by_moves"] - difference)
        is_waived = difference > 0 and parameters["paid_by"] == PaidBy.HOUSE
        return is_waived and len(parameters["seat_ids"]) > WAIVED_ALONE_MAX

    def apply(self, subject: str, job: StaffJob) -> str:
        parameters = job.parameters
        move = reseat.step(
            reservation_id=UUID(parameters["reservation_id"]),
            performance_id=parameters["performance_id"],
            seat_ids=parameters["seat_ids"],
            paid_by=PaidBy(parameters["paid_by"]),
            reason=job.reason,
            staff_id=job.requested_by_id,
            shown_difference=parameters["difference"],
        )
        return gettext("Reservation %(id)s") % {"id": move.sold.reservation.pk}
