"""Test the roles of staff: `migrate` gives each group the permissions of its duties."""

import pytest
from django.contrib.auth.models import Group, Permission

from apps.boxoffice.roles import ADMINISTRATOR, BOX_OFFICE, ROLES, give_permissions, set_roles

pytestmark = pytest.mark.django_db


def permissions_of(name: str) -> set[str]:
    found = Group.objects.get(name=name).permissions.values_list(
        "content_type__app_label", "codename"
    )
    return {f"{app_label}.{codename}" for app_label, codename in found}


def test_each_has_what_the_table_says_and_all_of_that_exists():
    set_roles(using="default")

    assert {name: permissions_of(name) for name in ROLES} == {
        name: set(permissions) for name, permissions in ROLES.items()
    }
    assert len(permissions_of(ADMINISTRATOR)) == Permission.objects.count()


def test_a_permission_that_was_given_by_hand_is_taken_away_and_other_groups_are_left_alone():
    give_permissions()
    other = Group.objects.create(name="Ushers")
    extra = Permission.objects.get(codename="delete_user")
    for group in (other, Group.objects.get(name=BOX_OFFICE)):
        group.permissions.add(extra)

    give_permissions()

    assert "accounts.delete_user" not in permissions_of(BOX_OFFICE)
    assert permissions_of("Ushers") == {"accounts.delete_user"}
