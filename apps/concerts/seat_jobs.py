"""Changes of so many seats that staff should not wait for the page: carried out in the background, all at once."""

from collections.abc import Sequence
from functools import partial

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.boxoffice.base.jobs.kinds import Parameters, SingleStep
from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.jobs.progress import report_progress
from apps.concerts.errors import SeatMapChanged, SeatMapRefused
from apps.concerts.inventory import ReleaseNeedsApproval
from apps.concerts.job_dates import AboutDate, date_in_words
from apps.concerts.models import Performance, SeatMapDraft
from apps.concerts.plans import unpack_plan
from apps.concerts.seat_change_words import in_history, refusals, summary
from apps.concerts.seat_changes import change_seats
from apps.core.history import note


class ChangeSeats(AboutDate, SingleStep):
    """Apply a draft whose changes staff have looked at."""

    name = "change_seats"
    label = gettext_lazy("Change seats")
    permission = "concerts.change_seat"
    date_parameter = "performance"

    def title(self, parameters: Parameters) -> str:
        return f"{self.label} · {date_in_words(parameters)}"

    def preview(self, parameters: Parameters) -> Sequence[tuple[str, str]]:
        return [
            (_("Source"), parameters["source"]),
            (_("Seats to be changed"), f"{parameters['seats']:,}"),
        ]

    def needs_second_person(self, parameters: Parameters) -> bool:
        return False

    def apply(self, subject: str, job: StaffJob) -> str:
        performance_id = job.parameters["performance"]
        drafts = SeatMapDraft.objects.filter(performance=performance_id)
        draft = drafts.filter(pk=job.parameters["draft"]).first()
        if draft is None:
            raise SeatMapChanged(_("This draft was applied or discarded before."))
        progress = partial(report_progress, job.pk, total=job.parameters["seats"])
        progress(0)
        try:
            changes = change_seats.step(
                performance_id=performance_id,
                seats=unpack_plan(draft.plan),
                removes_missing=draft.removes_missing,
                seat_map_version=job.parameters["seat_map_version"],
                kept_back=job.parameters.get("kept_back"),
                staff_id=job.requested_by_id,
                reason=job.reason,
                is_alone=job.decided_by_id is None,
                progress=progress,
            )
        except ReleaseNeedsApproval:
            words = _("More kept seats were put on sale in the meantime: apply the draft again.")
            raise SeatMapRefused(words) from None
        draft.delete()
        if changes:
            words = in_history(changes, draft.source)
            note([Performance(pk=performance_id)], words, staff_id=job.requested_by_id)
        return " ".join([summary(changes), *refusals(changes)])


class ChangeSeatsAndRelease(ChangeSeats):
    """Apply a draft that puts more seats on sale to the public than one person may."""

    name = "change_seats_and_release"
    label = gettext_lazy("Change seats and put kept seats on sale")
    permission = "concerts.change_seatallocation"

    def preview(self, parameters: Parameters) -> Sequence[tuple[str, str]]:
        released = (_("Put on sale to the public"), f"{parameters['released']:,}")
        return [*super().preview(parameters), released]

    def needs_second_person(self, parameters: Parameters) -> bool:
        return True
