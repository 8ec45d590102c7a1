import math

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core.errors import AccessRefused, Conflict, RateLimited


class EmailTaken(Conflict):
    """There is an account with this address, in whatever case it was written."""

    code = "EMAIL_TAKEN"


class InvalidCredentials(AccessRefused):
    """Unknown address, wrong password or inactive account: the caller is not told which."""

    code = "INVALID_CREDENTIALS"


class StaffAccount(AccessRefused):
    """Refuse an account of staff what only customers may: to queue, to hold seats and to own them."""

    code = "STAFF_ACCOUNT"


class TooManyFailures(RateLimited):
    """The account or the network has shown too many wrong secrets and has to wait for `retry_after` seconds.

    It is told of an account whether it exists or not.
    """

    def __init__(self, *, is_of_account: bool, retry_after: int) -> None:
        super().__init__(retry_after=retry_after)
        self.is_of_account = is_of_account
        self._seconds = retry_after

    @property
    def message(self) -> str:
        if self.is_of_account:
            text = _("Too many failed attempts for this email address. Try again in %(wait)s.")
        else:
            text = _("Too many failed attempts from your network. Try again in %(wait)s.")
        return text % {"wait": _wait_in_words(self._seconds)}


def _wait_in_words(seconds: int) -> str:
    if seconds <= 60:
        return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    minutes = math.ceil(seconds / 60)
    return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
