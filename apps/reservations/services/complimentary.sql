-- name: lock_giver
-- Lets the complimentary sales of one member of staff come one after the other, so that each counts those before it.
SELECT pg_advisory_xact_lock(hashtextextended('giver ' || %(staff_id)s::text, 0));

-- name: given_lately
-- Counts the tickets of a concert that a member of staff has given within a day and that still stand; a price that the house has waived in part is none.
SELECT count(*)
FROM payments_ledgertransaction given
JOIN reservations_reservation sold ON sold.id = given.reference AND sold.total_price = given.amount
JOIN concerts_performance performance ON performance.id = sold.performance_id
JOIN reservations_ticket ticket ON ticket.reservation_id = sold.id
WHERE given.type = 'COMP' AND given.adjusted_by_id = %(staff_id)s
  AND given.created_at > clock_timestamp() - interval '1 day'
  AND performance.concert_id = %(concert_id)s
  AND sold.status = 'CONFIRMED' AND ticket.cancelled_at IS NULL;
