"""A browser's part in sending a form of the admin: load it, fill it in, save."""

from typing import Any

from django.test import Client


def shown_by(client: Client, url: str) -> str:
    """Return what a form tells its server about itself when it is loaded."""
    shown: str = client.get(url).context["shown"]
    return shown


def send(client: Client, url: str, values: dict[str, Any], **how: Any) -> Any:
    """Load a form and save it with these values."""
    return client.post(url, {"_shown": shown_by(client, url), **values}, **how)
