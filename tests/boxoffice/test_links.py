"""A page of the admin offers staff nothing that they are not allowed: no link of it leads to a refusal."""

import re
from urllib.parse import urljoin

import pytest
from django.test import Client
from django.urls import reverse

from apps.concerts.models import Concert
from apps.queue.models import WaitingRoom
from tests.boxoffice.season import one_of_each
from tests.boxoffice.staff import administrator, clerk, list_of, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.queue import WaitingRoomFactory

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

LINK = re.compile(r'(?:href|action)="((?:/admin/|\?|\.\./)[^"#]*)"')


def links_of(client: Client, url: str) -> set[str]:
    answer = client.get(url)
    assert answer.status_code == 200, url
    found = LINK.findall(answer.content.decode())
    return {link.replace("&amp;", "&") for link in found if link.startswith(("/", ".."))}


def refused(client: Client, *urls: str) -> list[str]:
    links = {urljoin(url, link) for url in urls for link in links_of(client, url)}
    links -= {"/admin/logout/"}
    return sorted(link for link in links if client.get(link).status_code in {403, 404})


def test_of_the_pages_of_any_kind() -> None:
    found = {}
    for model, obj in one_of_each().items():
        client = clerk(f"view_{model._meta.model_name}")
        found[model] = refused(client, reverse("admin:index"), list_of(model), page_of(obj))

    assert {model: links for model, links in found.items() if links} == {}


def test_a_new_password_is_offered_where_it_may_be_set() -> None:
    customer, colleague = CustomerFactory(), CustomerFactory(staff=True)
    offered = {
        (right, obj.pk): "../password/"
        in clerk("view_user", right).get(page_of(obj)).content.decode()
        for right in ("view_user", "change_user")
        for obj in (customer, colleague)
    }

    assert [of for of, is_offered in offered.items() if is_offered] == [
        ("change_user", customer.pk)
    ]
    assert refused(clerk("change_user"), page_of(customer)) == []


class TestEmptyLists:
    def words(self, client: Client, query: str = "") -> str:
        text: str = client.get(list_of(Concert) + query).content.decode()
        assert "yielded" not in text
        return text

    def test_say_what_to_do_next(self) -> None:
        boss = administrator()

        assert "Add the first concert with its dates" in self.words(boss)
        assert "Entries appear here by themselves." in self.words(clerk("view_concert"))
        searched = " ".join(self.words(boss, "?q=nothing").split())
        assert "Check the spelling. You can search by:" in searched
        assert 'href="?"' in searched
        filtered = self.words(boss, "?is_published__exact=1")
        assert "No entry has all of the properties that you filter by." in filtered


@pytest.mark.parametrize("control", ["pause", "remove"])
def test_the_way_to_a_page_of_ours_stands_above_it(control: str) -> None:
    room = WaitingRoomFactory()
    client = clerk("change_waitingroom")

    links = links_of(client, f"{list_of(WaitingRoom)}{room.pk}/steer/{control}/")

    assert {"/admin/queue/waitingroom/", page_of(room)} <= links
