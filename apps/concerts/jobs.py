"""Jobs of staff about concerts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.boxoffice.base.jobs.kinds import Parameters
from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.words import at_venue
from apps.concerts.inventory import (
    RELEASE_SEATS,
    Refusal,
    SeatChanges,
    allocate_seats,
    names_of,
    release_seats,
)
from apps.concerts.job_dates import AboutDate, date_in_words
from apps.concerts.models import SeatAllocation

CHUNK = 100  # seats of one row of the job


class ReleaseSeats(AboutDate):
    """Put more seats on sale to the public than one person may, at once or at a set time; a row is a hundred of them."""

    name = RELEASE_SEATS
    label = _("Put kept seats on sale")
    permission = "concerts.change_seatallocation"

    def title(self, parameters: Parameters) -> str:
        count = len(parameters["seat_ids"])
        words = ngettext("Put %(count)s seat on sale", "Put %(count)s seats on sale", count)
        return f"{words % {'count': f'{count:,}'}} · {date_in_words(parameters)}"

    def preview(self, parameters: Parameters) -> Sequence[tuple[str, str]]:
        kept = SeatAllocation.objects.filter(seat__in=parameters["seat_ids"]).select_related(
            "category"
        )
        counts: dict[str, int] = {}
        for allocation in kept:
            name = str(allocation.category)
            counts[name] = counts.get(name, 0) + 1
        released_at = _released_at(parameters)
        return [
            *((name, f"{count:,}") for name, count in counts.items()),
            (gettext("seats"), names_of(parameters["seat_ids"])),
            *([(gettext("on sale from"), at_venue(released_at))] if released_at else []),
        ]

    def total(self, parameters: Parameters) -> int:
        return -(-len(parameters["seat_ids"]) // CHUNK)

    def subjects(self, parameters: Parameters, *, after: str, limit: int) -> Sequence[str]:
        first = int(after) if after else 0
        last = min(first + limit, self.total(parameters))
        return [f"{number:05}" for number in range(first + 1, last + 1)]

    def apply(self, subject: str, job: StaffJob) -> str:
        parameters: dict[str, Any] = job.parameters
        start = (int(subject) - 1) * CHUNK
        asked: dict[str, Any] = {
            "performance_id": parameters["performance_id"],
            "seat_ids": parameters["seat_ids"][start : start + CHUNK],
            "reason": job.reason,
            "staff_id": job.requested_by_id,
        }
        if released_at := _released_at(parameters):
            category_id = parameters["category_id"]
            changes = allocate_seats.step(**asked, category_id=category_id, released_at=released_at)
        else:
            changes = release_seats.step(**asked)
        return " ".join([changed_words(changes), *refused_words(changes)])


def changed_words(changes: SeatChanges) -> str:
    count = len(changes.applied)
    words = ngettext("%(count)s seat changed.", "%(count)s seats changed.", count)
    return words % {"count": f"{count:,}"}


def refused_words(changes: SeatChanges) -> list[str]:
    """Name the seats that were left as they are, in a sentence for each reason."""
    by_reason: dict[Refusal, list[int]] = {}
    for seat_id in sorted(changes.refused):
        by_reason.setdefault(changes.refused[seat_id], []).append(seat_id)
    return [
        gettext("Not changed, %(reason)s (%(count)s): %(seats)s.")
        % {
            "reason": reason.label,
            "count": f"{len(seat_ids):,}",
            "seats": names_of(seat_ids) or ", ".join(map(str, seat_ids[:10])),
        }
        for reason, seat_ids in by_reason.items()
    ]


def _released_at(parameters: Parameters) -> datetime | None:
    """Return when the seats go on sale, which jobs that put them there at once do not say."""
    moment = parameters.get("released_at")
    return datetime.fromisoformat(moment) if moment else None
