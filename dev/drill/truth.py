"""Read what is in the database, for the comparison with what customers and staff were told. Needs Django to be set up."""

from collections import Counter, defaultdict
from collections.abc import Collection
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType

from apps.api.models import IdempotencyRecord
from apps.boxoffice.base.jobs.models import StaffJob
from apps.concerts.models import SeatAllocation
from apps.outbox.models import OutboxEvent
from apps.payments.models import LedgerEntry, LedgerTransaction
from apps.queue.models import PolicyChange
from apps.reservations.models import Hold, Reservation, SeatClaim, Ticket

Type = LedgerTransaction.Type


class Truth:
    """Everything in the database that was done since the customers got their first money, read at one moment."""

    def __init__(self, staff_ids: Collection[int] = ()) -> None:
        self.holds = {hold.pk: hold for hold in Hold.objects.all()}
        self.reservations = {sale.pk: sale for sale in Reservation.objects.all()}
        # By why staff have cancelled them.
        self.ended: dict[str, list[UUID]] = defaultdict(list)
        for sale in self.reservations.values():
            self.ended[sale.cancel_reason].append(sale.pk)
        self.movements = {
            movement.pk: movement
            for movement in LedgerTransaction.objects.order_by("created_at", "pk")
            if not (movement.sequence == 1 and movement.type == Type.CHARGE)
        }
        self.of_sale: dict[tuple[UUID | None, str], list[LedgerTransaction]] = defaultdict(list)
        for movement in self.movements.values():
            self.of_sale[movement.reference, movement.type].append(movement)
        self.comps = sum(
            LedgerEntry.objects.filter(account=LedgerEntry.Account.COMPS).values_list(
                "amount", flat=True
            )
        )
        self.records = Counter(IdempotencyRecord.objects.values_list("customer_id", "key"))
        self.claims: dict[UUID, dict[int, int]] = defaultdict(dict)
        claims = SeatClaim.objects.values_list("hold_id", "seat_id", "price")
        for hold_id, seat_id, price in claims:
            self.claims[hold_id][seat_id] = price
        self.tickets: dict[UUID, dict[str, int]] = defaultdict(dict)
        # By why they were cancelled before the others of their order.
        self.given_up: dict[str, set[tuple[UUID, int]]] = defaultdict(set)
        for ticket in Ticket.objects.all():
            self.tickets[ticket.reservation_id][ticket.code] = ticket.seat_id
            if ticket.cancelled_at:
                place = (ticket.reservation_id, ticket.seat_id)
                self.given_up[ticket.cancel_reason].add(place)
        self.events = Counter(
            (UUID(payload["reservation_id"]), type)
            for payload, type in OutboxEvent.objects.values_list("payload", "type")
            if "reservation_id" in payload
        )
        self.allocated = dict(SeatAllocation.objects.values_list("seat_id", "category_id"))
        self.history = list(
            # What was only asked for has not happened.
            LogEntry.objects.filter(user__in=list(staff_ids))
            .exclude(content_type=ContentType.objects.get_for_model(StaffJob))
            .values_list("change_message", flat=True)
        )
        self.room_changes = Counter(PolicyChange.objects.values_list("reason", "field"))

    def total(self, reservation_id: UUID, *types: str) -> int:
        """Add up the movements of a sale of some types, in won."""
        return sum(
            movement.amount for type in types for movement in self.of_sale[reservation_id, type]
        )
