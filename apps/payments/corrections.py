"""Corrections of balances that are too large for one member of staff alone: a second one approves them."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import ClassVar

from django.conf import settings
from django.db.models import Sum
from django.db.models.functions import Abs
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.boxoffice.base.jobs.kinds import Parameters, SingleStep
from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.jobs.services import request_job
from apps.boxoffice.base.words import in_won
from apps.core.history import note
from apps.core.transactions import requires_transaction
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.selectors import wallet_balance
from apps.payments.services import adjust_wallet, refuse_adjustment

ADDED_UP = timedelta(days=1)  # so that no large correction is made of small ones


class WalletCorrection(SingleStep):
    """Books the correction in the name of whoever asked for it."""

    name = "correct_wallet"
    label: ClassVar[str | Promise] = gettext_lazy("Correct a balance")
    permission = "payments.add_ledgertransaction"

    def title(self, parameters: Parameters) -> str:
        return _("Correct the balance of %(customer)s by %(amount)s") % {
            "customer": parameters["customer"],
            "amount": _signed(parameters["amount"]),
        }

    def preview(self, parameters: Parameters) -> Sequence[tuple[str, str]]:
        balance = wallet_balance(customer_id=parameters["customer_id"])
        return [
            (_("customer"), parameters["customer"]),
            (_("balance now"), in_won(balance)),
            (_("correction"), _signed(parameters["amount"])),
            (_("balance afterwards"), in_won(balance + parameters["amount"])),
        ]

    def apply(self, subject: str, job: StaffJob) -> str:
        booked = adjust_wallet(
            customer_id=job.parameters["customer_id"],
            amount=job.parameters["amount"],
            reason=job.reason,
            staff_id=job.requested_by_id,
        )
        assert job.decided_by_id is not None
        words = _("Approved the correction by %(amount)s: %(reason)s") % {
            "amount": _signed(booked.amount),
            "reason": job.reason,
        }
        note([booked], words, staff_id=job.decided_by_id)
        return _("Booked; the balance is %(balance)s now.") % {
            "balance": in_won(booked.balance_after)
        }


class ApprovalNeeded(Exception):
    """A correction is above what one member of staff may book."""


def correct_wallet(
    *, customer_id: int, amount: int, reason: str, staff_id: int
) -> LedgerTransaction:
    """Book a correction that one member of staff may book alone.

    :raises ApprovalNeeded: with the other corrections of this customer within a day it is too large for that.
    :raises InsufficientBalance, BalanceLimitExceeded: as `adjust_wallet` does.
    """
    return adjust_wallet(
        customer_id=customer_id,
        amount=amount,
        reason=reason,
        staff_id=staff_id,
        refuse=partial(_refuse_if_large, customer_id=customer_id, amount=amount),
    )


def _refuse_if_large(*, customer_id: int, amount: int) -> None:
    lately = LedgerTransaction.objects.filter(
        customer=customer_id,
        type=LedgerTransaction.Type.ADJUSTMENT,
        created_at__gt=timezone.now() - ADDED_UP,
    )
    booked = lately.aggregate(total=Sum(Abs("amount")))["total"] or 0
    if abs(amount) + booked > settings.CORRECTION_APPROVAL_ABOVE:
        raise ApprovalNeeded


@requires_transaction
def request_correction(
    *, customer_id: int, customer: str, amount: int, reason: str, staff_id: int
) -> StaffJob:
    """Ask for a correction, which a second person approves; `customer` is how people read whose balance it is.

    :raises InsufficientBalance, BalanceLimitExceeded: it would be refused at this moment.
    """
    wallet = Wallet.objects.filter(pk=customer_id).first() or Wallet(customer_id=customer_id)
    refuse_adjustment(wallet, amount)
    parameters = {"customer_id": customer_id, "customer": customer, "amount": amount}
    return request_job(
        kind=WalletCorrection.name, parameters=parameters, reason=reason, staff_id=staff_id
    )


def _signed(amount: int) -> str:
    return in_won(amount) if amount < 0 else f"+{in_won(amount)}"
