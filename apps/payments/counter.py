"""Book what is paid at the counter, and what the house pays: tickets that are complimentary, and prices that are waived.

Each is a top-up of the customer's wallet from an account of its own, for one sale and in its transaction, so that every sale is paid
from a wallet and the books stay double. What the house paid comes back to it from the refunds of the sale before the customer gets any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from apps.core.database import Call, Row, load_statements
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.services import Booking, _booking, refund_to_wallet

SQL = load_statements(Path(__file__).with_suffix(".sql"))

Type = LedgerTransaction.Type


class PaidBy(TextChoices):
    CASH = "CASH", _("cash")
    CARD = "CARD", _("card")
    WALLET = "WALLET", _("the customer's wallet")
    HOUSE = "HOUSE", _("the house (complimentary)")


_BROUGHT_BY = {
    PaidBy.CASH: Type.TILL_CASH,
    PaidBy.CARD: Type.TILL_CARD,
    PaidBy.HOUSE: Type.COMP,
}


@dataclass(frozen=True, slots=True)
class Movements:
    """Movements of a locked wallet one after the other; `wallet` is as they leave it."""

    wallet: Wallet
    calls: Sequence[Call] = ()

    def followed_by(self, booking: Booking) -> "Movements":
        """Return these and one more, which was decided on the wallet as they leave it."""
        booked = booking.transaction
        wallet = Wallet(
            customer_id=self.wallet.pk, balance=booked.balance_after, version=booked.sequence
        )
        return Movements(wallet, [*self.calls, booking.call])


def paid_at_counter(
    movements: Movements,
    *,
    amount: int,
    paid_by: PaidBy,
    reference: UUID,
    staff_id: int,
    reason: str = "",
) -> Movements:
    """Bring `amount` won into the wallet for the sale `reference`, which has to take it in the same transaction.

    From the wallet itself nothing is brought. `reason` is why the house pays; it needs one.
    """
    if not amount or paid_by == PaidBy.WALLET:
        return movements
    if paid_by == PaidBy.HOUSE and not reason:
        raise ValueError("What the house pays needs a reason.")
    return movements.followed_by(
        _booking(
            movements.wallet,
            _BROUGHT_BY[paid_by],
            amount,
            reference=reference,
            reason=reason if paid_by == PaidBy.HOUSE else "",
            adjusted_by_id=staff_id,
        )
    )


def paid_by_house(reference: UUID) -> Call:
    """Return the statement that adds up what the house has paid of a sale; `house_part` reads its row."""
    return SQL["paid_by_house"], {"reference": reference}


def house_part(rows: Sequence[Row]) -> int:
    """Return the won that the house has paid of a sale and not got back."""
    [(amount,)] = rows
    return int(amount)


def refunded_of(reference: UUID) -> Call:
    """Return the statement that adds up what was refunded of a sale; `refunded_in` reads its row."""
    return SQL["refunded_of"], {"reference": reference}


def refunded_in(rows: Sequence[Row]) -> int:
    [(amount,)] = rows
    return int(amount)


def refund_of_sale(
    wallet: Wallet,
    *,
    amount: int,
    reference: UUID,
    refundable: int,
    house: int,
    reason: str = "",
    staff_id: int | None = None,
) -> Movements:
    """Give back `amount` won of what was paid for a sale: to the house as much as it has paid, and to the customer the rest.

    Every refund of a sale goes through here. `house` is what the house has paid and not got back, the others are those of `refund_to_wallet`.

    :raises RefundExceedsPayment: less is left of what was paid.
    """
    refund = refund_to_wallet(
        wallet,
        amount=amount,
        reference=reference,
        refundable=refundable,
        reason=reason,
        staff_id=staff_id,
    )
    return returned_to_house(
        Movements(wallet).followed_by(refund), refunded=amount, house=house, reference=reference
    )


def returned_to_house(
    movements: Movements, *, refunded: int, house: int, reference: UUID
) -> Movements:
    """Return to the house its part of `refunded` won that have just come back into the wallet for `reference`.

    `house` is what it has paid and not got back.
    """
    part = min(refunded, house)
    if not part:
        return movements
    return movements.followed_by(
        _booking(movements.wallet, Type.COMP_BACK, -part, reference=reference)
    )
