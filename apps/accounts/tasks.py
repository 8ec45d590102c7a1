from celery import shared_task

from apps.accounts import services


@shared_task(name="accounts.purge_access_tokens")
def purge_access_tokens(**_future: object) -> None:
    services.purge_access_tokens()
