"""Values of the admin as people read them: amounts, moments by the clocks of the venue, links to what they name."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

NOTHING = "–"


def linked(obj: Model | None, text: object = None) -> SafeString | str:
    """Return a link to the page of an object, which says `text` or what the object calls itself."""
    if obj is None:
        return NOTHING
    opts = obj._meta
    return linked_to(f"admin:{opts.app_label}_{opts.model_name}_change", obj.pk, text or obj)


def linked_to(page: str, pk: object, text: object) -> SafeString:
    """Return a link to a page of the admin by its name, for objects of apps that the caller does not know."""
    url = reverse(page, args=[pk])
    return format_html('<a class="text-primary-600 underline" href="{}">{}</a>', url, text)


def person(user: Any) -> SafeString | str:
    """Return the name and the address of an account, and a link to it."""
    return linked(user, f"{user.name} <{user.email}>") if user is not None else NOTHING


def in_won(amount: int) -> str:
    return _("%(amount)s won") % {"amount": f"{amount:,}"}


def at_venue(moment: datetime | None) -> str:
    """Return a moment by the clocks of the venue, and say so."""
    if moment is None:
        return NOTHING
    local = timezone.localtime(moment, ZoneInfo(settings.VENUE_TIME_ZONE))
    return f"{date_format(local, 'DATETIME_FORMAT')} ({settings.VENUE_TIME_ZONE})"


def as_json(value: object) -> SafeString:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return format_html('<pre class="whitespace-pre-wrap">{}</pre>', text)
