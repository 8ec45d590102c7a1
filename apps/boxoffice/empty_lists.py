"""Say above an empty list what fills it, and lead to where that is done. A list that is not here fills itself, and says so."""

from typing import NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Words = str | Promise


class NextStep(NamedTuple):
    """Tell it to those who have the `right`, if it needs one; `page` names an address after `admin:`, `offer` the button to it."""

    words: Words
    right: str = ""
    page: str = ""
    offer: Words = ""

    def is_for(self, request: HttpRequest) -> bool:
        return not self.right or request.user.has_perm(self.right)

    @property
    def url(self) -> str:
        return reverse(f"admin:{self.page}") if self.page else ""


_CONCERTS = ("concerts.view_concert", "concerts_concert_changelist", _("Open the concerts"))


# By label of the model.
NEXT_STEPS: dict[str, NextStep] = {
    "accounts.accesstoken": NextStep(
        _("An access token appears when a customer logs in to the API.")
    ),
    "accounts.user": NextStep(
        _("Customers register themselves. Add accounts for staff."), "accounts.add_user"
    ),
    "auth.group": NextStep(
        _("The roles of staff appear when the database is migrated. Add a group for other duties.")
    ),
    "boxoffice.staffjob": NextStep(
        _(
            "A job appears when staff ask for something that takes long or needs a second person's approval."
        )
    ),
    "concerts.concert": NextStep(
        _("Add the first concert with its dates, then generate its seats."), "concerts.add_concert"
    ),
    "concerts.performance": NextStep(
        _("Dates are added on the page of their concert."), *_CONCERTS
    ),
    "concerts.rankingentry": NextStep(_("The ranking counts reservations as they are paid.")),
    "concerts.seat": NextStep(
        _("Generate the seats of a performance: sections, rows, prices."),
        "concerts.add_seat",
        "concerts_performance_generate_seats",
        _("Generate seats"),
    ),
    "outbox.deliveryreplay": NextStep(
        _("A replay is noted when staff have dead deliveries tried again.")
    ),
    "outbox.eventdelivery": NextStep(_("Each event is delivered to all who need it.")),
    "outbox.outboxevent": NextStep(_("An event is noted with each sale, cancellation and change.")),
    "payments.ledgerentry": NextStep(_("Each transaction has two entries or more.")),
    "payments.ledgertransaction": NextStep(
        _("Top-ups, payments and refunds appear as they are booked.")
    ),
    "payments.wallet": NextStep(_("A wallet appears when a customer tops it up.")),
    "queue.policychange": NextStep(
        _("A change is noted when staff open, pause, close or set up a waiting room.")
    ),
    "queue.queueexit": NextStep(
        _("An exit is noted when a visitor buys, leaves or runs out of time.")
    ),
    "queue.waitingroom": NextStep(
        _("A concert gets its waiting room when the first visitor comes."), *_CONCERTS
    ),
    "reservations.hold": NextStep(
        _("A hold appears when a customer picks seats, and lasts a few minutes."), *_CONCERTS
    ),
    "reservations.reservation": NextStep(
        _("A reservation appears when a customer has paid. Is a concert on sale?"), *_CONCERTS
    ),
    "reservations.seatclaim": NextStep(_("A claim keeps a seat for the hold that took it.")),
    "reservations.ticket": NextStep(_("Tickets appear with the reservations that were paid.")),
}
