"""Jobs of staff."""

from django.utils import timezone

from apps.accounts.models import User
from apps.boxoffice.base.jobs.models import StaffJob, StaffJobRow


def job_of_staff(requested_by: User) -> StaffJob:
    """Return a job that is done, of a kind that is known no more, with one row that was refused."""
    now = timezone.now()
    job = StaffJob.objects.create(
        kind="tests.unknown",
        reason="No show",
        status=StaffJob.Status.DONE,
        requested_by=requested_by,
        requested_at=now,
        language="en",
        rows_total=1,
        rows_refused=1,
        finished_at=now,
    )
    StaffJobRow.objects.create(
        job=job, subject="4711", outcome=StaffJobRow.Outcome.REFUSED, detail="Too late"
    )
    return job
