"""Keep the fact on a seat that it is not for the public, whichever program allocates seats.

`Seat.is_blocked` repeats that there is an allocation, so that what sells seats reads one row for each. The triggers on allocations write
it, and the count of the performance along with it; the guards refuse every other way.
"""

import pgtrigger

_KEEP_BACK = """
    WITH changed AS (
        UPDATE concerts_seat seat SET is_blocked = TRUE
        FROM added
        WHERE seat.id = added.seat_id AND NOT seat.is_blocked
        RETURNING seat.performance_id
    )
    UPDATE concerts_performance performance SET seats_unblocked = seats_unblocked - counted.seats
    FROM (SELECT performance_id, count(*) AS seats FROM changed GROUP BY performance_id) counted
    WHERE performance.id = counted.performance_id;
    RETURN NULL;
"""

_OPEN = """
    WITH changed AS (
        UPDATE concerts_seat seat SET is_blocked = FALSE
        FROM removed
        WHERE seat.id = removed.seat_id AND seat.is_blocked
        RETURNING seat.performance_id
    )
    UPDATE concerts_performance performance SET seats_unblocked = seats_unblocked + counted.seats
    FROM (SELECT performance_id, count(*) AS seats FROM changed GROUP BY performance_id) counted
    WHERE performance.id = counted.performance_id;
    RETURN NULL;
"""

_REFUSE = """
    RAISE EXCEPTION 'Seat % is kept back by an allocation, and by nothing else.', NEW.id
        USING ERRCODE = 'integrity_constraint_violation';
"""


def allocation_keeps_seat_back() -> pgtrigger.Trigger:
    """Note on the seats of new allocations that they are not for the public, and count them."""
    return pgtrigger.Trigger(
        name="keep_back",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        referencing=pgtrigger.Referencing(new="added"),  # type: ignore[no-untyped-call]
        func=_KEEP_BACK,
    )


def end_of_allocation_opens_seat() -> pgtrigger.Trigger:
    """Note on the seats of deleted allocations that they are for the public again, and count them."""
    return pgtrigger.Trigger(
        name="open",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Delete,
        referencing=pgtrigger.Referencing(old="removed"),  # type: ignore[no-untyped-call]
        func=_OPEN,
    )


def new_seat_is_for_the_public() -> pgtrigger.Trigger:
    return pgtrigger.Trigger(
        name="new_seat_is_open",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        condition=pgtrigger.Condition("NEW.is_blocked"),
        func=_REFUSE,
    )


def seat_is_kept_back_by_allocation() -> pgtrigger.Trigger:
    """Refuse to change `is_blocked` in any other way than by the triggers of allocations."""
    return pgtrigger.Trigger(
        name="blocked_by_allocation",
        when=pgtrigger.Before,
        operation=pgtrigger.UpdateOf("is_blocked"),  # type: ignore[no-untyped-call]
        condition=pgtrigger.Condition(
            "OLD.is_blocked IS DISTINCT FROM NEW.is_blocked AND pg_trigger_depth() = 0"
        ),
        func=_REFUSE,
    )
