from celery import shared_task

from apps.ops import monitoring, purging


@shared_task(name="ops.purge")
def purge(**_future: object) -> None:
    purging.purge_all()


@shared_task(name="ops.verify_invariants", soft_time_limit=260, time_limit=280)
def verify_invariants(**_future: object) -> None:
    monitoring.watch_invariants()


# Taken from the broker at once: what takes longer than the broker waits for a late acknowledgement would be run twice.
@shared_task(
    name="ops.verify_all_invariants",
    acks_late=False,
    soft_time_limit=3_100,
    time_limit=3_200,
)
def verify_all_invariants(**_future: object) -> None:
    monitoring.watch_invariants(scope=monitoring.Scope.EVERYTHING)
