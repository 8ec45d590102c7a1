from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.identifiers import new_id
from apps.core.texts import TypedNoteField
from apps.payments import triggers

# Won. The most that the constraints let through; `CHARGE_LIMIT` and `BALANCE_LIMIT` say what an installation allows.
CHARGE_CEILING = 1_000_000
BALANCE_CEILING = 10_000_000


class Wallet(models.Model):
    """A customer's money, in won. Changed by the services of this app only, under its row lock.

    `version` counts the ledger transactions so far. It numbers the next one, so two writers who did not see each other
    collide on it instead of losing an update.
    """

    customer = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        primary_key=True,
        related_name="wallet",
        verbose_name=_("customer"),
    )
    balance = models.BigIntegerField(_("balance"), default=0)
    version = models.PositiveBigIntegerField(_("movements"), default=0)

    class Meta:
        verbose_name = _("wallet")
        verbose_name_plural = _("wallets")
        constraints = [
            # No upper bound here: a refund is owed even to a customer whose balance is at its limit.
            models.CheckConstraint(
                condition=Q(balance__gte=0), name="wallet_balance_never_negative"
            ),
            models.CheckConstraint(
                condition=Q(version__gt=0) | Q(balance=0), name="wallet_starts_empty"
            ),
        ]
        triggers = [triggers.deny_delete(), triggers.balance_matches_ledger()]

    def __str__(self) -> str:
        return f"{self.pk}"


class LedgerTransaction(models.Model):
    """One movement of a customer's money. Append-only.

    `amount` is signed as the customer sees it, in won. `reference` is what was paid for: this app does not know what it is. It is paid
    for once, and refunded in one or more parts, which are never more than was paid.
    """

    class Type(models.TextChoices):
        CHARGE = "CHARGE", _("top-up")
        PAYMENT = "PAYMENT", _("payment")
        REFUND = "REFUND", _("refund")
        ADJUSTMENT = "ADJUSTMENT", _("adjustment")
        # Of the counter: see `counter.py`.
        TILL_CASH = "TILL_CASH", _("cash at the counter")
        TILL_CARD = "TILL_CARD", _("card at the counter")
        COMP = "COMP", _("paid by the house")
        COMP_BACK = "COMP_BACK", _("returned to the house")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # The unique constraint on (customer, sequence) serves every look-up by customer.
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="ledger_transactions",
        db_index=False,
        verbose_name=_("customer"),
    )
    sequence = models.PositiveBigIntegerField(
        _("number"), help_text=_("Counts the movements of one customer.")
    )
    type = models.CharField(_("type"), max_length=10, choices=Type)
    amount = models.BigIntegerField(_("amount"))
    balance_after = models.BigIntegerField(_("balance after"))
    reference = models.UUIDField(_("reference"), null=True, blank=True)
    reason = TypedNoteField(_("reason"), max_length=500, blank=True, default="")
    adjusted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("booked by"),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("ledger transaction")
        verbose_name_plural = _("ledger transactions")
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "sequence"], name="ledger_transaction_sequence_unique"
            ),
            models.UniqueConstraint(
                fields=["reference"],
                condition=Q(type="PAYMENT"),
                name="ledger_one_payment_per_reference",
            ),
            models.CheckConstraint(
                condition=Q(type="CHARGE", amount__gte=1, amount__lte=CHARGE_CEILING)
                | Q(type="PAYMENT", amount__lt=0)
                | Q(type="REFUND", amount__gt=0)
                | (Q(type="ADJUSTMENT") & ~Q(amount=0))
                | Q(type__in=["TILL_CASH", "TILL_CARD", "COMP"], amount__gt=0)
                | Q(type="COMP_BACK", amount__lt=0),
                name="ledger_amount_fits_type",
            ),
            models.CheckConstraint(
                condition=Q(balance_after__gte=0)
                & (
                    Q(balance_after__lte=BALANCE_CEILING)
                    | Q(type__in=["REFUND", "TILL_CASH", "TILL_CARD", "COMP"])
                    | Q(amount__lt=0)
                ),
                name="ledger_balance_after_within_limit",
            ),
            models.CheckConstraint(
                condition=Q(type__in=["CHARGE", "ADJUSTMENT"], reference__isnull=True)
                | (~Q(type__in=["CHARGE", "ADJUSTMENT"]) & Q(reference__isnull=False)),
                name="ledger_reference_fits_type",
            ),
            models.CheckConstraint(
                # A refund by staff says so, one that follows from a customer's cancellation does not.
                condition=(
                    Q(type__in=["ADJUSTMENT", "COMP", "REFUND"], adjusted_by__isnull=False)
                    & ~Q(reason="")
                )
                | Q(type__in=["TILL_CASH", "TILL_CARD"], adjusted_by__isnull=False, reason="")
                | (
                    ~Q(type__in=["ADJUSTMENT", "COMP", "TILL_CASH", "TILL_CARD"])
                    & Q(adjusted_by__isnull=True, reason="")
                ),
                name="ledger_staff_explained",
            ),
            models.CheckConstraint(condition=Q(sequence__gte=1), name="ledger_sequence_from_one"),
        ]
        indexes = [
            # Serves the list that staff page through.
            models.Index(F("created_at").desc(), F("id").desc(), name="ledger_newest_first"),
            models.Index(
                fields=["reference"],
                condition=Q(type="REFUND"),
                name="ledger_refunds_of_reference",
            ),
            models.Index(
                fields=["adjusted_by"],
                condition=Q(adjusted_by__isnull=False),
                name="ledger_adjusted_by",
            ),
            # Finds what was paid at the counter for a reservation, or by the house.
            models.Index(
                fields=["reference"],
                condition=Q(type__in=["TILL_CASH", "TILL_CARD", "COMP", "COMP_BACK"]),
                name="ledger_of_counter",
            ),
        ]
        triggers = [
            triggers.append_only(),
            triggers.transaction_has_entries(),
            triggers.counter_money_is_spent(),
        ]
        permissions = [
            ("refund", _("Can give back money that was paid")),
            ("export_money", "Can export money as files"),
        ]

    def __str__(self) -> str:
        return f"{self.pk}"


