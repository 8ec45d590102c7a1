"""Pages that are the same for everybody but for a few gaps: rendered once a second, filled in for each visitor.

A kept page is rendered for no visitor in particular. Its template sees no request, no session, no cookie and no user, only whether there is a
login, so there is nothing of one visitor that another could get. What is personal stands in the gaps, by name: the token
against forged forms, the address that the switch of languages leads back to, and what the view adds.
"""

import re
import secrets
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from django.contrib.messages import get_messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.html import conditional_escape
from django.utils.http import urlencode
from django.utils.translation import get_language

from apps.core.caching import ProcessCache

# With the time that rendering takes, a page is a second old at most.
SECONDS, AHEAD = 0.9, 0.2

# A gap cannot be guessed, so no text of staff or visitors is taken for one.
_PREFIX = f"gap-{secrets.token_hex(16)}-"
_GAP = re.compile(rf"{_PREFIX}(\w+)-")


@dataclass(frozen=True, slots=True)
class KeptPage:
    """The bytes between the gaps, and the names of the gaps: there is one text more than there are gaps."""

    texts: tuple[bytes, ...]
    gaps: tuple[str, ...]

    def filled(self, values: Mapping[str, str]) -> bytes:
        """Return the page with each value, escaped unless it is marked as safe, in the gaps of its name."""
        encoded = {name: conditional_escape(value).encode() for name, value in values.items()}
        pieces = [self.texts[0]]
        for gap, text in zip(self.gaps, self.texts[1:], strict=True):
            pieces += (encoded[gap], text)
        return b"".join(pieces)


Kept = ProcessCache[Hashable, KeptPage]

# A page takes 10 to 25 kB.
pages: Kept = ProcessCache(seconds=SECONDS, ahead=AHEAD, entries_max=500)
# Visitors choose these keys, so they have a place of their own, where they cannot make the pages above go.
searches: Kept = ProcessCache(seconds=SECONDS, ahead=AHEAD, entries_max=100)


def kept_page(
    request: HttpRequest,
    template: str,
    *,
    key: Hashable,
    shared: Callable[[], Mapping[str, Any]],
    personal: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    kept: Kept = pages,
    status: int = 200,
) -> HttpResponse:
    """Answer with a page that is at most a second old but for what is in `personal`.

    `shared` reads what the template shows to everybody with this `key`; it must not look at the visitor. What it raises is
    raised. `personal` fills gaps: values that the template writes and does not decide by. `query` is the part of the address
    that the page is made from.
    """
    personal = personal or {}
    if len(get_messages(request)):
        # They are of this visitor and shown once.
        return render(request, template, {**shared(), **personal}, status=status)
    is_customer = request.user.is_authenticated

    def rendered() -> KeptPage:
        gaps = {name: _gap(name) for name in ("csrf_token", *(personal or {}))}
        stand_in = _StandIn(is_customer, query or {})
        html = render_to_string(template, {**shared(), **gaps}, cast(HttpRequest, stand_in))
        pieces = _GAP.split(html)
        return KeptPage(tuple(text.encode() for text in pieces[::2]), tuple(pieces[1::2]))

    page = kept.get((template, get_language(), is_customer, key), rendered)
    values = {"csrf_token": get_token(request), "here": request.get_full_path(), **personal}
    return HttpResponse(page.filled(values), status=status)


class _StandIn:
    """Tell the templates of kept pages all that they may know of a request."""

    def __init__(self, is_customer: bool, query: Mapping[str, str]) -> None:
        self.user = SimpleNamespace(is_authenticated=is_customer)
        self.GET = QueryDict(urlencode(query))

    def get_full_path(self) -> str:
        return _gap("here")


def _gap(name: str) -> str:
    return f"{_PREFIX}{name}-"
