from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.accounts.models import AccessToken, User
from tests.factories.accounts import PASSWORD, CustomerFactory, bearer

pytestmark = pytest.mark.django_db

REGISTER = "/api/v1/accounts/register"
LOGIN = "/api/v1/accounts/login"
LOGOUT = "/api/v1/accounts/logout"
ME = "/api/v1/accounts/me"

MINA = {"email": "mina@example.com", "password": PASSWORD, "name": "Mina"}

NO_STRINGS = [None, True, 1, 1.5, [], ["x"], {}, {"x": "y"}, "nul\x00", "\ud800"]


def post(client: Client, path: str, body: Any, **options: Any) -> Any:
    return client.post(path, body, **{"content_type": "application/json"} | options)


class TestRegister:
    def test_opens_an_account(self, client):
        response = post(client, REGISTER, MINA)

        assert response.status_code == 201
        assert response.json() == {
            "code": "SUCCESS",
            "message": "Welcome to Encore.",
            "data": {
                "user_id": User.objects.get().pk,
                "email": "mina@example.com",
                "name": "Mina",
            },
        }

    def test_refuses_an_address_that_is_taken(self, client):
        post(client, REGISTER, MINA)

        response = post(client, REGISTER, MINA | {"email": "MINA@example.com"})

        assert response.status_code == 409
        assert response.json()["code"] == "EMAIL_TAKEN"
        assert response.json()["data"]["retryable"] is False
        assert User.objects.count() == 1

    @pytest.mark.parametrize(
        "password",
        ["short", "password", "password123", "1234567890", "mina@example.com", "x" * 129],
    )
    def test_refuses_a_weak_password(self, client, password):
        response = post(client, REGISTER, MINA | {"password": password})

        assert response.status_code == 400
        assert response.json()["code"] == "VALIDATION_ERROR"
        errors = response.json()["data"]["errors"]
        assert list(errors) == ["password"]
        assert all(isinstance(message, str) and message for message in errors["password"])
        assert not User.objects.exists()

    @pytest.mark.parametrize("password", [" seven green kites ", "x7" * 64, "비밀번호는이것입니다"])
    def test_takes_any_other_password_as_it_is(self, client, password):
        post(client, REGISTER, MINA | {"password": password})

        assert User.objects.get().check_password(password)

    @pytest.mark.parametrize(
        "email",
        [
            *NO_STRINGS,
            "",
            " ",
            "mina",
            "mina@",
            "@example.com",
            "mina@example",
            "a b@example.com",
            "mina@beispiel-ä.de",
            "m" * 250 + "@example.com",
        ],
    )
    def test_refuses_what_is_no_address(self, client, email):
        response = post(client, REGISTER, MINA | {"email": email})

        assert response.status_code == 400
        assert response.json()["code"] == "VALIDATION_ERROR"
        assert list(response.json()["data"]["errors"]) == ["email"]
        assert not User.objects.exists()

    @pytest.mark.parametrize("name", [*NO_STRINGS, "", "  ", "n" * 101])
    def test_refuses_what_is_no_name(self, client, name):
        response = post(client, REGISTER, MINA | {"name": name})

        assert response.status_code == 400
        assert list(response.json()["data"]["errors"]) == ["name"]
        assert not User.objects.exists()

    @pytest.mark.parametrize("password", [*NO_STRINGS, ""])
    def test_refuses_what_is_no_password(self, client, password):
        response = post(client, REGISTER, MINA | {"password": password})

        assert response.status_code == 400
        assert list(response.json()["data"]["errors"]) == ["password"]
        assert not User.objects.exists()

    @pytest.mark.parametrize("field", ["email", "password", "name"])
    def test_needs_every_field(self, client, field):
        response = post(client, REGISTER, {k: v for k, v in MINA.items() if k != field})

        assert response.status_code == 400
        assert list(response.json()["data"]["errors"]) == [field]

    def test_grants_no_rights(self, client):
        post(client, REGISTER, MINA | {"is_staff": True, "is_superuser": True, "user_id": 1})

        assert not User.objects.filter(is_staff=True).exists()
        assert not User.objects.filter(is_superuser=True).exists()

    def test_does_not_mind_an_old_login(self, client):
        response = post(client, REGISTER, MINA, headers={"Authorization": "Bearer gone"})

        assert response.status_code == 201


