"""Show concerts to the public, and take them offline: one place for the form, the list, the button and the command.

Other apps stand above this one and are concerned all the same: visitors wait for a concert, customers hold seats of it. They
register what they know of that, and what they have to do in the same transaction.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypedDict, Unpack

import structlog
from django.utils.translation import gettext, ngettext

from apps.concerts.errors import ConcertNotFound
from apps.concerts.models import Concert, Performance
from apps.core.history import note
from apps.core.transactions import database_now, requires_transaction, use_case

logger = structlog.get_logger(__name__)


class By(TypedDict, total=False):
    """Name the one who decides, and the reason. `actor` stands for one without an account."""

    staff_id: int | None
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Publication:
    """A concert that was just published or taken offline, at a moment of the database's clock."""

    concert_id: int
    is_published: bool
    at: datetime
    by: By


class Follower(NamedTuple):
    """Register an app that follows when a concert is taken offline or published again.

    `stakes` says in sentences what of a concert is under way, and what will become of it; `follow` does what has to be done when it is
    taken offline or published, in the transaction of that.
    """

    stakes: Callable[[int], Iterable[str]]
    follow: Callable[[Publication], None] | None = None


_followers: dict[str, Follower] = {}


def register_follower(name: str, follower: Follower) -> None:
    """Make a follower known; called by each app when Django starts."""
    _followers[name] = follower


@use_case
def publish_concert(*, concert_id: int, **by: Unpack[By]) -> bool:
    """Show a concert to the public, and sell it in its sales window. Visitors who have waited meanwhile go on.

    Returns False if it was published already.

    :raises ConcertNotFound: there is none.
    """
    return set_publication(concert_id, True, by)


@use_case
def withdraw_concert(*, concert_id: int, **by: Unpack[By]) -> bool:
    """Take a concert offline: hidden from the public, and nothing more of it is sold.

    Who has a place in its waiting room keeps it, reads the reason and goes on when the concert is published again. A hold that is
    live may be paid until it expires, and what was sold stays sold. Returns False if it was offline already.

    :raises ConcertNotFound: there is none.
    """
    return set_publication(concert_id, False, by)


@requires_transaction
def set_publication(concert_id: int, is_published: bool, by: By) -> bool:
    """Change it within the step of `publish_concert` and `withdraw_concert`. What an account does stands in the history of the concert."""
    concert = Concert.objects.lock().filter(pk=concert_id).first()
    if concert is None:
        raise ConcertNotFound
    if concert.is_published == is_published:
        return False
    concert.is_published = is_published
    concert.save(update_fields=["is_published"])
    publication = Publication(concert_id, is_published, database_now(), by)
    for follower in _followers.values():
        if follower.follow is not None:
            follower.follow(publication)
    if staff_id := by.get("staff_id"):
        note([concert], _in_words(is_published, by), staff_id=staff_id)
    logger.info("concert_published" if is_published else "concert_withdrawn", concert_id=concert_id)
    return True


def _in_words(is_published: bool, by: By) -> str:
    done = gettext("Published.") if is_published else gettext("Taken offline.")
    return f"{done} {by.get('reason', '')}".strip()


def stakes_of(concert_id: int) -> list[str]:
    """Say in sentences what a concert that is taken offline leaves behind. May ask the store of the waiting rooms."""
    sold = sum(Performance.objects.of_concert(concert_id).values_list("seats_sold", flat=True))
    found = [
        sentence for follower in _followers.values() for sentence in follower.stakes(concert_id)
    ]
    if sold > 0:
        found.append(
            ngettext(
                "%(count)s ticket is sold; it stays valid.",
                "%(count)s tickets are sold; they stay valid.",
                sold,
            )
            % {"count": f"{sold:,}"}
        )
    return found