# Movements of the counter, in this order, as the partial index on them names them.
COUNTER_TYPES = (
    LedgerTransaction.Type.TILL_CASH,
    LedgerTransaction.Type.TILL_CARD,
    LedgerTransaction.Type.COMP,
    LedgerTransaction.Type.COMP_BACK,
)


class LedgerEntry(models.Model):
    """One side of a movement, in won: positive is a credit, negative a debit. Append-only.

    What we owe to a customer is the sum of the customer's entries.
    """

    class Account(models.TextChoices):
        CUSTOMER_LIABILITY = "CUSTOMER_LIABILITY", _("owed to customers")
        CASH = "CASH", _("cash from top-ups")
        SALES_REVENUE = "SALES_REVENUE", _("sales revenue")
        REFUNDS = "REFUNDS", _("refunds")
        ADJUSTMENTS = "ADJUSTMENTS", _("adjustments")
        TILL_CASH = "TILL_CASH", _("cash at the counter")
        TILL_CARD = "TILL_CARD", _("card at the counter")
        COMPS = "COMPS", _("complimentary tickets")

    transaction = models.ForeignKey(
        LedgerTransaction,
        on_delete=models.PROTECT,
        related_name="entries",
        verbose_name=_("transaction"),
    )
    account = models.CharField(_("account"), max_length=20, choices=Account)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("customer"),
    )
    amount = models.BigIntegerField(_("amount"))

    class Meta:
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger entries")
        constraints = [
            models.CheckConstraint(condition=~Q(amount=0), name="ledger_entry_moves_something"),
            models.CheckConstraint(
                condition=Q(account="CUSTOMER_LIABILITY", customer__isnull=False)
                | Q(
                    account__in=[
                        *("CASH", "SALES_REVENUE", "REFUNDS", "ADJUSTMENTS"),
                        *("TILL_CASH", "TILL_CARD", "COMPS"),
                    ],
                    customer__isnull=True,
                ),
                name="ledger_entry_customer_fits_account",
            ),
        ]
        indexes = [
            # Adds up one customer without reading the table.
            models.Index(
                fields=["customer"],
                include=["amount"],
                condition=Q(customer__isnull=False),
                name="ledger_entry_of_customer",
            ),
        ]
        triggers = [triggers.append_only(), triggers.entries_balanced()]

    def __str__(self) -> str:
        return f"{self.pk}"
