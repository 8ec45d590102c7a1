"""Name who acts when a management command changes something that is recorded: the account of `--by`, or the system's user."""

import os
from getpass import getuser
from typing import TypedDict

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from apps.core.commands import words


class Actor(TypedDict, total=False):
    """Name one of the two, as services that keep a record take them."""

    staff_id: int
    actor: str


def add_actor_option(parser: CommandParser) -> None:
    parser.add_argument(
        "--by",
        type=words,
        metavar="EMAIL",
        help="the account of staff that acts, for the record (default: the system's user)",
    )


def actor_called(email: str | None) -> Actor:
    """Return the one whom `--by` names; None is the user of the system who is logged in there.

    :raises CommandError: no active account of staff has this address.
    """
    if email is None:
        return Actor(actor=f"{_system_user()} (command line)")
    users = get_user_model().objects
    try:
        account = users.get_by_natural_key(email)
    except users.model.DoesNotExist:
        account = None
    if account is None or not (account.is_staff and account.is_active):
        raise CommandError(f"There is no account of staff {email!r}.")
    return Actor(staff_id=account.pk)


def _system_user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        return f"user {os.getuid()}"
