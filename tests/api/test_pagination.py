import pytest
from django.test import Client

from apps.api.pagination import MAX_PAGE, MAX_PAGE_SIZE
from tests.factories.accounts import CustomerFactory
from tests.probes import API

pytestmark = [pytest.mark.urls("tests.probes"), pytest.mark.django_db]

CUSTOMERS = f"{API}/customers"


def page(api: Client, query: str = "") -> dict:
    response = api.get(f"{CUSTOMERS}{query}")
    assert response.status_code == 200, response.content
    return response.json()["data"]


def test_starts_with_the_first_twenty(api):
    ids = [customer.pk for customer in CustomerFactory.create_batch(21)]

    first, second = page(api), page(api, "?page=2")

    assert [item["user_id"] for item in first["items"] + second["items"]] == ids
    assert len(first["items"]) == 20
    assert (first["page"], first["page_size"], first["total"]) == (1, 20, 21)
    assert (second["page"], second["page_size"], second["total"]) == (2, 20, 21)


def test_is_empty_beyond_the_last_page(api):
    CustomerFactory()

    data = page(api, f"?page={MAX_PAGE}&page_size={MAX_PAGE_SIZE}")

    assert data == {"items": [], "page": MAX_PAGE, "page_size": MAX_PAGE_SIZE, "total": 1}


def test_is_empty_when_there_is_nothing(api):
    assert page(api) == {"items": [], "page": 1, "page_size": 20, "total": 0}


@pytest.mark.parametrize("size", [1, 2, 100])
def test_has_the_size_that_was_asked_for(api, size):
    CustomerFactory.create_batch(3)

    assert len(page(api, f"?page_size={size}")["items"]) == min(size, 3)


@pytest.mark.parametrize(("name", "most"), [("page", MAX_PAGE), ("page_size", 100)])
@pytest.mark.parametrize(
    "value",
    ["0", "-1", "1.5", "x", "", "%00", "1%00", "null", "true", "1e1", "%20", "9" * 30, "9" * 5_000],
)
def test_refuses_what_is_no_page(api, name, most, value):
    for odd in (value, most + 1):
        response = api.get(f"{CUSTOMERS}?{name}={odd}")

        assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")
        assert list(response.json()["data"]["errors"]) == [name]


@pytest.mark.parametrize("customers", [0, 1, 30])
def test_costs_two_queries(api, customers, django_assert_num_queries):
    CustomerFactory.create_batch(customers)

    with django_assert_num_queries(2):
        page(api)
