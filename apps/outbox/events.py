"""Every event that is recorded, and every consumer that wants some of them.

Consumers are named by their dotted path, because the apps that have the effects stand above this one.
"""

from typing import TypedDict

from apps.outbox.consumers import Consumer

RESERVATION_CONFIRMED = "reservation.confirmed"
RESERVATION_CANCELLED = "reservation.cancelled"
SEATS_CANCELLED = "reservation.seats_cancelled"
PERFORMANCE_RESCHEDULED = "performance.rescheduled"
PERFORMANCE_CALLED_OFF = "performance.called_off"


class SoldSeat(TypedDict):
    """A seat with the price in won that was agreed on."""

    seat_id: int
    section: str
    row: str
    number: int
    grade: str
    price: int


class ReservationPayload(TypedDict):
    """Describe a sale, its cancellation or that of some of its seats. Prices in won, times in ISO 8601.

    A cancellation tells of the seats that were given up by it: not of those that had been given up before.

    `request_id` is that of the call that is being answered, by which its consequences can be traced.
    """

    reservation_id: str
    concert_id: int
    performance_id: int
    customer_id: int
    seats: list[SoldSeat]
    seat_count: int
    total_price: int
    occurred_at: str
    queue_slot: int | None
    queue_generation: int | None
    request_id: str | None


CONSUMERS = {
    consumer.name: consumer
    for consumer in (
        Consumer(
            name="ranking",
            event_types=frozenset({RESERVATION_CONFIRMED, RESERVATION_CANCELLED, SEATS_CANCELLED}),
            effect="apps.concerts.services.update_ranking",
        ),
        Consumer(
            name="token_expiry",
            event_types=frozenset({RESERVATION_CONFIRMED}),
            effect="apps.queue.services.finish_paid_visits",
        ),
        Consumer(
            name="external_sync",
            event_types=frozenset(
                {
                    RESERVATION_CONFIRMED,
                    RESERVATION_CANCELLED,
                    SEATS_CANCELLED,
                    PERFORMANCE_RESCHEDULED,
                    PERFORMANCE_CALLED_OFF,
                }
            ),
            effect="apps.reservations.services.sync_all_externally",
            is_outside=True,
        ),
    )
}


def consumers_of(type: str) -> list[str]:
    """Return the names of the consumers that are owed a delivery of each event of this type."""
    return [name for name, consumer in CONSUMERS.items() if type in consumer.event_types]
