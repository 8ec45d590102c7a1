-- name: change_seats
-- Gives locked seats another place, grade, price or kind.
UPDATE concerts_seat
SET grade = change.grade, price = change.price, x = change.x, y = change.y, kind = change.kind
FROM unnest(
    %(seat_ids)s::bigint[], %(grades)s::text[], %(prices)s::integer[], %(xs)s::smallint[], %(ys)s::smallint[], %(kinds)s::text[]
) AS change (id, grade, price, x, y, kind)
WHERE concerts_seat.id = change.id;

-- name: keep_back
-- Puts locked seats into the categories of these codes. When one is released by itself stays planned if it only gets another reason.
INSERT INTO concerts_seatallocation AS allocation
    (seat_id, performance_id, category_id, reason, allocated_by_id, allocated_at, returns_on_refund)
SELECT change.id, %(performance_id)s, category.id, change.reason, %(staff_id)s::bigint, clock_timestamp(), category.returns_on_refund
FROM unnest(%(seat_ids)s::bigint[], %(codes)s::text[], %(reasons)s::text[]) AS change (id, code, reason)
JOIN concerts_inventorycategory category ON category.code = change.code
ON CONFLICT (seat_id) DO UPDATE
SET category_id = excluded.category_id, reason = excluded.reason, allocated_by_id = excluded.allocated_by_id,
    allocated_at = excluded.allocated_at, returns_on_refund = excluded.returns_on_refund,
    released_at = CASE WHEN allocation.category_id = excluded.category_id THEN allocation.released_at END;
