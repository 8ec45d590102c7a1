"""List the tables whose old rows are not needed for ever: which rows, and for how long they are kept."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Retention:
    """Describe a table whose old rows may go.

    `old` selects the keys of the rows that were over before `%(before)s`, from something called `old`. `tables` are what is
    deleted for such a key, each with the column that holds it: what depends on the rows first, the rows themselves last.
    `setting` names the span for which they are kept.
    """

    name: str
    setting: str
    old: str
    tables: tuple[tuple[str, str], ...]

    @property
    def keep(self) -> timedelta:
        span: timedelta = getattr(settings, self.setting)
        return span

    @property
    def job(self) -> str:
        """Return the name under which the progress is recorded."""
        return f"purge {self.name}"


def _by_age(name: str, setting: str, table: str, column: str, *, key: str = "id") -> Retention:
    """Return the retention of a table whose rows are over by `column` alone."""
    old = f"SELECT old.{key} FROM {table} old WHERE old.{column} < %(before)s ORDER BY old.{column}"  # noqa: S608
    return Retention(name, setting, old, tables=((table, key),))


# An event that is DEAD for a consumer, or pending, stays; so does one that was forgotten, which is a breach. The sum over the
# deliveries of one event cannot be turned into a join with all of them.
EVENTS = Retention(
    name="events",
    setting="EVENT_RETENTION",
    old="""
        SELECT old.id FROM outbox_outboxevent old
        WHERE old.occurred_at < %(before)s
          AND (SELECT bool_and(status = 'DONE') FROM outbox_eventdelivery WHERE event_id = old.id)
        ORDER BY old.occurred_at
    """,
    tables=(("outbox_eventdelivery", "event_id"), ("outbox_outboxevent", "id")),
)
IDEMPOTENCY_RECORDS = _by_age(
    "idempotency_records", "IDEMPOTENCY_RETENTION", "api_idempotencyrecord", "created_at"
)
# The history of the administration. What it says of money, rooms and sales is in their own tables, which stay.
ADMIN_LOG = _by_age("admin_log", "ADMIN_LOG_RETENTION", "django_admin_log", "action_time")
SESSIONS = _by_age(
    "sessions", "SESSION_RETENTION", "django_session", "expire_date", key="session_key"
)
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
# Holds that ended without a payment, with their claims. One with a claim that is still open, or with a reservation, is a
# breach and stays as the proof of it.
HOLDS = Retention(
    name="unpaid_holds",
    setting="UNPAID_HOLD_RETENTION",
    old="""
        SELECT old.id FROM reservations_hold old
        WHERE old.status IN ('RELEASED', 'EXPIRED') AND old.ended_at < %(before)s
          AND (SELECT count(*) FILTER (WHERE ended_at IS NULL) FROM reservations_seatclaim WHERE hold_id = old.id) = 0
          AND (SELECT count(*) FROM reservations_reservation WHERE hold_id = old.id) = 0
        ORDER BY old.ended_at
    """,
    tables=(("reservations_seatclaim", "hold_id"), ("reservations_hold", "id")),
)
ACCESS_TOKENS = Retention(
    name="access_tokens",
    setting="ACCESS_TOKEN_RETENTION",
    old="""
        SELECT old.id FROM accounts_accesstoken old
        WHERE old.expires_at <= %(before)s
        ORDER BY old.expires_at, old.id
    """,
    tables=(("accounts_accesstoken", "id"),),
)

RETENTIONS = tuple(
    sorted(
        (ACCESS_TOKENS, ADMIN_LOG, EVENTS, HOLDS, IDEMPOTENCY_RECORDS, QUEUE_EXITS, SESSIONS),
        key=lambda retention: retention.name,
    )
)
