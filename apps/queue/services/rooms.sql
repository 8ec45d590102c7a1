-- What a visitor who joins asks of the row of the waiting room.

-- name: wake
-- Make the room due now, unless its next tick is near anyway. Before the opening every join says so: positions are secret then.
UPDATE queue_waitingroom SET next_tick_at = statement_timestamp()
WHERE concert_id = %(concert_id)s AND next_tick_at > statement_timestamp() + %(tick)s
