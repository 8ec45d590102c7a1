from celery import shared_task

from apps.boxoffice.base.jobs import services
from apps.outbox.publishing import publish


@shared_task(name="boxoffice.run_jobs")
def run_jobs(**_future: object) -> None:
    """Work on the jobs of staff; what does not fit into one run is announced again."""
    if services.run_jobs():
        announce_jobs()


def announce_jobs() -> None:
    """Have jobs worked on. If the broker is away, the next tick of the clock makes up for it."""
    publish(run_jobs, kwargs={}, queue="external", expires=60.0)
