-- Reads the row of a waiting room for a visitor who joins.

-- name: schedule_tick_now
-- Make the room due now and from now on, unless its next tick is near anyway. Before the opening every join says so: positions are
-- secret then.
UPDATE queue_waitingroom SET activity = 'AWAKE', next_tick_at = statement_timestamp()
WHERE concert_id = %(concert_id)s AND (activity <> 'AWAKE' OR next_tick_at > statement_timestamp() + %(tick)s)
