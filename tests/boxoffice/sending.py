"""Take a browser's part in sending a form of the admin: load it, fill it in, save."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from apps.concerts.models import Concert, Performance
from tests.boxoffice.staff import list_of


def shown_by(client: Client, url: str) -> str:
    """Return what a form tells its server about itself when it is loaded."""
    return client.get(url).context["shown"]


def send(client: Client, url: str, values: dict[str, Any], **how: Any) -> Any:
    """Load a form and save it with these values."""
    return client.post(url, {"_shown": shown_by(client, url), **values}, **how)


def carry_out(client: Client, url: str, values: dict[str, Any], **how: Any) -> tuple[Any, str]:
    """See what a form would do, then let it do that; returns the answer, and the page that showed it."""
    shown = send(client, url, values)
    assert shown.status_code == 200, shown
    again = {**values, "_planned": shown.context["planned"], "_shown": shown.context["shown"]}
    return client.post(url, again, **how), shown.content.decode()


def act(client: Client, action: str, *objects: Model, **how: Any) -> Any:
    """Choose an action in the list of these objects."""
    chosen = {"action": action, "_selected_action": [obj.pk for obj in objects]}
    return client.post(list_of(type(objects[0])), chosen, **how)


def concert_form(
    concert: Concert, dates: Iterable[Performance] = (), **changes: Any
) -> dict[str, Any]:
    """Return what is in the form of a concert with these of its dates; when they begin is for the caller to say."""
    dates = list(dates)
    form = {
        "title": concert.title,
        "artist": concert.artist,
        "venue": concert.venue,
        "description": "",
        "sales_open_at_0": "2026-01-01",
        "sales_open_at_1": "10:00",
        "seats_per_customer": 2,
        **({"is_published": "on"} if concert.is_published else {}),
        "single_seats": "WARN",
        "performances-TOTAL_FORMS": len(dates),
        "performances-INITIAL_FORMS": len(dates),
    }
    for number, performance in enumerate(dates):
        form[f"performances-{number}-id"] = performance.pk
        form[f"performances-{number}-concert"] = concert.pk
    return form | changes


def layout_form(*sections: tuple[Any, ...], **fields: Any) -> dict[str, Any]:
    """Return the generator's form with these sections (name, rows, seats, grade, price), the others left empty."""
    lines = [*sections, *[("", "", "", "R", "")] * (8 - len(sections))]
    names = ("name", "rows", "seats_per_row", "grade", "price")
    form = {"form-TOTAL_FORMS": len(lines), "form-INITIAL_FORMS": 0}
    for number, line in enumerate(lines):
        form |= {f"form-{number}-{name}": value for name, value in zip(names, line, strict=True)}
    return form | fields


def typed(field: str, at: datetime) -> dict[str, str]:
    """Return a moment as staff type it: by the clocks at the venue."""
    local = timezone.localtime(at, ZoneInfo(settings.VENUE_TIME_ZONE))
    return {f"{field}_0": local.date().isoformat(), f"{field}_1": f"{local:%H:%M:%S}"}
