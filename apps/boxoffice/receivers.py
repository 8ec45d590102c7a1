from django.dispatch import receiver

from apps.boxoffice.base.jobs.signals import staff_job_started
from apps.boxoffice.tasks import announce_jobs


@receiver(staff_job_started, dispatch_uid="run_jobs")
def run_jobs_after_commit(**_: object) -> None:
    announce_jobs()
