"""Values of the admin as people read them: amounts, moments by the clocks of the venue, links to what they name."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.apps import apps
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

NOTHING = "–"


_request: ContextVar[HttpRequest | None] = ContextVar("request_of_the_admin", default=None)


@contextmanager
def seen_by(request: HttpRequest) -> Iterator[None]:
    """Let what is written for a request link to what its account may look at; else there are no bounds."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def may_follow(model: type[Model]) -> bool:
    """Tell whether a link to objects of this kind leads its reader to a page, and not to a refusal."""
    request = _request.get()
    return request is None or admin.site.get_model_admin(model).has_view_permission(request)


def title_of(obj: Model) -> str:
    """Say in words of people which object this is, as its page in the admin does."""
    titled = getattr(admin.site._registry.get(type(obj)), "title_of", str)
    return str(titled(obj))


def linked(obj: Model | None, text: object = None) -> SafeString | str:
    """Return a link to the page of an object, which says `text` or what the object calls itself."""
    if obj is None:
        return NOTHING
    return linked_to(obj._meta.label_lower, obj.pk, text or obj)


def linked_to(label: str, pk: object, text: object) -> SafeString:
    """Return a link to an object by the label of its model, for objects of apps that the caller does not know."""
    model = apps.get_model(label)
    if not may_follow(model):
        return format_html("{}", text)
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])
    return format_html('<a class="text-primary-600 underline" href="{}">{}</a>', url, text)


def person(user: Any) -> SafeString | str:
    """Return the name of an account with its address, if it has one, and a link to it."""
    return linked(user, user.shown_as) if user is not None else NOTHING


def everything_of(customer_id: int) -> SafeString | str:
    """Return a link to the page with all that a customer has, had and waited for."""
    if not may_follow(apps.get_model("reservations.reservation")):
        return NOTHING
    url = reverse("admin:reservations_customer", args=[customer_id])
    words = _("Orders, holds, visits and money of this customer")
    return format_html('<a class="text-primary-600 underline" href="{}">{}</a>', url, words)


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


def outcome(done: int, words: str, otherwise: object) -> tuple[int, str]:
    """Return the level and the text that tell how many were changed; `otherwise` says why nothing was."""
    if not done:
        nothing = _("Nothing was changed.")
        return messages.WARNING, f"{nothing} {otherwise}"
    return messages.SUCCESS, words
