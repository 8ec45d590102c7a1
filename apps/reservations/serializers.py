from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.api.fields import (
    StrictCharField,
    StrictChoiceField,
    StrictIntegerField,
    StrictUUIDField,
)
from apps.concerts.models import SEATS_PER_CUSTOMER_MAX, Grade, SeatKind
from apps.payments.models import LedgerTransaction
from apps.reservations.events import PricedSeat
from apps.reservations.models import Hold, HolderNotice, Reservation, SeatClaim, Ticket
from apps.reservations.selectors import (
    AVAILABLE,
    HELD,
    RESERVED,
    PerformanceAvailability,
    SeatState,
    with_refunds,
)
from apps.reservations.services import (
    Cancellation,
    Confirmation,
    HeldSeats,
    extensions_of,
)

# --- Requests ---------------------------------------------------------------------------------------------------------


class HoldRequest(serializers.Serializer[Any]):
    performance_id = StrictIntegerField(min_value=1)
    seat_ids = serializers.ListField(
        child=StrictIntegerField(min_value=1),
        min_length=1,
        max_length=SEATS_PER_CUSTOMER_MAX,
    )

    def validate_seat_ids(self, seat_ids: list[int]) -> list[int]:
        if len(set(seat_ids)) != len(seat_ids):
            raise serializers.ValidationError(_("A seat is named twice."))
        return seat_ids


class BestAvailableRequest(serializers.Serializer[Any]):
    performance_id = StrictIntegerField(min_value=1)
    quantity = StrictIntegerField(min_value=1, max_value=SEATS_PER_CUSTOMER_MAX)
    grade = StrictChoiceField(Grade.values, required=False, allow_null=True, default=None)
    kind = StrictChoiceField(
        [SeatKind.WHEELCHAIR.value], required=False, allow_null=True, default=None
    )


class ReservationRequest(serializers.Serializer[Any]):
    hold_id = StrictUUIDField()


class ReservationQuery(serializers.Serializer[Any]):
    status = StrictChoiceField(Reservation.Status.values, required=False)


class SeatQuery(serializers.Serializer[Any]):
    section = StrictCharField(required=False, max_length=20)


# --- Performances and seats -------------------------------------------------------------------------------------------


class PerformanceSerializer(serializers.Serializer[PerformanceAvailability]):
    performance_id = serializers.IntegerField(source="performance.pk")
    starts_at = serializers.DateTimeField(source="performance.starts_at")
    ends_at = serializers.DateTimeField(source="performance.ends_at")
    seats_total = serializers.IntegerField()
    seats_available = serializers.IntegerField()
    reservable = serializers.BooleanField()
    called_off = serializers.BooleanField(source="performance.is_called_off")


class PerformancesSerializer(serializers.Serializer[Any]):
    items = PerformanceSerializer(many=True)


class SeatStateSerializer(serializers.Serializer[SeatState]):
    seat_id = serializers.IntegerField()
    section = serializers.CharField()
    row = serializers.CharField()
    number = serializers.IntegerField()
    grade = serializers.ChoiceField(Grade.values)
    price = serializers.IntegerField()
    status = serializers.ChoiceField([AVAILABLE, HELD, RESERVED])
    held_by_me = serializers.BooleanField()

    def to_representation(self, instance: SeatState) -> dict[str, Any]:
        # A hall has thousands of seats, and going through the fields takes ten times as long.
        return dict(zip(SeatState._fields, instance, strict=True))


class SeatsSerializer(serializers.Serializer[Any]):
    performance_id = serializers.IntegerField()
    concert_id = serializers.IntegerField()
    seats = SeatStateSerializer(many=True)


class MapSectionSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    x = serializers.IntegerField()
    y = serializers.IntegerField()


class MapGradeSerializer(serializers.Serializer[Any]):
    grade = serializers.ChoiceField(Grade.values)
    price = serializers.IntegerField()


