from apps.shared.retention import Retention

# Only of generations that are over, because a room was closed or its concert ended: a token of the present one is good for
# as long as no end of its visit is on record. The generations of which there are exits are found by leaps from one to the next
# in the index, each of which shows the oldest exit as well: rooms whose exits are gone cost nothing. (A loose index scan; see
# https://wiki.postgresql.org/wiki/Loose_indexscan. `OFFSET 0` keeps the planner from reading all exits instead.)
QUEUE_EXITS = Retention(
    name="queue_exits",
    setting="QUEUE_EXIT_RETENTION",
    old="""
        WITH RECURSIVE visited AS (
            (
                SELECT concert_id, generation, ended_at FROM queue_queueexit
                ORDER BY concert_id, generation, ended_at LIMIT 1
            )
            UNION ALL
            SELECT following.* FROM visited CROSS JOIN LATERAL (
                SELECT concert_id, generation, ended_at FROM queue_queueexit
                WHERE (concert_id, generation) > (visited.concert_id, visited.generation)
                ORDER BY concert_id, generation, ended_at LIMIT 1
            ) following
        )
        SELECT old.id FROM visited
        JOIN queue_waitingroom room
            ON room.concert_id = visited.concert_id AND room.generation > visited.generation
        CROSS JOIN LATERAL (
            SELECT id FROM queue_queueexit
            WHERE concert_id = visited.concert_id AND generation = visited.generation
              AND ended_at < %(before)s
            OFFSET 0
        ) old
        WHERE visited.ended_at < %(before)s
    """,
    tables=(("queue_queueexit", "id"),),
)
