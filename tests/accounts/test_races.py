from collections import Counter
from functools import partial
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AccessToken, User
from apps.accounts.services import log_in
from tests.factories.accounts import PASSWORD, CustomerFactory
from tests.protections import SETTING_A_PASSWORD, without_constraints
from tests.reservations.racing import meet_before

pytestmark = pytest.mark.django_db(transaction=True)

RIVALS = 8


def register(name: str) -> Any:
    return Client().post(
        "/api/v1/accounts/register",
        {"email": "mina@example.com", "password": PASSWORD, "name": name},
        content_type="application/json",
    )


@pytest.fixture
def all_look_before_one_writes(monkeypatch):
    """The password is set between the look whether the address is taken and the insert."""
    meet_before(monkeypatch, SETTING_A_PASSWORD, RIVALS)


@pytest.mark.usefixtures("all_look_before_one_writes")
class TestParallelRegistrations:
    def test_of_one_address_open_one_account(self, race):
        responses = race([partial(register, f"Mina {n}") for n in range(RIVALS)])

        codes = Counter(response.json()["code"] for response in responses)
        assert codes == {"SUCCESS": 1, "EMAIL_TAKEN": RIVALS - 1}
        [winner] = [response for response in responses if response.status_code == 201]
        assert {response.status_code for response in responses if response is not winner} == {409}
        assert User.objects.get().name == winner.json()["data"]["name"]

    def test_without_the_constraint_open_many(self, race):
        with without_constraints("user_email_unique"):
            responses = race([partial(register, f"Mina {n}") for n in range(RIVALS)])

            assert [response.status_code for response in responses] == [201] * RIVALS
            assert User.objects.filter(email="mina@example.com").count() == RIVALS


def test_parallel_logins_get_tokens_of_their_own(race):
    customer = CustomerFactory(password=PASSWORD)

    issued = race([lambda: log_in(email=customer.email, password=PASSWORD)] * RIVALS)

    assert len({login.token for login in issued}) == RIVALS
    assert AccessToken.objects.filter(user=customer).count() == RIVALS
