"""Answer what the theme of the admin asks for each page."""

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext


def clocks(_request: HttpRequest) -> tuple[str, str]:
    """Say above every page by which clocks its times are; the theme has this place for the name of a server."""
    return gettext("Venue time: %(zone)s") % {"zone": settings.VENUE_TIME_ZONE}, "default"
