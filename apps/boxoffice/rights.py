"""Decide which figures an account of staff may see."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from django.contrib.auth.models import Permission
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q

from apps.accounts.models import User

COCKPIT = "queue.view_waitingroom"
STEERING = "queue.change_waitingroom"
# Takes either of them: those who may look up what was sold can add it up as well.
SALES = ("reservations.view_reservation", "payments.view_ledgertransaction")


class Rights(NamedTuple):
    """Say whether an account may open the cockpit, see what was sold and for how much, and steer."""

    cockpit: bool
    sales: bool
    steering: bool


NO_RIGHTS = Rights(cockpit=False, sales=False, steering=False)


def rights_of(user: User) -> Rights:
    """Return the rights of the account of a request, as its backends know them."""
    return Rights(user.has_perm(COCKPIT), sees_sales(user), user.has_perm(STEERING))


def sees_sales(user: User) -> bool:
    return any(user.has_perm(permission) for permission in SALES)


def rights_of_accounts(user_ids: Collection[int]) -> dict[int, Rights]:
    """Return the rights of several accounts by id, none for those that are no staff any more; one query."""
    staff = User.objects.filter(pk__in=user_ids, is_active=True, is_staff=True)
    found = staff.annotate(
        cockpit=_has([COCKPIT]), sales=_has(SALES), steering=_has([STEERING])
    ).values_list("pk", "cockpit", "sales", "steering")
    return dict.fromkeys(user_ids, NO_RIGHTS) | {pk: Rights(*rights) for pk, *rights in found}


def _has(permissions: Iterable[str]) -> "ExpressionWrapper[Any]":
    named = Q()
    for permission in permissions:
        app_label, codename = permission.split(".")
        named |= Q(content_type__app_label=app_label, codename=codename)
    wanted = Permission.objects.filter(named)
    condition = (
        Q(is_superuser=True)
        | Q(Exists(wanted.filter(user=OuterRef("pk"))))
        | Q(Exists(wanted.filter(group__user=OuterRef("pk"))))
    )
    return ExpressionWrapper(condition, output_field=BooleanField())
