"""Let seats that were sold and are given back return to where they came from, whichever statement ends the claims on them."""

import pgtrigger

# A seat that was sold from a category of the inventory is still allocated to it, so most have nothing to do but to become free. Of a customer
# who is moved, the seats that stay are claimed again in the same transaction; the move itself returns the others.
_RETURN = """
    DELETE FROM concerts_seatallocation allocation
    USING ended
    JOIN before ON before.id = ended.id AND before.ended_at IS NULL
    JOIN reservations_hold hold ON hold.id = ended.hold_id AND hold.status = 'CONFIRMED'
    WHERE ended.ended_at IS NOT NULL AND allocation.seat_id = ended.seat_id AND NOT allocation.returns_on_refund
      AND NOT EXISTS (
          SELECT FROM reservations_reservation reservation
          WHERE reservation.hold_id = hold.id AND reservation.moved_to_id IS NOT NULL
      );
    RETURN NULL;
"""


def sold_seat_returns() -> pgtrigger.Trigger:
    """End the allocation of a seat that was sold, is given up, and was allocated until then only."""
    return pgtrigger.Trigger(
        name="return_seats",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Update,
        referencing=pgtrigger.Referencing(old="before", new="ended"),  # type: ignore[no-untyped-call]
        func=_RETURN,
    )
