"""Check events: that each was recorded, delivered and ranked."""

from datetime import datetime, timedelta

from apps.concerts import ranking_store
from apps.concerts.services import ranking_drift
from apps.core.store import StoreUnavailable
from apps.ops.invariants.findings import Findings, breaches
from apps.ops.retention import EVENTS
from apps.outbox.consumers import DeliveryRefused
from apps.outbox.draining import MAX_ATTEMPTS
from apps.outbox.events import (
    CONSUMERS,
    RESERVATION_CANCELLED,
    RESERVATION_CONFIRMED,
    SEATS_CANCELLED,
)
from apps.outbox.models import EventDelivery

_TYPES = {
    "confirmed": RESERVATION_CONFIRMED,
    "cancelled": RESERVATION_CANCELLED,
    "seats_cancelled": SEATS_CANCELLED,
}

# From this moment on every event is there: none was purged, and none is left out because only what is recent is looked at.
_EVENTS_FROM = """
    SELECT greatest(max(reached_at), %(since)s::timestamptz, '-infinity') AS at
    FROM ops_jobprogress WHERE name = %(purge)s
"""

# What an event says is compared as text, whatever it says; its seats are in the order of their ids. A sale of which two events say
# different things is told of twice, each time too little. Events have the time of what they tell: by that are the cancellations of some
# seats of one reservation told apart.
_UNTOLD_RESERVATIONS = """
    WITH events AS MATERIALIZED ({events_from})
    SELECT format('reservation %%s (%%s): %%s told %%s times%%s', coalesce(sold.id::text, told.id), coalesce(sold.status, 'unknown'),
        coalesce(sold.type, told.type), coalesce(told.times, 0), ', with another ' || CASE
            WHEN sold.id IS NULL OR told.id IS NULL THEN NULL
            WHEN told.customer IS DISTINCT FROM sold.customer_id::text THEN 'customer'
            WHEN told.performance IS DISTINCT FROM sold.performance_id::text THEN 'performance'
            WHEN told.price IS DISTINCT FROM sold.price::text THEN 'price'
            WHEN told.seats IS DISTINCT FROM to_jsonb(sold.seats)
                OR told.seat_count IS DISTINCT FROM cardinality(sold.seats)::text THEN 'choice of seats'
        END)
    FROM (
        SELECT reservation.id, reservation.status, reservation.customer_id, reservation.performance_id,
            event.type, '-infinity'::timestamptz AS at, event.price, event.seats
        FROM reservations_reservation reservation
        LEFT JOIN (
            SELECT reservation_id, array_agg(seat_id ORDER BY seat_id) AS seats,
                array_agg(seat_id ORDER BY seat_id) FILTER (WHERE cancelled_at IS NULL) AS seats_left,
                coalesce(sum(price) FILTER (WHERE cancelled_at IS NOT NULL), 0) AS given_up
            FROM reservations_ticket
            WHERE {tickets}
            GROUP BY reservation_id
        ) tickets ON tickets.reservation_id = reservation.id
        CROSS JOIN LATERAL (VALUES
            (%(confirmed)s, reservation.reserved_at, reservation.total_price, tickets.seats),
            (%(cancelled)s, reservation.cancelled_at, reservation.total_price - coalesce(tickets.given_up, 0), tickets.seats_left)
        ) event (type, at, price, seats)
        WHERE {reservations} AND event.at >= (SELECT at FROM events)
        UNION ALL
        SELECT reservation.id, reservation.status, reservation.customer_id, reservation.performance_id,
            %(seats_cancelled)s, tickets.cancelled_at, tickets.price, tickets.seats
        FROM (
            SELECT reservation_id, cancelled_at, sum(price) AS price, array_agg(seat_id ORDER BY seat_id) AS seats
            FROM reservations_ticket
            WHERE cancelled_at >= (SELECT at FROM events) AND {tickets}
            GROUP BY reservation_id, cancelled_at
        ) tickets
        JOIN reservations_reservation reservation ON reservation.id = tickets.reservation_id
    ) sold
    FULL JOIN (
        SELECT coalesce(payload ->> 'reservation_id', 'of event ' || id) AS id,
            type,
            CASE type WHEN %(seats_cancelled)s THEN occurred_at ELSE '-infinity' END AS at,
            payload ->> 'customer_id' AS customer,
            payload ->> 'performance_id' AS performance,
            payload ->> 'total_price' AS price,
            payload ->> 'seat_count' AS seat_count,
            jsonb_path_query_array(payload, '$.seats[*].seat_id') AS seats,
            count(*) AS times
        FROM outbox_outboxevent
        WHERE type IN (%(confirmed)s, %(cancelled)s, %(seats_cancelled)s)
            AND occurred_at >= (SELECT at FROM events) AND {events}
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ) told ON told.id = sold.id::text AND told.type = sold.type AND told.at = sold.at
    WHERE sold.id IS NULL OR told.id IS NULL OR told.times <> 1
        OR told.customer IS DISTINCT FROM sold.customer_id::text
        OR told.performance IS DISTINCT FROM sold.performance_id::text
        OR told.price IS DISTINCT FROM sold.price::text
        OR told.seat_count IS DISTINCT FROM cardinality(sold.seats)::text
        OR told.seats IS DISTINCT FROM to_jsonb(sold.seats)
""".replace("{events_from}", _EVENTS_FROM)
_PURGED = {"purge": EVENTS.job}
_RECENT_RESERVATIONS = """
    SELECT id FROM reservations_reservation WHERE reserved_at >= %(since)s OR cancelled_at >= %(since)s
    UNION ALL
    SELECT reservation_id FROM reservations_ticket WHERE cancelled_at >= %(since)s
"""
_RECENT_EVENTS = "SELECT id FROM outbox_outboxevent WHERE occurred_at >= %(since)s"


