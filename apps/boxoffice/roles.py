"""The roles of staff: a group for each, with the permissions of its duties.

`manage.py migrate` gives each group what stands here and adds nothing else, so a permission that a new release brings reaches the people who
need it. A house that divides its duties otherwise makes groups of its own, which are left alone.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q

BOX_OFFICE, FINANCE, OPERATIONS, ADMINISTRATOR = (
    "Box office",
    "Finance",
    "Operations",
    "Administrator",
)

_CATALOGUE = ("concerts.view_concert", "concerts.view_performance", "concerts.view_seat")
_SALES = (
    "accounts.view_user",
    "reservations.view_hold",
    "reservations.view_holdernotice",
    "reservations.view_reservation",
    "reservations.view_ticket",
)
_MONEY = (
    "payments.view_wallet",
    "payments.view_ledgertransaction",
    "payments.view_ledgerentry",
)
_ROOMS = (
    "queue.view_waitingroom",
    "queue.view_policychange",
    "queue.view_queueexit",
    "queue.view_roomnotice",
)
_JOBS = ("boxoffice.view_staffjob", "boxoffice.view_staffjobrow")

# The administrator has every permission there is.
ROLES: Mapping[str, Iterable[str]] = {
    BOX_OFFICE: (
        *_CATALOGUE,
        "concerts.add_concert",
        "concerts.change_concert",
        "concerts.add_performance",
        "concerts.change_performance",
        "concerts.add_seat",
        "concerts.change_seat",
        "concerts.change_seatallocation",
        "concerts.view_inventorycategory",
        "concerts.view_seatallocation",
        "concerts.view_rankingentry",
        "concerts.view_halltemplate",
        "concerts.add_halltemplate",
        "concerts.change_halltemplate",
        "concerts.delete_halltemplate",
        *_SALES,
        "reservations.cancel_reservation",
        "reservations.notify_holders",
        "reservations.release_hold",
        "reservations.sell_at_counter",
        "reservations.give_complimentary",
        "reservations.reseat",
        *_ROOMS,
        "queue.change_waitingroom",
        "queue.notify_visitors",
        *_JOBS,
    ),
    FINANCE: (
        *_CATALOGUE,
        *_SALES,
        *_MONEY,
        "payments.add_ledgertransaction",
        "payments.refund",
        "payments.export_money",
        *_JOBS,
    ),
    OPERATIONS: (
        *_CATALOGUE,
        *_SALES,
        *_ROOMS,
        "queue.change_waitingroom",
        "api.view_idempotencyrecord",
        "ops.view_jobprogress",
        "outbox.view_deliveryreplay",
        "outbox.view_eventdelivery",
        "outbox.change_eventdelivery",
        "outbox.view_outboxevent",
        "outbox.view_receiver",
        "reservations.view_seatclaim",
        *_JOBS,
    ),
}


def set_roles(*, using: str, **_signal: Any) -> None:
    """Make the permissions and the roles of the database that was just migrated."""
    for config in apps.get_app_configs():
        # Those of apps that Django comes to after this one are not there yet.
        create_permissions(config, verbosity=0, using=using)
    give_permissions(using=using)


def give_permissions(*, using: str = DEFAULT_DB_ALIAS) -> None:
    """Give each role its permissions, and take away all others."""
    everything = Permission.objects.using(using)
    for name in (*ROLES, ADMINISTRATOR):
        group, _ = Group.objects.using(using).get_or_create(name=name)
        wanted = everything if name == ADMINISTRATOR else everything.filter(_named(ROLES[name]))
        if set(group.permissions.values_list("pk", flat=True)) != set(
            wanted.values_list("pk", flat=True)
        ):
            group.permissions.set(wanted)


def _named(names: Iterable[str]) -> Q:
    condition = Q(pk__in=[])
    for name in names:
        app_label, codename = name.split(".")
        condition |= Q(content_type__app_label=app_label, codename=codename)
    return condition
