"""Refusals that only staff meet: `reason` says to people why."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.core.errors import AccessRefused, Conflict, NotFound


class StaffJobNotFound(NotFound):
    reason: str | Promise = _("There is no such job.")


class StaffJobDecided(Conflict):
    """Refuse to decide what was decided, or never had to be."""

    code = "VALIDATION_ERROR"
    reason: str | Promise = _("This job was approved or rejected before.")


class SecondPersonRequired(AccessRefused):
    """Refuse an approval by the one who asked."""

    code = "PERMISSION_DENIED"
    reason: str | Promise = _("You asked for this yourself. A second person has to approve it.")
