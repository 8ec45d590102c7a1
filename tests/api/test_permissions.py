"""Test who may do what: every operation, called by all. What belongs to a customer does not exist for another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.models import AccessToken, User
from apps.payments.models import LedgerTransaction
from tests.api.conftest import Caller, World, logged_in, operations
from tests.factories.accounts import PASSWORD, CustomerFactory

pytestmark = pytest.mark.django_db

NO_LOGIN = "401 AUTHENTICATION_REQUIRED"
NO_PLACE = "403 QUEUE_TOKEN_REQUIRED"
NOT_YOURS = "403 QUEUE_TOKEN_INVALID"
# In this order they call: the owner comes last and finds everything as it was.
CALLERS = ("anonymous", "ended", "thief", "other", "staff", "owner")


@dataclass(frozen=True)
class Rule:
    """Hold what each caller gets, and the body that all of them send."""

    answers: dict[str, str]
    body: Callable[[World, int], Any] | None = None

    def sends(self, body: Callable[[World, int], Any]) -> "Rule":
        """`body(world, number)`: the number is another one for each caller."""
        return Rule(self.answers, body)


def all_callers(success: int) -> Rule:
    return Rule(dict.fromkeys(CALLERS, f"{success}"))


def customers(success: int, **others: str) -> Rule:
    """Let each see and change only what is their own."""
    return Rule(all_callers(success).answers | {"anonymous": NO_LOGIN, "ended": NO_LOGIN, **others})


def owner(success: int, missing: str) -> Rule:
    return Rule(
        {"anonymous": NO_LOGIN, "ended": NO_LOGIN}
        | dict.fromkeys(("thief", "other", "staff"), f"404 {missing}")
        | {"owner": f"{success}"}
    )


def admitted(success: int) -> Rule:
    return Rule(
        {"anonymous": NO_LOGIN, "ended": NO_LOGIN, "thief": NOT_YOURS, "staff": NO_PLACE}
        | {"other": f"{success}", "owner": f"{success}"}
    )


def token_holders(success: int) -> Rule:
    """Let the token alone say who asks; without a login, too."""
    return Rule(all_callers(success).answers | {"anonymous": NO_PLACE, "staff": NO_PLACE})


RULES = {
    "POST /accounts/register": all_callers(201).sends(
        lambda world, number: {"email": f"n{number}@example.com", "password": PASSWORD, "name": "N"}
    ),
    "POST /accounts/login": all_callers(200).sends(
        lambda world, number: {"email": newcomer(number).email, "password": PASSWORD}
    ),
    "POST /accounts/logout": customers(200),
    "GET /accounts/me": customers(200),
    "GET /concerts": all_callers(200),
    "GET /concerts/{concert_id}": all_callers(200),
    "GET /concerts/popular": all_callers(200),
    "GET /concerts/fastest-sold-out": all_callers(200),
    "GET /concerts/{concert_id}/performances": admitted(200),
    "GET /performances/{performance_id}/seats": admitted(200),
    "GET /performances/{performance_id}/seat-map": admitted(200),
    "GET /performances/{performance_id}/availability": admitted(200),
    "POST /queue/tokens": customers(200, staff="403 STAFF_ACCOUNT").sends(
        lambda world, number: {"concert_id": world.performance.concert_id}
    ),
    "GET /queue/tokens/me": token_holders(200),
    "DELETE /queue/tokens/me": token_holders(200),
    "GET /queue/concerts/{concert_id}": all_callers(200),
    "POST /holds": admitted(201).sends(
        lambda world, number: {
            "performance_id": world.performance.pk,
            "seat_ids": [world.seats[10 + number].pk],
        }
    ),
    "POST /holds/best-available": admitted(201).sends(
        lambda world, number: {"performance_id": world.performance.pk, "quantity": 1}
    ),
    "GET /holds/{hold_id}": owner(200, "HOLD_NOT_FOUND"),
    "DELETE /holds/{hold_id}": owner(200, "HOLD_NOT_FOUND"),
    "POST /holds/{hold_id}/extend": owner(200, "HOLD_NOT_FOUND"),
    "POST /reservations": owner(201, "HOLD_NOT_FOUND").sends(
        lambda world, number: {"hold_id": str(world.hold.pk)}
    ),
    "GET /reservations": customers(200),
    "GET /reservations/{reservation_id}": owner(200, "RESERVATION_NOT_FOUND"),
    "POST /reservations/{reservation_id}/cancel": owner(200, "RESERVATION_NOT_FOUND"),
    "GET /tickets/{ticket_id}/qr.svg": owner(200, "NOT_FOUND"),
    "GET /balance": customers(200),
    "POST /balance/charges": customers(201).sends(lambda world, number: {"amount": 1_000}),
    "GET /balance/transactions": customers(200),
}
OWNED = [name for name, rule in RULES.items() if rule.answers["other"].startswith("404")]
PERSONAL = [name for name, rule in RULES.items() if rule.answers["anonymous"] == NO_LOGIN]


def newcomer(number: int) -> User:
    return CustomerFactory(email=f"newcomer{number}@example.com", password=PASSWORD)


def callers(world: World) -> dict[str, Caller]:
    """Return all callers: the thief has stolen the owner's place in the queue; the ended login was logged out."""
    place = {"Queue-Token": world.owner.headers["Queue-Token"]}
    thief, ended = logged_in(CustomerFactory()), logged_in(CustomerFactory())
    ended("POST /accounts/logout")
    return {
        "anonymous": Caller({}),
        "ended": Caller(ended.headers | place),
        "thief": Caller(thief.headers | place, thief.user_id),
        "other": world.other,
        "staff": world.staff,
        "owner": world.owner,
    }


