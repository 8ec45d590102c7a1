"""A browser at the administration. Importing this needs Django to be set up."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx
from django.contrib.messages import ERROR
from django.contrib.messages.storage.base import Message
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import override

from apps.boxoffice.base.forms import SHOWN, sent_before_words, too_old_words
from dev.api import Kind, Request

TOKEN = "csrfmiddlewaretoken"  # noqa: S105
ENGLISH = {"Accept-Language": "en"}
_ALERT = re.compile(r'role="alert"[^>]*>([^<]*)<')
_SAVED_BEFORE = "This form was saved before."


class Desk:
    """The session of a member of staff, who logs in again when it is over.

    It answers as the API would, so that a history can tell of both: a form that has acted is a success, one that comes back with what
    is wrong with it a refusal, one that had acted before is replayed. `data` has the `page` that was loaded, or the `location` to which
    a form led and the words that were `told` there.
    """

    def __init__(self, http: httpx.Client, *, email: str, password: str) -> None:
        self.http = http
        self._login = {"username": email, "password": password}

    def send(self, request: Request, *, key: str | None = None) -> httpx.Response:
        """:raises httpx.HTTPError: no answer came."""
        answer = self._ask(request)
        if self._is_login(answer):
            self.log_in()
            answer = self._ask(request)
        return self._as_api(request, answer)

    def _ask(self, request: Request) -> httpx.Response:
        if request.method == "GET":
            return self.http.get(request.url, headers=ENGLISH)
        # Only what this form says is to be read from the answer.
        self.http.cookies.pop("messages", None)
        token = {TOKEN: self.http.cookies.get("csrftoken", "")}
        return self.http.post(request.url, data={**(request.body or {}), **token}, headers=ENGLISH)

    def _is_login(self, answer: httpx.Response) -> bool:
        return answer.is_redirect and answer.headers["Location"].startswith(reverse("admin:login"))

    def log_in(self) -> None:
        """Send the form of the login; if that led in is for the next page to tell."""
        page = self.http.get(reverse("admin:login"), headers=ENGLISH)
        if page.is_success:
            token = {TOKEN: self.http.cookies.get("csrftoken", "")}
            self.http.post(reverse("admin:login"), data={**self._login, **token}, headers=ENGLISH)

    def _as_api(self, request: Request, answer: httpx.Response) -> httpx.Response:
        if answer.status_code >= 500 or self._is_login(answer):
            return httpx.Response(max(answer.status_code, 500))
        if answer.is_redirect:
            return _led_on(answer.headers["Location"], self._messages())
        if not answer.is_success:
            return _refusal(f"HTTP_{answer.status_code}", answer.reason_phrase)
        if request.kind is Kind.STAFF:
            return _refusal("FORM_REFUSED", " ".join(_ALERT.findall(answer.text)).strip())
        return _success({"page": answer.text})

    def _messages(self) -> list[Message]:
        found = CookieStorage(HttpRequest())._decode(self.http.cookies.get("messages", ""))  # type: ignore[attr-defined]
        return [message for message in found or () if isinstance(message, Message)]


def _led_on(location: str, messages: list[Message]) -> httpx.Response:
    told = [str(message) for message in messages]
    with override("en"):
        is_too_old = too_old_words() in told
        is_replay = sent_before_words() in told
    if is_too_old:
        return _refusal("FORM_TOO_OLD", " ".join(told))
    if any(message.level >= ERROR for message in messages):
        return _refusal("FORM_REFUSED", " ".join(told))
    if location.startswith(reverse("admin:boxoffice_staffjob_changelist")):
        return _refusal(
            "NEEDS_APPROVAL", "It waits for a second person, whom the drill does not have."
        )
    is_replay |= any(words.startswith(_SAVED_BEFORE) for words in told)
    return _success({"location": location, "told": told}, is_replay=is_replay)


def _success(data: dict[str, Any], *, is_replay: bool = False) -> httpx.Response:
    headers = {"Idempotent-Replayed": "true"} if is_replay else {}
    envelope = {"code": "SUCCESS", "message": "", "data": data}
    return httpx.Response(200, json=envelope, headers=headers)


def _refusal(code: str, message: str) -> httpx.Response:
    return httpx.Response(409, json={"code": code, "message": message, "data": None})


@dataclass
class FormOnPage:
    """Hold what a form would send as it was loaded, and the boxes that may be ticked, by name."""

    values: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)


def form_on(page: str) -> FormOnPage | None:
    """Return the form of a page that acts once; None if it offers none."""
    parser = _Forms()
    parser.feed(page)
    return next((form for form in parser.found if SHOWN in form.values), None)


class _Forms(HTMLParser):
    """Reads forms as a browser does, of their controls those that the pages of staff have."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[FormOnPage] = []
        self._name = ""  # of the text area or list that is open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(FormOnPage())
            return
        if not self.found:
            return
        form, name, value = self.found[-1], about.get("name", ""), about.get("value", "")
        if tag == "option":
            if self._name and "selected" in about:
                form.values[self._name] = value
        elif tag in ("select", "textarea"):
            self._name = name
            form.values[name] = ""
        elif tag == "input" and name:
            match about.get("type", "text"):
                case "checkbox":
                    form.choices.setdefault(name, []).append(value)
                    if "checked" in about:
                        form.values[name] = [*form.values.get(name, []), value or "on"]
                case "radio":
                    if "checked" in about:
                        form.values[name] = value
                case "submit" | "button" | "file" | "image" | "reset":
                    pass
                case _:
                    form.values[name] = value

    def handle_data(self, data: str) -> None:
        if self._name and self.lasttag == "textarea":
            self.found[-1].values[self._name] += data.strip()

    def handle_endtag(self, tag: str) -> None:
        if tag in ("select", "textarea"):
            self._name = ""
