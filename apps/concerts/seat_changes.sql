-- name: change_seats
-- Gives locked seats another place, grade or price.
UPDATE concerts_seat
SET grade = change.grade, price = change.price, x = change.x, y = change.y
FROM unnest(
    %(seat_ids)s::bigint[], %(grades)s::text[], %(prices)s::integer[], %(xs)s::smallint[], %(ys)s::smallint[]
) AS change (id, grade, price, x, y)
WHERE concerts_seat.id = change.id;
