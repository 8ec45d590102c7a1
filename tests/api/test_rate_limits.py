"""Every operation has the limit that the contract names."""

import pytest

from tests.api.conftest import World, operations

pytestmark = pytest.mark.django_db

NAMED = {
    "POST /accounts/login": "login",
    "POST /accounts/register": "register",
    "POST /queue/tokens": "join",
    "POST /holds": "hold",
    "POST /holds/best-available": "hold",
    "POST /balance/charges": "charge",
}
# A login is counted at the account that it names.
BODIES = {"POST /accounts/login": {"email": "a@b.example", "password": "x"}}


@pytest.fixture(autouse=True)
def _limited(settings):
    settings.RATE_LIMIT_ENABLED = True


def test_every_operation_has_the_limit_of_the_contract(world: World):
    found = {}
    for operation, described in operations().items():
        response = world.owner(operation.format(**world.ids), BODIES.get(operation, {}))
        policy = response.get("RateLimit-Policy", "")
        found[operation] = policy.split(";")[0].strip('"') or None
        assert ("429" in described["responses"]) is bool(policy), operation
        if operation == "POST /accounts/logout":
            world.owner.headers |= world.other.headers

    writes = {name: "write" for name in operations() if not name.startswith("GET ")}
    assert found == dict.fromkeys(operations()) | writes | NAMED
