-- name: find_sale_to_move
-- Says which hold a reservation came from, whose it is and of which seats, before anything is locked: none of that ever changes.
SELECT hold_id, customer_id, performance_id, number, ARRAY(SELECT seat_id FROM reservations_seatclaim claim WHERE claim.hold_id = reservation.hold_id)
FROM reservations_reservation reservation
WHERE id = %(reservation_id)s;

-- name: lock_holds_of_move
-- The hold of the reservation as `lock_hold` has it, and overdue ones that are in the way of the new seats, in one order.
SELECT hold.id, hold.status, hold.total_price, hold.seat_limit, hold.queue_slot, hold.queue_generation,
    hold.held_at, least(hold.expires_at, performance.called_off_at), hold.extended_at, hold.performance_id, performance.concert_id,
    performance.starts_at, performance.ends_at, concert.title, concert.venue
FROM reservations_hold hold
JOIN concerts_performance performance ON performance.id = hold.performance_id
JOIN concerts_concert concert ON concert.id = performance.concert_id
WHERE hold.id = ANY (%(hold_ids)s::uuid[])
ORDER BY hold.id
FOR NO KEY UPDATE OF hold;

-- name: lock_performances_of_move
-- The old one and the new one, in one order: seats that are given up may change the counts of the old one, and staff who call the new one off
-- wait, or are waited for, as by a sale at the counter.
SELECT id = %(performance_id)s AND called_off_at IS NOT NULL
FROM concerts_performance
WHERE id IN (%(old_performance_id)s, %(performance_id)s)
ORDER BY id
FOR NO KEY UPDATE;

-- name: read_sale_to_move
-- The reservation under the lock on its hold, and if a seat of it was given up.
SELECT status, total_price, contact, EXISTS (
    SELECT FROM reservations_seatclaim claim WHERE claim.hold_id = reservation.hold_id AND claim.ended_at IS NOT NULL
)
FROM reservations_reservation reservation
WHERE id = %(reservation_id)s;

-- name: give_up
-- Cancels the old reservation in favour of the new one, and ends the claims on its seats.
WITH reservation AS (
    UPDATE reservations_reservation
    SET status = 'CANCELLED', cancelled_at = %(at)s, moved_to_id = %(moved_to)s
    WHERE id = %(reservation_id)s
)
UPDATE reservations_seatclaim SET ended_at = %(at)s WHERE hold_id = %(hold_id)s AND ended_at IS NULL;

-- name: return_seats
-- Puts those seats on sale to the public that the customer has left, and that were kept back until they were sold only. Comes after the
-- claims of the new reservation, so that seats which stay are passed over.
DELETE FROM concerts_seatallocation allocation
USING reservations_seatclaim left_behind
WHERE left_behind.hold_id = %(hold_id)s AND allocation.seat_id = left_behind.seat_id AND NOT allocation.returns_on_refund
  AND NOT EXISTS (
      SELECT FROM reservations_seatclaim claim WHERE claim.seat_id = left_behind.seat_id AND claim.ended_at IS NULL
  );
