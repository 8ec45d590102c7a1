"""Test what holds on every page, and what none may be led astray by."""

from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

from django.test import Client

EVIL = [
    "//evil.example/",
    "https://evil.example/",
    "javascript:alert(1)",
    "\\\\evil.example",
    "/\\evil.example",
    "evil",
    "storefront:wallet",
]
HUGE = "9" * 5_000


class Page(HTMLParser):
    """Hold what the rules for all pages look at."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self._inside = ""
        self.feed(response.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style") and data.strip():
            kind = dict(self.tags[-1][1]).get("type")
            if kind != "application/json":
                self.inline.append(data)

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.tags if name == tag)

    def value(self, name: str) -> str:
        """Return the value of the last field with this name: the first `next` is that of the language switch."""
        *_, found = (field for field in self.all("input") if field.get("name") == name)
        return found["value"] or ""

    def form(self, action: str) -> dict[str, str]:
        """Return what the last form whose address ends with `action` sends: its fields, and its button."""
        found: dict[str, str] = {}
        is_inside = False
        for tag, attributes in self.tags:
            if tag == "form":
                is_inside = (attributes.get("action") or "").endswith(action)
                found = {} if is_inside else found
            elif is_inside and tag in ("input", "button") and attributes.get("name"):
                found[attributes["name"] or ""] = attributes.get("value") or ""
        return found


def assert_keeps_the_rules(response: Any) -> None:
    """Expect nothing inline, nothing from elsewhere; one heading; every field named; every id once; headings in order."""
    page = Page(response)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.inline == []
    assert [name for name, _ in page.tags if name == "style"] == []
    names = [name for _, attributes in page.tags for name in attributes]
    assert [name for name in names if name == "style" or name.startswith("on")] == []
    addresses = [
        address or ""
        for _, attributes in page.tags
        for name, address in attributes.items()
        if name in ("href", "src", "action")
    ]
    assert [address for address in addresses if "//" in address] == []
    assert sum(name == "h1" for name, _ in page.tags) == 1
    levels = [int(name[1]) for name, _ in page.tags if name in ("h1", "h2", "h3", "h4")]
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {attributes.get("for") for attributes in page.all("label")}
    fields = [
        field
        for tag in ("input", "select", "textarea")
        for field in page.all(tag)
        if field.get("type") != "hidden"
    ]
    assert [field for field in fields if field.get("id") not in labelled] == []
    described = [attributes.get("aria-describedby") or "" for _, attributes in page.tags]
    assert {name for text in described for name in text.split()} <= set(ids)
    assert all("alt" in image for image in page.all("img"))
    [html] = page.all("html")
    assert html["lang"] in ("en", "ko")


class StrictClient(Client):
    """Fail the test in which a page of ours breaks a rule, whatever the test is about."""

    def request(self, **request: Any) -> Any:
        response = super().request(**request)
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        if is_page and response.content and not request["PATH_INFO"].startswith("/admin/"):
            assert_keeps_the_rules(response)
        return response