@extend_schema_field(
    {
        "type": "array",
        "description": "seat_id, section, row, number, x, y, grade",
        "prefixItems": [
            {"type": "integer"},
            {"type": "string"},
            {"type": "string"},
            {"type": "integer"},
            {"type": "integer"},
            {"type": "integer"},
            {"type": "string", "enum": list(Grade.values)},
        ],
        "minItems": 7,
        "maxItems": 7,
    }
)
class MapSeatField(serializers.ListField):
    pass


class MapKindSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField([kind.value for kind in SeatKind if kind != SeatKind.STANDARD])
    seat_ids = serializers.ListField(child=serializers.IntegerField())


class SeatMapSerializer(serializers.Serializer[Any]):
    """Describes the answer; its bytes are rendered once and kept."""

    performance_id = serializers.IntegerField()
    sections = MapSectionSerializer(many=True)
    grades = MapGradeSerializer(many=True)
    seats = serializers.ListField(child=MapSeatField())
    kinds = MapKindSerializer(many=True)


class AvailabilitySerializer(serializers.Serializer[Any]):
    version = serializers.CharField()
    statuses = serializers.RegexField("^[AHR]*$")


# --- Holds and reservations -------------------------------------------------------------------------------------------


class ClaimedSeatSerializer(serializers.Serializer[SeatClaim | Ticket]):
    """A seat with the price that was agreed on, from a claim or a ticket."""

    seat_id = serializers.IntegerField()
    section = serializers.CharField(source="seat.section")
    row = serializers.CharField(source="seat.row")
    number = serializers.IntegerField(source="seat.number")
    grade = serializers.ChoiceField(Grade.values, source="seat.grade")
    price = serializers.IntegerField()


class HoldSerializer(serializers.Serializer[Hold]):
    hold_id = serializers.UUIDField(source="pk")
    performance_id = serializers.IntegerField()
    concert_id = serializers.IntegerField(source="performance.concert_id")
    seats = ClaimedSeatSerializer(source="claims.all", many=True)
    total_price = serializers.IntegerField()
    status = serializers.SerializerMethodField()
    expires_at = serializers.DateTimeField()
    extendable = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(Hold.Status.values))
    def get_status(self, hold: Hold) -> str:
        return Hold.Status.EXPIRED if hold.is_expired(timezone.now()) else hold.status

    def get_extendable(self, hold: Hold) -> bool:
        return hold.pk in extensions_of([hold], at=timezone.now())


class TicketSerializer(serializers.Serializer[Ticket]):
    ticket_id = serializers.UUIDField(source="pk")
    seat_id = serializers.IntegerField()
    code = serializers.CharField()


class HolderNoticeSerializer(serializers.Serializer[HolderNotice]):
    text = serializers.CharField(help_text="In your language, if there is a text in it.")
    sent_at = serializers.DateTimeField()


class SoldReservationSerializer(serializers.Serializer[Reservation]):
    """A reservation as paying for it answers."""

    reservation_id = serializers.UUIDField(source="pk")
    order_number = serializers.CharField()
    concert_id = serializers.IntegerField(source="performance.concert_id")
    title = serializers.CharField(source="performance.concert.title")
    venue = serializers.CharField(source="performance.concert.venue")
    performance_id = serializers.IntegerField()
    starts_at = serializers.DateTimeField(source="performance.starts_at")
    ends_at = serializers.DateTimeField(source="performance.ends_at")
    seats = ClaimedSeatSerializer(source="tickets.all", many=True)
    total_price = serializers.IntegerField()
    status = serializers.ChoiceField(Reservation.Status.values)
    reserved_at = serializers.DateTimeField()
    cancelled_at = serializers.DateTimeField(allow_null=True)
    tickets = TicketSerializer(source="tickets.all", many=True)


class ConfirmedReservationSerializer(SoldReservationSerializer):
    balance = serializers.IntegerField()


