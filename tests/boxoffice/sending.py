"""A browser's part in sending a form of the admin: load it, fill it in, save."""

from collections.abc import Iterable
from typing import Any

from django.test import Client

from apps.concerts.models import Concert, Performance


def shown_by(client: Client, url: str) -> str:
    """Return what a form tells its server about itself when it is loaded."""
    shown: str = client.get(url).context["shown"]
    return shown


def send(client: Client, url: str, values: dict[str, Any], **how: Any) -> Any:
    """Load a form and save it with these values."""
    return client.post(url, {"_shown": shown_by(client, url), **values}, **how)


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