class TestLogin:
    def test_gives_an_access_token(self, client, settings):
        customer = CustomerFactory(email="mina@example.com", password=PASSWORD)

        response = post(client, LOGIN, {"email": "Mina@example.com", "password": PASSWORD})

        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        data = response.json()["data"]
        assert set(data) == {"access_token", "token_type", "expires_at", "user_id"}
        assert (data["token_type"], data["user_id"]) == ("Bearer", customer.pk)
        assert data["expires_at"].endswith("Z")
        assert parse_datetime(data["expires_at"]) == AccessToken.objects.get().expires_at
        me = client.get(ME, headers={"Authorization": f"Bearer {data['access_token']}"})
        assert me.json()["data"]["user_id"] == customer.pk

    @pytest.mark.parametrize(
        ("email", "password"),
        [
            ("mina@example.com", "wrong"),
            ("nobody@example.com", PASSWORD),
            ("no address", PASSWORD),
            ("gone@example.com", PASSWORD),
        ],
    )
    def test_does_not_tell_what_was_wrong(self, client, email, password):
        CustomerFactory(email="mina@example.com", password=PASSWORD)
        CustomerFactory(email="gone@example.com", password=PASSWORD, is_active=False)

        response = post(client, LOGIN, {"email": email, "password": password})

        assert response.status_code == 401
        body = response.json()
        assert body["code"] == "INVALID_CREDENTIALS"
        assert body["message"] == "The email address or the password is wrong."
        assert set(body["data"]) == {"retryable", "request_id"}
        assert not AccessToken.objects.exists()

    @pytest.mark.parametrize("field", ["email", "password"])
    @pytest.mark.parametrize("value", [*NO_STRINGS, "", "x" * 255])
    def test_refuses_what_is_no_string(self, client, field, value):
        response = post(client, LOGIN, {"email": "m@example.com", "password": "x"} | {field: value})

        assert response.status_code == 400
        assert list(response.json()["data"]["errors"]) == [field]

    def test_does_not_mind_an_old_login(self, client):
        CustomerFactory(email="mina@example.com", password=PASSWORD)

        response = post(
            client,
            LOGIN,
            {"email": "mina@example.com", "password": PASSWORD},
            headers={"Authorization": "Bearer gone"},
        )

        assert response.status_code == 200


class TestLogout:
    def test_kills_the_token_at_once(self, client):
        customer = CustomerFactory()
        this, other = bearer(customer), bearer(customer)

        response = client.post(LOGOUT, headers=this)

        assert response.status_code == 200
        assert response.json()["code"] == "SUCCESS"
        assert client.get(ME, headers=this).status_code == 401
        assert client.post(LOGOUT, headers=this).status_code == 401
        assert client.get(ME, headers=other).status_code == 200


class TestMe:
    def test_tells_who_is_logged_in(self, client):
        customer = CustomerFactory(email="mina@example.com", name="미나")

        response = client.get(ME, headers=bearer(customer))

        assert response.status_code == 200
        assert response.json()["data"] == {
            "user_id": customer.pk,
            "email": "mina@example.com",
            "name": "미나",
        }

    def test_takes_one_query(self, client, django_assert_num_queries):
        headers = bearer(CustomerFactory())

        with django_assert_num_queries(1):
            client.get(ME, headers=headers)


class TestAccessToken:
    def assert_refused(self, client: Client, header: str | None) -> None:
        headers = {} if header is None else {"Authorization": header}
        response = client.get(ME, headers=headers)
        assert response.status_code == 401
        assert response.json()["code"] == "AUTHENTICATION_REQUIRED"
        assert response.headers["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            " ",
            "Bearer",
            "Bearer ",
            "Bearer  ",
            "Bearer unknown",
            "Bearer one two",
            "Bearer é",
            "Bearer 토큰",
            "Bearer nul\x00",
            "Bearer " + "x" * 129,
            "Bearer " + "x" * 100_000,
            "Basic bWluYTpwYXNz",
            "Token {token}",
            "{token}",
            "Bearer {token}x",
            "Bearer {token},{token}",
            "Bearer \x1f{token}",
        ],
        ids=range(19),
    )
    def test_must_be_one_of_ours(self, client, header):
        token = bearer(CustomerFactory())["Authorization"].removeprefix("Bearer ")

        self.assert_refused(client, header and header.format(token=token))

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
    def test_may_be_announced_in_any_case(self, client, scheme):
        token = bearer(CustomerFactory())["Authorization"].removeprefix("Bearer ")

        assert client.get(ME, headers={"Authorization": f"{scheme} {token}"}).status_code == 200

    def test_ends_with_its_lifetime(self, client, settings):
        now = timezone.now()
        with time_machine.travel(now, tick=False):
            headers = bearer(CustomerFactory())
        end = now + settings.ACCESS_TOKEN_LIFETIME

        with time_machine.travel(end - timedelta(milliseconds=1), tick=False):
            assert client.get(ME, headers=headers).status_code == 200
        with time_machine.travel(end, tick=False):
            self.assert_refused(client, headers["Authorization"])

    def test_of_another_case_is_another_token(self, client):
        token = bearer(CustomerFactory())["Authorization"].removeprefix("Bearer ")

        self.assert_refused(client, f"Bearer {token.swapcase()}")