class CheckedTicketSerializer(TicketSerializer):
    """A ticket with what became of it. The reason is that of staff who cancelled it alone, else empty."""

    status = serializers.SerializerMethodField()
    cancel_reason = serializers.CharField()

    @extend_schema_field(serializers.ChoiceField(["VALID", "CANCELLED"]))
    def get_status(self, ticket: Ticket) -> str:
        is_valid = ticket.cancelled_at is None and ticket.reservation.status == (
            Reservation.Status.CONFIRMED
        )
        return "VALID" if is_valid else "CANCELLED"


class RefundSerializer(serializers.Serializer[LedgerTransaction]):
    """An amount that went back to the balance; the reason is that of staff, else empty."""

    amount = serializers.IntegerField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()


class ReservationListSerializer(serializers.ListSerializer[Reservation]):
    """Read the refunds of all reservations of a list in one query."""

    def to_representation(self, data: Any) -> Any:
        return super().to_representation(with_refunds(list(data)))


class ReservationSerializer(SoldReservationSerializer):
    """The same with what became of it since."""

    tickets = CheckedTicketSerializer(source="tickets.all", many=True)
    cancel_reason = serializers.CharField()
    called_off_reason = serializers.CharField(source="performance.called_off_reason")
    refunded_amount = serializers.IntegerField(source="refunded_to_customer")
    refunds = RefundSerializer(many=True)
    notices = HolderNoticeSerializer(
        many=True,
        help_text="What the box office tells those who have tickets, the oldest first, until the performance is over.",
    )

    class Meta:
        list_serializer_class = ReservationListSerializer


class CancellationSerializer(serializers.Serializer[Any]):
    reservation_id = serializers.UUIDField(source="reservation.pk")
    status = serializers.ChoiceField([Reservation.Status.CANCELLED], source="reservation.status")
    refunded_amount = serializers.IntegerField()
    balance = serializers.IntegerField()


# --- Answers of the sale ----------------------------------------------------------------------------------------------
# What the serializers above would give, written out from what a use case has at hand: nothing is read back, and going through
# the fields takes ten times as long.


def held_seats_data(held: HeldSeats) -> dict[str, Any]:
    """`HoldSerializer` of a hold that was made, extended or released a moment ago."""
    hold = held.hold
    return {
        "hold_id": str(hold.pk),
        "performance_id": hold.performance_id,
        "concert_id": held.concert_id,
        "seats": _seats_data(held.seats),
        "total_price": hold.total_price,
        "status": hold.status,
        "expires_at": _utc(hold.expires_at),
        "extendable": held.extendable,
    }


def confirmation_data(confirmation: Confirmation) -> dict[str, Any]:
    """`ConfirmedReservationSerializer` of a reservation that was made a moment ago."""
    reservation, hold = confirmation.reservation, confirmation.hold
    return {
        "reservation_id": str(reservation.pk),
        "order_number": reservation.order_number,
        "concert_id": hold.concert_id,
        "title": hold.title,
        "venue": hold.venue,
        "performance_id": reservation.performance_id,
        "starts_at": _utc(hold.starts_at),
        "ends_at": _utc(hold.ends_at),
        "seats": _seats_data(hold.seats),
        "total_price": reservation.total_price,
        "status": reservation.status,
        "reserved_at": _utc(reservation.reserved_at),
        "cancelled_at": None,
        "tickets": [
            {"ticket_id": str(ticket.pk), "seat_id": ticket.seat_id, "code": ticket.code}
            for ticket in confirmation.tickets
        ],
        "balance": confirmation.balance,
    }


def cancellation_data(cancellation: Cancellation) -> dict[str, Any]:
    """`CancellationSerializer`."""
    return {
        "reservation_id": str(cancellation.reservation.pk),
        "status": cancellation.reservation.status,
        "refunded_amount": cancellation.refunded_amount,
        "balance": cancellation.balance,
    }


def _seats_data(seats: Sequence[PricedSeat]) -> list[dict[str, Any]]:
    return [seat._asdict() for seat in seats]


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
