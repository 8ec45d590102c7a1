"""Making the seats of so many performances that staff should not wait for the page: in the background, one performance after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.boxoffice.base.jobs.kinds import JobKind, Parameters
from apps.boxoffice.base.jobs.models import StaffJob
from apps.concerts.errors import LayoutRefused
from apps.concerts.layouts import Numbering, PlannedSeat, SectionLayout, build_seats
from apps.concerts.models import Grade, HallTemplate, Performance
from apps.concerts.plans import unpack_plan
from apps.concerts.services import fill_hall
from apps.core.history import note


class GenerateSeats(JobKind):
    """Give performances the seats of a venue template, or of sections that were described; a row is one of them."""

    name = "generate_seats"
    label = gettext_lazy("Generate seats")
    permission = "concerts.add_seat"

    def title(self, parameters: Parameters) -> str:
        count = len(parameters["performances"])
        words = ngettext(
            "Generate the seats of %(count)s performance",
            "Generate the seats of %(count)s performances",
            count,
        )
        return words % {"count": f"{count:,}"}

    def preview(self, parameters: Parameters) -> Sequence[tuple[str, str]]:
        return [(_("Seats of each performance"), f"{parameters['seats']:,}")]

    def needs_second_person(self, parameters: Parameters) -> bool:
        return False

    def total(self, parameters: Parameters) -> int:
        return len(parameters["performances"])

    def subjects(self, parameters: Parameters, *, after: str, limit: int) -> Sequence[str]:
        left = [pk for pk in sorted(parameters["performances"]) if pk > int(after or 0)]
        return [str(pk) for pk in left[:limit]]

    def apply(self, subject: str, job: StaffJob) -> str:
        plan = _plan_in(job.parameters)
        staff_id = job.requested_by_id
        made = fill_hall.step(performance_id=int(subject), seats=plan, staff_id=staff_id)
        words = made_in_words(made)
        performance = Performance.objects.get(pk=int(subject))
        note([performance], words, staff_id=staff_id)
        return f"{performance}: {words}"


def made_in_words(seats: int) -> str:
    return ngettext("%(count)d seat made.", "%(count)d seats made.", seats) % {"count": seats}


def stored_hall(
    template: HallTemplate | None, layout: Sequence[SectionLayout]
) -> Mapping[str, Any]:
    """Return how the parameters of a job name a hall."""
    if template is not None:
        return {"template": template.pk}
    lines = [asdict(line) | {"special": (), "skipped": sorted(line.skipped)} for line in layout]
    return {"layout": lines}


def _plan_in(parameters: Parameters) -> list[PlannedSeat]:
    """
    :raises LayoutRefused: the template has been deleted.
    """
    if "template" not in parameters:
        return list(build_seats([_line(stored) for stored in parameters["layout"]]))
    template = HallTemplate.objects.filter(pk=parameters["template"]).first()
    if template is None:
        raise LayoutRefused(_("The venue template was deleted in the meantime."))
    return unpack_plan(template.plan)


def _line(stored: Mapping[str, Any]) -> SectionLayout:
    return SectionLayout(
        **{
            **stored,
            "grade": Grade(stored["grade"]),
            "numbering": Numbering(stored["numbering"]),
            "aisles": tuple(stored["aisles"]),
            "skipped": frozenset(stored["skipped"]),
            "special": (),
        }
    )
