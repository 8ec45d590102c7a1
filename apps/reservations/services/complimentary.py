"""Bound how many complimentary tickets one member of staff gives alone."""

from pathlib import Path

from apps.core.database import fetch_pipelined, load_statements
from apps.core.transactions import requires_transaction

SQL = load_statements(Path(__file__).with_suffix(".sql"))

COMPS_ALONE_MAX = 4  # of one concert, by one member of staff, within a day


@requires_transaction
def may_give_alone(*, staff_id: int, concert_id: int, tickets: int) -> bool:
    """Tell whether a member of staff may give so many more tickets of a concert without a second person.

    Holds back other complimentary sales of the same member of staff until the end of the transaction, in which the tickets are given. Call it
    before anything else is locked.
    """
    giver = {"staff_id": staff_id}
    _, [(given,)] = fetch_pipelined(
        [
            (SQL["lock_giver"], giver),
            (SQL["given_lately"], {**giver, "concert_id": concert_id}),
        ]
    )
    return int(given) + tickets <= COMPS_ALONE_MAX