def untold_reservations(since: datetime | None) -> Findings:
    return breaches(
        _UNTOLD_RESERVATIONS,
        _TYPES | _PURGED,
        since=since,
        reservations="reservation.id IN {recent}",
        tickets="reservation_id IN {recent}",
        events="occurred_at >= %(since)s",
        recent=_RECENT_RESERVATIONS,
    )


# Written with the event, so there is no time at which one may be missing.
_UNDELIVERED_EVENTS = """
    SELECT format('event %%s: no delivery to %%s', event.id, wanted.consumer)
    FROM outbox_outboxevent event
    JOIN unnest(%(consumers)s::text[], %(types)s::text[]) wanted (consumer, type) ON wanted.type = event.type
    LEFT JOIN outbox_eventdelivery delivery ON delivery.event_id = event.id AND delivery.consumer = wanted.consumer
    WHERE {events} AND delivery.id IS NULL
    UNION ALL
    SELECT format('event %%s: another delivery to %%s', event_id, consumer)
    FROM (
        SELECT event_id, consumer, row_number() OVER (PARTITION BY event_id, consumer) AS number
        FROM outbox_eventdelivery
        WHERE {deliveries}
    ) numbered
    WHERE number > 1
"""


def undelivered_events(since: datetime | None) -> Findings:
    wanted = [
        (consumer.name, type)
        for consumer in CONSUMERS.values()
        for type in sorted(consumer.event_types)
    ]
    found = breaches(
        _UNDELIVERED_EVENTS,
        {"consumers": [name for name, _ in wanted], "types": [type for _, type in wanted]},
        since=since,
        events="event.occurred_at >= %(since)s",
        deliveries="event_id IN {recent}",
        recent=_RECENT_EVENTS,
    )
    counts = {
        "pending": EventDelivery.objects.pending().count(),
        "dead": EventDelivery.objects.dead().count(),
    }
    return Findings(found.breaches, found.examples, counts)


