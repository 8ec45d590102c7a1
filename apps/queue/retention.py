from apps.shared.retention import Retention

# Only of generations that are over, because a room was closed or its concert ended: a token of the present one is good for
# as long as no end of its visit is on record. Each generation of each room is one look into an index (`OFFSET 0` keeps the
# planner from reading all exits instead).
QUEUE_EXITS = Retention(
    name="queue_exits",
    setting="QUEUE_EXIT_RETENTION",
    old="""
        SELECT old.id FROM queue_waitingroom room
        CROSS JOIN LATERAL generate_series(1, room.generation - 1) generation
        CROSS JOIN LATERAL (
            SELECT id FROM queue_queueexit
            WHERE concert_id = room.concert_id AND queue_queueexit.generation = generation.generation
              AND ended_at < %(before)s
            OFFSET 0
        ) old
    """,
    tables=(("queue_queueexit", "id"),),
)