def answered(response: Any) -> str:
    if response.status_code < 400:
        return str(response.status_code)
    return f"{response.status_code} {response.json()['code']}"


def secrets(world: World) -> list[str]:
    """Return what the owner alone may ever read."""
    booked = LedgerTransaction.objects.filter(customer_id=world.owner.user_id)
    owner = User.objects.get(pk=world.owner.user_id)
    ids = [
        world.hold.pk,
        world.reservation.pk,
        world.ticket.pk,
        *booked.values_list("pk", flat=True),
    ]
    return [*map(str, ids), world.ticket.code, owner.email, owner.name]


def test_every_operation_is_classified():
    assert set(RULES) == set(operations())


@pytest.mark.parametrize("operation", RULES)
def test_operation_is_for(operation: str, world: World):
    rule, by_name = RULES[operation], callers(world)
    if operation == "POST /queue/tokens":  # 201 for who has no place yet: give all callers one
        for name in ("thief", "staff"):
            by_name[name]("POST /queue/tokens", {"concert_id": world.performance.concert_id})
    path = operation.format(**world.ids)
    private = secrets(world)

    answers = {}
    for number, name in enumerate(CALLERS):
        body = rule.body(world, number) if rule.body else None
        response = by_name[name](path, body)
        answers[name] = answered(response)
        if name != "owner":
            assert not [secret for secret in private if secret in response.content.decode()]

    assert answers == rule.answers


@pytest.mark.parametrize("operation", OWNED)
def test_what_is_anothers_looks_like_what_does_not_exist(operation: str, world: World):
    body = {"hold_id": str(world.hold.pk)} if operation == "POST /reservations" else None
    nothing = {name: uuid4() for name in ("hold_id", "reservation_id", "ticket_id")}
    nothing_body = body and {"hold_id": str(uuid4())}

    theirs = world.other(operation.format(**world.ids), body).json()
    missing = world.other(operation.format(**world.ids | nothing), nothing_body).json()

    for answer in (theirs, missing):
        answer["data"].pop("request_id")
    assert theirs == missing


class TestOwnThings:
    def test_are_the_callers(self, world: World):
        for caller in (world.owner, world.other, world.staff):
            assert caller("GET /accounts/me").json()["data"]["user_id"] == caller.user_id

    def test_of_others_are_not_in_the_lists(self, world: World):
        counts = {
            path: [
                caller(f"GET {path}").json()["data"]["total"]
                for caller in (world.owner, world.other, world.staff)
            ]
            for path in ("/reservations", "/balance/transactions")
        }

        assert counts == {"/reservations": [1, 0, 0], "/balance/transactions": [2, 1, 0]}

    def test_of_others_are_theirs_in_the_seat_list(self, world: World):
        path = f"GET /performances/{world.performance.pk}/seats"

        mine, theirs = (
            [seat["seat_id"] for seat in caller(path).json()["data"]["seats"] if seat["held_by_me"]]
            for caller in (world.owner, world.other)
        )

        assert mine == [world.seats[1].pk]
        assert theirs == []


class TestLogin:
    @pytest.mark.parametrize(
        "header",
        ["", "Bearer", "Bearer x", "Basic eDp5", "Token {token}", "{token}", "Bearer {token}x"],
    )
    def test_must_be_a_live_one(self, header: str, world: World):
        token = world.owner.headers["Authorization"].removeprefix("Bearer ")
        forged = Caller(world.owner.headers | {"Authorization": header.format(token=token)})

        answers = {name: forged(name.format(**world.ids), {}) for name in PERSONAL}

        assert {name: answered(response) for name, response in answers.items()} == dict.fromkeys(
            PERSONAL, NO_LOGIN
        )
        assert {response["WWW-Authenticate"] for response in answers.values()} == {"Bearer"}

    def test_of_an_account_that_was_closed_is_over(self, world: World):
        User.objects.filter(pk=world.owner.user_id).update(is_active=False)

        assert answered(world.owner("GET /accounts/me")) == NO_LOGIN

    def test_is_over_when_its_time_is(self, world: World):
        AccessToken.objects.filter(user=world.owner.user_id).update(
            created_at="2020-01-01T00:00:00Z", expires_at="2020-01-02T00:00:00Z"
        )

        assert answered(world.owner("GET /accounts/me")) == NO_LOGIN

    def test_of_the_admin_site_is_none_here(self, world: World, client):
        client.force_login(CustomerFactory(admin=True))

        assert answered(client.get("/api/v1/accounts/me")) == NO_LOGIN