# Beyond every wait between a relay's tick, a claim that lapsed and a batch that is slow.
_OVERDUE = timedelta(hours=1)
# The oldest for each consumer tells, by one look at the index. One that waits for the probe of an unhealthy receiver is due with it;
# after a recovery the backlog is due from then on.
_UNTRIED_DELIVERIES = """
    SELECT format('%%s: event %%s has been due since %%s, and is not tried', wanted.consumer, oldest.event_id, oldest.due_at)
    FROM unnest(%(consumers)s::text[]) wanted (consumer)
    LEFT JOIN outbox_receiver receiver ON receiver.consumer = wanted.consumer
    CROSS JOIN LATERAL (
        SELECT event_id, greatest(next_attempt_at, receiver.recovered_at, receiver.next_probe_at) AS due_at
        FROM outbox_eventdelivery delivery
        WHERE delivery.consumer = wanted.consumer AND status = 'PENDING'
        ORDER BY next_attempt_at LIMIT 1
    ) oldest
    WHERE oldest.due_at < statement_timestamp() - %(overdue)s::interval
    UNION ALL
    SELECT format('event %%s: given up by %%s after %%s attempts, though it was never refused', event_id, consumer, attempts)
    FROM outbox_eventdelivery delivery
    WHERE status = 'DEAD' AND attempts < %(attempts)s AND NOT starts_with(last_error, %(refused)s) AND {deliveries}
"""


def untried_deliveries(since: datetime | None) -> Findings:
    return breaches(
        _UNTRIED_DELIVERIES,
        {
            "consumers": [consumer.name for consumer in CONSUMERS.values()],
            "overdue": _OVERDUE,
            "attempts": MAX_ATTEMPTS,
            "refused": f"{DeliveryRefused.__name__}: ",
        },
        since=since,
        deliveries="event_id IN {recent}",
        recent=_RECENT_EVENTS,
    )


# As text, so that a payload of any kind can be compared.
_UNCOUNTED_EVENTS = """
    SELECT format('event %%s: delivered, but not in the ranking', delivery.event_id)
    FROM outbox_eventdelivery delivery
    LEFT JOIN concerts_rankingentry entry ON entry.event_id = delivery.event_id
    WHERE delivery.consumer = 'ranking' AND delivery.status = 'DONE' AND entry.event_id IS NULL AND {deliveries}
    UNION ALL
    SELECT format('event %%s: %%s', entry.event_id, CASE
        WHEN event.id IS NULL THEN 'in the ranking, but never happened'
        ELSE 'the ranking counted something else'
    END)
    FROM concerts_rankingentry entry
    LEFT JOIN outbox_outboxevent event ON event.id = entry.event_id
    WHERE {entries} AND (event.id IS NOT NULL OR entry.occurred_at >= ({events_from})) AND (
        entry.reservations IS DISTINCT FROM CASE event.type
            WHEN %(confirmed)s THEN 1 WHEN %(cancelled)s THEN -1 WHEN %(seats_cancelled)s THEN 0
        END
        OR sign(entry.seats) IS DISTINCT FROM CASE event.type WHEN %(confirmed)s THEN 1 ELSE -1 END
        OR abs(entry.seats)::text IS DISTINCT FROM event.payload ->> 'seat_count'
        OR entry.performance_id::text IS DISTINCT FROM event.payload ->> 'performance_id'
        OR entry.concert_id::text IS DISTINCT FROM event.payload ->> 'concert_id'
        OR entry.occurred_at <> event.occurred_at
    )
""".replace("{events_from}", _EVENTS_FROM)


def ranking_figures(since: datetime | None) -> Findings:
    found = breaches(
        _UNCOUNTED_EVENTS,
        _TYPES | _PURGED,
        since=since,
        deliveries="delivery.event_id IN {recent}",
        recent=_RECENT_EVENTS,
        # The day is a day before at most, and what the index begins with.
        entries="entry.day >= %(since)s::timestamptz::date - 1 AND entry.occurred_at >= %(since)s",
    )
    try:
        drift = [
            f"concert {drift.concert_id}, {drift.window}: shows {drift.projected}, recorded {drift.recorded}"
            for drift in ranking_drift(all_time=since is None)
        ]
        if not ranking_store.is_built():
            # Lost is no breach: readers are answered from the table until beat has rebuilt it.
            return Findings(found.breaches, found.examples, not_checked="not built")
    except StoreUnavailable:
        return Findings(found.breaches, found.examples, not_checked="store unavailable")
    return Findings(found.breaches + len(drift), [*found.examples, *drift])
