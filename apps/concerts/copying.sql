-- name: copy_allocations
-- Keeps the seats of a new date back that the date which it was made of keeps back; triggers note and count them. When those are released
-- by themselves is a moment of the other date.
INSERT INTO concerts_seatallocation
    (seat_id, performance_id, category_id, reason, allocated_by_id, allocated_at, returns_on_refund)
SELECT copy.id, copy.performance_id, kept.category_id, kept.reason, kept.allocated_by_id, statement_timestamp(), kept.returns_on_refund
FROM concerts_seatallocation kept
JOIN concerts_seat seat ON seat.id = kept.seat_id
JOIN concerts_seat copy ON copy.performance_id = %(target_id)s
    AND copy.section = seat.section AND copy.row = seat.row AND copy.number = seat.number
WHERE kept.performance_id = %(source_id)s
RETURNING seat_id;
