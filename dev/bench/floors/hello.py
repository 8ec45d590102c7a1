"""Answer every request with an empty 200: the least that a call can cost on this server."""

from collections.abc import Callable, Iterable
from typing import Any

HEADERS = [("Content-Length", "0")]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)
    return ()
