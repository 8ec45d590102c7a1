"""Taking concerts offline from the administration: asked first, with a reason, on record."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from apps.concerts.models import Concert, Performance
from apps.concerts.publication import publish_concert, stakes_of
from tests.boxoffice.sending import act, concert_form, send, shown_by
from tests.boxoffice.staff import clerk, list_of, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.reservations import hold, overdue_hold

pytestmark = pytest.mark.django_db

REASON = "The hall has changed."
LIST = list_of(Concert)


@pytest.fixture
def concert() -> Concert:
    """A concert with three tickets sold, one hold that is live and one that is overdue."""
    performance = PerformanceFactory(seats=4)
    first, second, *_ = performance.seats.order_by("pk")
    hold(CustomerFactory(), [first])
    overdue_hold(CustomerFactory(), [second])
    Performance.objects.update(seats_sold=3)
    return performance.concert


def history(concert: Concert) -> list[str]:
    entries = LogEntry.objects.filter(object_id=str(concert.pk)).order_by("pk")
    return [entry.get_change_message() for entry in entries]


def is_published(concert: Concert) -> bool:
    return Concert.objects.get(pk=concert.pk).is_published


class TestStakes:
    def test_say_what_becomes_of_holds_and_tickets(self, concert: Concert) -> None:
        assert stakes_of(concert.pk) == [
            "1 hold is not paid yet; it can be paid until it expires.",
            "3 tickets are sold; they stay valid.",
        ]

    def test_are_none_of_a_concert_of_which_nothing_was_sold(self) -> None:
        assert stakes_of(ConcertFactory().pk) == []


class TestTakingOffline:
    def test_the_list_asks_first(self, staff: Client, concert: Concert) -> None:
        question = act(staff, "withdraw", concert, follow=True)

        text = question.content.decode()
        assert "1 hold is not paid yet; it can be paid until it expires." in text
        assert "3 tickets are sold; they stay valid." in text
        assert is_published(concert)
        assert history(concert) == []

    def test_it_is_done_once_and_stands_in_the_history(
        self, staff: Client, concert: Concert
    ) -> None:
        question = act(staff, "withdraw", concert).headers["Location"]

        form = {"_shown": shown_by(staff, question), "reason": REASON}
        answers = [staff.post(question, form) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [302, 302]
        assert not is_published(concert)
        assert history(concert) == [f"Taken offline. {REASON}"]
        assert staff.get(f"/api/v1/concerts/{concert.pk}").status_code == 404

        publish_concert(concert_id=concert.pk)
        staff.post(question, form)

        assert is_published(concert)

    def test_it_needs_a_reason(self, staff: Client, concert: Concert) -> None:
        question = staff.get(page_of(concert, "withdraw_this")).headers["Location"]

        answer = send(staff, question, {"reason": " "})

        assert answer.status_code == 200
        assert is_published(concert)

    def test_several_at_once(self, staff: Client, concert: Concert) -> None:
        others = ConcertFactory.create_batch(2)
        question = act(staff, "withdraw", concert, *others)

        send(staff, question.headers["Location"], {"reason": REASON})

        assert not Concert.objects.published().exists()

    def test_a_form_that_unpublishes_saves_the_rest_and_asks(
        self, staff: Client, concert: Concert
    ) -> None:
        form = concert_form(concert, title="Other")
        del form["is_published"]

        answer = send(staff, page_of(concert), form)

        assert answer.status_code == 302
        assert answer.headers["Location"].endswith(f"/withdraw/?concert={concert.pk}")
        assert is_published(concert)
        assert Concert.objects.get(pk=concert.pk).title == "Other"
        assert "ublished" not in "".join(history(concert))

    @pytest.mark.parametrize("query", ["", "?concert=x", f"?concert={10**30}", "?concert=1"])
    def test_a_strange_address_takes_nothing_offline(
        self, staff: Client, concert: Concert, query: str
    ) -> None:
        url = list_of(Concert, "withdraw") + query

        assert staff.get(url).status_code == 200
        assert send(staff, url, {"reason": REASON}).status_code == 302
        assert is_published(concert)

    def test_it_is_for_those_who_may_change_concerts(self, concert: Concert) -> None:
        client, url = clerk("view_concert"), f"{list_of(Concert, 'withdraw')}?concert={concert.pk}"

        assert client.get(url).status_code == 403
        assert client.post(url, {"reason": REASON}).status_code == 403
        assert is_published(concert)


class TestPublishing:
    @pytest.fixture
    def hidden(self) -> Concert:
        return ConcertFactory(is_published=False)

    def by_form(self, staff: Client, concert: Concert) -> Any:
        return send(staff, page_of(concert), concert_form(concert, is_published="on"))

    def by_list(self, staff: Client, concert: Concert) -> Any:
        return act(staff, "publish", concert)

    def by_button(self, staff: Client, concert: Concert) -> Any:
        page = page_of(concert, "publish")
        assert page in staff.get(f"{LIST}{concert.pk}/publish_this/").headers["Location"]
        assert staff.get(page).status_code == 200
        assert not is_published(concert)
        return send(staff, page, {})

    @pytest.mark.parametrize("door", [by_form, by_list, by_button])
    def test_by_every_door_stands_in_the_history(
        self, staff: Client, hidden: Concert, door: Any
    ) -> None:
        assert door(self, staff, hidden).status_code == 302

        assert is_published(hidden)
        assert "Published." in history(hidden)
