-- name: time_and_number
-- The time after the last lock, and the number of the order, of which the answer tells before the row is written. A refusal leaves a gap.
SELECT clock_timestamp(), nextval('reservations_order_number');

-- name: confirm
-- Turns a locked hold into a reservation with a ticket for each of its seats.
WITH hold AS (
    UPDATE reservations_hold SET status = 'CONFIRMED', ended_at = %(at)s WHERE id = %(hold_id)s
), reservation AS (
    INSERT INTO reservations_reservation
        (id, number, hold_id, customer_id, performance_id, status, total_price, reserved_at)
    VALUES (
        %(reservation_id)s, %(number)s, %(hold_id)s, %(customer_id)s, %(performance_id)s, 'CONFIRMED',
        %(total_price)s, %(at)s
    )
)
INSERT INTO reservations_ticket (id, reservation_id, seat_id, price, code)
SELECT ticket.id, %(reservation_id)s, ticket.seat_id, ticket.price, ticket.code
FROM unnest(%(ticket_ids)s::uuid[], %(seat_ids)s::bigint[], %(prices)s::integer[], %(codes)s::text[])
    AS ticket (id, seat_id, price, code);
