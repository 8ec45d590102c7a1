-- name: performance
-- A performance of a published concert, with the concert, as `Performance` and `Concert` have them.
SELECT performance.id, performance.concert_id, performance.starts_at, performance.seat_map_version,
    performance.sold_out_at,
    concert.id, concert.title, concert.artist, concert.venue, concert.description, concert.sales_open_at,
    concert.sales_close_at, concert.seats_per_customer, concert.unpaid_seats_max, concert.single_seats,
    concert.is_published, concert.created_at
FROM concerts_performance performance
JOIN concerts_concert concert ON concert.id = performance.concert_id
WHERE performance.id = %(performance_id)s AND concert.is_published;

-- name: concert_of_hold
SELECT performance.concert_id
FROM reservations_hold hold
JOIN concerts_performance performance ON performance.id = hold.performance_id
WHERE hold.id = %(hold_id)s AND hold.customer_id = %(customer_id)s;
