"""Name the dates that jobs of staff are about: in the parameters of the job, so that a list of jobs reads no other table."""

from datetime import datetime
from typing import ClassVar

from django.utils.translation import gettext

from apps.boxoffice.base.jobs.kinds import JobKind, Parameters
from apps.boxoffice.base.words import at_venue
from apps.concerts.models import Performance


class AboutDate(JobKind):
    """Mixin for the kinds of jobs whose parameters say which performance they are about."""

    date_parameter: ClassVar[str] = "performance_id"

    def with_names(self, parameters: Parameters) -> Parameters:
        found = Performance.objects.select_related("concert")
        performance = found.filter(pk=parameters[self.date_parameter]).first()
        return {**parameters, **named(performance)} if performance else parameters


def named(performance: Performance) -> dict[str, str]:
    """Return what a date is called by, for the parameters of a job. Needs its concert."""
    return {
        "concert": str(performance.concert),
        "starts_at": performance.starts_at.isoformat(),
    }


def date_in_words(parameters: Parameters) -> str:
    if "concert" not in parameters:
        return gettext("a performance that was deleted")
    starts_at = datetime.fromisoformat(parameters["starts_at"])
    return f"{parameters['concert']} · {at_venue(starts_at)}"
