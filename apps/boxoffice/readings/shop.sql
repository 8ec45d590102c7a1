-- name: shop_days
-- Adds up what was sold since, by day at the venue: seats, won without what the house has given, reservations. (`OFFSET 0` keeps the planner
-- from reading all tickets there are.)
SELECT to_char(reservation.reserved_at AT TIME ZONE %(zone)s, 'YYYY-MM-DD'), reservation.reserved_at < statement_timestamp() - %(settling)s,
    sum(bought.seats), sum(reservation.total_price - coalesce(given.amount, 0))::bigint, count(*)
FROM reservations_reservation reservation
CROSS JOIN LATERAL (
    SELECT count(*) AS seats FROM reservations_ticket ticket WHERE ticket.reservation_id = reservation.id OFFSET 0
) bought
LEFT JOIN LATERAL (
    SELECT sum(amount) AS amount FROM payments_ledgertransaction WHERE reference = reservation.id AND type = 'COMP'
) given ON TRUE
WHERE reservation.reserved_at >= %(days_since)s
GROUP BY 1, 2;

-- name: shop_sales
-- Seats that were sold since and what was paid for them, by hour at the venue, concert and grade. What the house has given of a reservation is
-- taken from its tickets by their prices.
SELECT to_char(date_trunc('hour', reservation.reserved_at AT TIME ZONE %(zone)s), 'YYYY-MM-DD"T"HH24'), performance.concert_id,
    bought.grade, reservation.reserved_at < statement_timestamp() - %(settling)s, count(*),
    sum(round(bought.price * (1 - coalesce(given.amount, 0)::numeric / nullif(reservation.total_price, 0))))::bigint
FROM reservations_reservation reservation
JOIN concerts_performance performance ON performance.id = reservation.performance_id
CROSS JOIN LATERAL (
    SELECT ticket.price, (SELECT seat.grade FROM concerts_seat seat WHERE seat.id = ticket.seat_id) AS grade
    FROM reservations_ticket ticket WHERE ticket.reservation_id = reservation.id OFFSET 0
) bought
LEFT JOIN LATERAL (
    SELECT sum(amount) AS amount FROM payments_ledgertransaction WHERE reference = reservation.id AND type = 'COMP'
) given ON TRUE
WHERE reservation.reserved_at >= %(sales_since)s
GROUP BY 1, 2, 3, 4;

-- name: shop_refunds
-- Adds up what was given back since, by day at the venue: refunds, won without what the house got back of them.
SELECT to_char(created_at AT TIME ZONE %(zone)s, 'YYYY-MM-DD'), created_at < statement_timestamp() - %(settling)s,
    count(*) FILTER (WHERE type = 'REFUND'), sum(amount)
FROM payments_ledgertransaction
WHERE created_at >= %(refunds_since)s AND type IN ('REFUND', 'COMP_BACK')
GROUP BY 1, 2;

-- name: shop_holds_lost
-- Holds that ended since without a payment, by day.
SELECT to_char(ended_at AT TIME ZONE %(zone)s, 'YYYY-MM-DD'), ended_at < statement_timestamp() - %(settling)s, count(*)
FROM reservations_hold
WHERE status IN ('RELEASED', 'EXPIRED') AND ended_at >= %(holds_lost_since)s
GROUP BY 1, 2;

-- name: shop_dates
-- The next dates of published concerts, and how much of each is sold.
SELECT performance.id, performance.starts_at, performance.seats_unblocked, performance.seats_sold, concert.id, concert.title
FROM concerts_performance performance
JOIN concerts_concert concert ON concert.id = performance.concert_id
WHERE performance.starts_at > statement_timestamp() AND concert.is_published AND concert.sales_open_at <= statement_timestamp()
ORDER BY performance.starts_at, performance.id
LIMIT %(dates_max)s;

-- name: shop_opening
-- Concerts whose sales open within a week.
SELECT id, title, sales_open_at
FROM concerts_concert
WHERE is_published AND sales_open_at > statement_timestamp() AND sales_open_at < statement_timestamp() + interval '7 days'
ORDER BY sales_open_at, id
LIMIT %(rooms_max)s;

-- name: shop_rooms
-- Waiting rooms with visitors in them, and those that are paused.
SELECT room.id, room.state, concert.id, concert.title
FROM queue_waitingroom room
JOIN concerts_concert concert ON concert.id = room.concert_id
WHERE room.activity <> 'RETIRED' AND (room.activity = 'AWAKE' OR room.state = 'PAUSED')
ORDER BY room.state = 'PAUSED' DESC, room.id
LIMIT %(rooms_max)s;

-- name: shop_titles
-- The titles of some concerts.
SELECT id, title FROM concerts_concert WHERE id = ANY (%(concert_ids)s::bigint[]);

-- name: shop_moment
-- The moment of this reading.
SELECT statement_timestamp();
