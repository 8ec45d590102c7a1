"""The ways in with a password: the API, the pages and the site of the staff, for those who log in or register."""

from typing import Any

from django.test import Client

from tests.factories.accounts import PASSWORD
from tests.storefront.rules import StrictClient


def api_login(email: str, password: str = PASSWORD, **meta: Any) -> Any:
    return _api("login", {"email": email, "password": password}, **meta)


def api_register(email: str, **meta: Any) -> Any:
    return _api("register", {"email": email, "password": PASSWORD, "name": "Mina"}, **meta)


def _api(path: str, body: dict[str, str], **meta: Any) -> Any:
    return Client().post(f"/api/v1/accounts/{path}", body, "application/json", **meta)


def page_login(email: str, password: str = PASSWORD, **meta: Any) -> Any:
    fields = {"email": email, "password": password, "next": "/wallet/"}
    return StrictClient().post("/login/", fields, **meta)


def page_register(email: str, **meta: Any) -> Any:
    fields = {"email": email, "password": PASSWORD, "name": "Mina", "next": "/wallet/"}
    return StrictClient().post("/register/", fields, **meta)


def staff_login(email: str, password: str = PASSWORD, **meta: Any) -> Any:
    return StrictClient().post("/admin/login/", {"username": email, "password": password}, **meta)
