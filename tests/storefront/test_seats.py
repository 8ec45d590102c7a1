"""Choosing seats: who is let in, what the map is told, and what a hold answers to a page and to a script."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance, Seat
from apps.core.caching import clear_process_caches
from apps.queue.services import Admission, remove_visitor
from apps.reservations.models import Hold
from apps.reservations.services import admission_to_performance
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, reservation
from tests.storefront.rules import StrictClient
from tests.storefront.visits import (
    JSON,
    admitted,
    checkout_of,
    date_url,
    form,
    joined,
    logged_in,
    seat_map,
    url,
)

pytestmark = pytest.mark.django_db

Choose = Callable[..., Any]


@pytest.fixture
def concert() -> Concert:
    """A concert on sale; two seats for each customer."""
    return WaitingRoomFactory(concert__seats_per_customer=2).concert


@pytest.fixture
def performance(concert: Concert) -> Performance:
    return PerformanceFactory(concert=concert, seats=4)


@pytest.fixture
def seats(performance: Performance) -> list[Seat]:
    return list(Seat.objects.of_performance(performance.pk).in_map_order())


@pytest.fixture
def client(performance: Performance, customer: User) -> Client:
    """The customer's browser, admitted."""
    return admitted(performance.concert, customer)


class TestGate:
    def test_leads_the_admitted_to_the_first_date_with_seats(self, concert: Concert) -> None:
        sold_out = PerformanceFactory(concert=concert, seats=1)
        reservation(CustomerFactory(), list(Seat.objects.of_performance(sold_out.pk)))
        open_date = PerformanceFactory(concert=concert, seats=2)
        client = admitted(concert)

        answer = client.get(url("seats", concert))

        assert answer.headers["Location"] == seat_map(open_date)

    def test_says_so_when_every_date_is_sold_out(self, concert: Concert) -> None:
        sold_out = PerformanceFactory(concert=concert, seats=1)
        reservation(CustomerFactory(), list(Seat.objects.of_performance(sold_out.pk)))

        answer = admitted(concert).get(url("seats", concert))

        assert answer.status_code == 200
        assert answer.templates[0].name == "storefront/no_seats.html"

    def test_shows_the_way_to_what_is_held_when_nothing_is_left(
        self, client: Client, customer: User, performance: Performance, seats: list[Seat]
    ) -> None:
        for start in (0, 2):
            owner = CustomerFactory() if start else customer
            held = hold(owner, seats[start : start + 2])
        mine = Hold.objects.get(customer=customer)

        page = client.get(url("seats", performance.concert))
        tickets = client.get(reverse("storefront:reservations"))

        next_url = checkout_of(mine)
        assert page.templates[0].name == "storefront/no_seats.html"
        for shown in (page, tickets):
            assert f'href="{next_url}"' in shown.content.decode()
            assert str(held.pk) not in shown.content.decode()

    def test_lets_no_visitor_choose_two_leases_after_admission(
        self,
        client: Client,
        performance: Performance,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A customer who holds seats is still in, to pay for them."""
        gate = admission_to_performance

        def late(**asked: Any) -> tuple[Performance, Admission]:
            found, admission = gate(**asked)
            return found, replace(admission, new_holds_until=admission.seen_at)

        monkeypatch.setattr("apps.storefront.views.seats.admission_to_performance", late)

        page = client.get(seat_map(performance))

        text = page.content.decode()
        assert page.status_code == 200
        assert "Your time to choose seats is over." in text
        assert 'id="map"' not in text
        assert 'id="best"' not in text

    def test_sends_who_waits_back_to_the_queue(self, performance: Performance) -> None:
        page = joined(performance.concert).get(seat_map(performance))

        assert page.headers["Location"] == url("queue", performance.concert)

    @pytest.mark.parametrize("name", ["seat_map_data", "availability"])
    @pytest.mark.parametrize("headers", [JSON, {}, {"Accept": "*/*"}])
    def test_refuses_scripts_in_their_terms(
        self, performance: Performance, name: str, headers: dict[str, str]
    ) -> None:
        client = joined(performance.concert)

        answer = client.get(date_url(name, performance), headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (403, "QUEUE_TOKEN_NOT_ACTIVE")
        # And leave to the page what the visitor has to see.
        assert not answer.cookies

    def test_sends_whose_turn_is_over_where_it_is_explained(
        self, client: Client, customer: User, performance: Performance
    ) -> None:
        remove_visitor(concert_id=performance.concert_id, customer_id=customer.pk, staff_id=None)

        page = client.get(seat_map(performance), follow=True)

        assert page.templates[0].name == "storefront/queue.html"
        assert page.context["reason"] == "REMOVED"

    def test_sends_who_never_joined_to_the_concert(self, performance: Performance) -> None:
        answer = logged_in().get(seat_map(performance))

        assert answer.headers["Location"] == url("concert", performance.concert)

    def test_sends_strangers_to_the_login_and_back(self, performance: Performance) -> None:
        page = StrictClient().get(seat_map(performance))
        script = StrictClient().get(date_url("availability", performance), headers=JSON)

        assert page.headers["Location"] == (
            f"{reverse('storefront:login')}?next={seat_map(performance)}"
        )
        assert script.status_code == 401

    def test_knows_no_place_of_another_customer(
        self, client: Client, performance: Performance
    ) -> None:
        client.force_login(CustomerFactory())

        script = client.get(seat_map(performance), headers=JSON)
        page = client.get(seat_map(performance), follow=True)

        assert (script.status_code, script.json()["code"]) == (403, "QUEUE_TOKEN_INVALID")
        assert page.templates[0].name == "storefront/concert.html"
        assert "queue_token" not in client.cookies or not client.cookies["queue_token"].value

    def test_finds_no_date_of_another_concert(
        self, client: Client, performance: Performance
    ) -> None:
        other = PerformanceFactory(concert=WaitingRoomFactory().concert, seats=1)
        address = reverse("storefront:seat_map", args=[performance.concert_id, other.pk])

        page, script = client.get(address, follow=True), client.get(address, headers=JSON)

        assert page.request["PATH_INFO"] == seat_map(performance)
        assert script.status_code == 403


class TestPage:
    def test_shows_dates_grades_limit_and_time(
        self, client: Client, performance: Performance
    ) -> None:
        PerformanceFactory(concert=performance.concert, seats=3)

        page = client.get(seat_map(performance))

        assert page.status_code == 200
        assert [date.seats_available for date in page.context["dates"]] == [4, 3]
        assert page.context["grades"] == [("R", 50_000)]
        assert list(page.context["quantities"]) == [1, 2]
        assert 0 < page.context["lease_seconds"] <= 300
        assert "₩50,000" in page.content.decode()

    def test_tells_the_script_which_seats_are_the_customers_own(
        self, performance: Performance, seats: list[Seat]
    ) -> None:
        customer = CustomerFactory()
        held = hold(customer, seats[:1])
        hold(CustomerFactory(), seats[1:2])

        page = admitted(performance.concert, customer).get(seat_map(performance))

        assert page.context["own"] == [seats[0].pk]
        assert list(page.context["quantities"]) == [1]
        checkout = checkout_of(held)
        assert f'href="{checkout}"' in page.content.decode()

    def test_costs_few_queries_whatever_is_shown(
        self,
        client: Client,
        performance: Performance,
        django_assert_max_num_queries: Callable[[int], Any],
    ) -> None:
        for _ in range(5):
            PerformanceFactory(concert=performance.concert, seats=2)

        with django_assert_max_num_queries(10):
            client.get(seat_map(performance))

    def test_names_the_kinds_of_seats_that_there_are(
        self, client: Client, performance: Performance, seats: list[Seat]
    ) -> None:
        before = client.get(seat_map(performance)).content.decode()
        for seat, kind in zip(seats, ("AISLE", "WHEELCHAIR"), strict=False):
            Seat.objects.filter(pk=seat.pk).update(kind=kind)
        clear_process_caches()

        after = client.get(seat_map(performance)).content.decode()

        for words in ("aisle seat", "wheelchair space", 'id="seat-kind"', 'id="best-kind"'):
            assert words in after
            # Among the words for scripts they are there in any case.
            assert words not in before.partition('id="seat-words"')[0]


class TestMap:
    def test_is_drawn_in_map_order(
        self, client: Client, performance: Performance, seats: list[Seat]
    ) -> None:
        answer = client.get(date_url("seat_map_data", performance))

        drawn = answer.json()
        assert [seat[0] for seat in drawn["seats"]] == [seat.pk for seat in seats]
        assert drawn["seats"][0][1:] == ["1", "A", 1, 1, 1, "R"]
        assert drawn["grades"] == [{"grade": "R", "price": 50_000}]

    @pytest.mark.parametrize("name", ["seat_map_data", "availability"])
    def test_is_not_sent_twice(self, client: Client, performance: Performance, name: str) -> None:
        address = date_url(name, performance)
        first = client.get(address)

        again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})

        assert (first.status_code, again.status_code) == (200, 304)
        assert not again.content
        assert "private" in first.headers["Cache-Control"]

    @pytest.mark.parametrize("name", ["seat_map_data", "availability"])
    def test_is_compressed(self, concert: Concert, name: str) -> None:
        large = PerformanceFactory(concert=concert, seats=400)
        address = date_url(name, large)
        client = admitted(concert)

        answer = client.get(address, headers={"Accept-Encoding": "gzip"})
        again = client.get(
            address,
            headers={"Accept-Encoding": "gzip", "If-None-Match": answer.headers["ETag"]},
        )

        plain = client.get(address, headers={"Accept-Encoding": "identity"})

        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(answer.content) == plain.content
        for sent in (answer, plain):
            assert "Accept-Encoding" in sent.headers["Vary"]
        # Two forms of one content: equal for `If-None-Match`, but not byte for byte.
        assert answer.headers["ETag"] == f"W/{plain.headers['ETag']}"
        assert again.status_code == 304

    def test_has_a_letter_for_each_seat(
        self, client: Client, performance: Performance, seats: list[Seat]
    ) -> None:
        address = date_url("availability", performance)
        before = client.get(address)
        hold(CustomerFactory(), seats[:1])
        reservation(CustomerFactory(), seats[2:3])
        clear_process_caches()

        after = client.get(address, headers={"If-None-Match": before.headers["ETag"]})

        assert before.content == b"AAAA"
        assert (after.status_code, after.content) == (200, b"HARA")


class TestHolding:
    @pytest.fixture
    def choose(self, client: Client, performance: Performance) -> Choose:
        """`choose(seat)` sends the map's form with seats, or with other `fields`, as a script does or follows as a page."""

        def send(*chosen: Seat, as_page: bool = False, language: str = "en", **fields: Any) -> Any:
            sent = form(**({"seats": [seat.pk for seat in chosen]} if chosen else {}) | fields)
            headers = {"Accept-Language": language} | ({} if as_page else JSON)
            return client.post(seat_map(performance), sent, headers=headers, follow=as_page)

        return send

    def test_leads_to_the_checkout(
        self, client: Client, performance: Performance, seats: list[Seat]
    ) -> None:
        answer = client.post(seat_map(performance), form(seats=[seats[0].pk, seats[1].pk]))

        made = Hold.objects.get()
        assert (answer.status_code, answer.headers["Location"]) == (302, checkout_of(made))
        assert set(made.claims.values_list("seat_id", flat=True)) == {seats[0].pk, seats[1].pk}

    def test_tells_a_script_where_to_go(self, choose: Choose, seats: list[Seat]) -> None:
        answer = choose(seats[0])

        assert answer.status_code == 200
        assert answer.json()["location"] == checkout_of(Hold.objects.get())

    def test_of_the_best_needs_no_map(self, choose: Choose) -> None:
        answer = choose(quantity=2, grade="R", as_page=True)

        assert answer.redirect_chain == [(checkout_of(Hold.objects.get()), 302)]
        assert Hold.objects.get().claims.count() == 2

    def test_of_the_best_with_a_wheelchair_space(
        self, choose: Choose, performance: Performance, seats: list[Seat]
    ) -> None:
        Seat.objects.filter(pk=seats[2].pk).update(kind="WHEELCHAIR")

        choose(quantity=2, grade="", kind="WHEELCHAIR", as_page=True)

        assert Hold.objects.get().claims.filter(seat=seats[2]).exists()

    @pytest.mark.parametrize("is_of_the_best", [True, False])
    def test_of_a_form_that_is_sent_twice_is_one(
        self, client: Client, performance: Performance, seats: list[Seat], is_of_the_best: bool
    ) -> None:
        sent = form(quantity=1) if is_of_the_best else form(seats=[seats[0].pk])

        answers = [client.post(seat_map(performance), sent) for _ in range(2)]

        next_url = checkout_of(Hold.objects.get())
        assert [answer.headers["Location"] for answer in answers] == [next_url] * 2

    def test_of_a_form_that_comes_back_with_another_choice_is_refused(
        self, choose: Choose, seats: list[Seat]
    ) -> None:
        key = str(uuid4())
        choose(seats[0], key=key)

        again = choose(seats[1], key=key)
        page = choose(seats[1], key=key, as_page=True)

        assert (again.status_code, again.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
        assert "This form was out of date." in page.content.decode()
        assert Hold.objects.count() == 1

    def test_names_the_seat_that_another_customer_has(
        self, choose: Choose, performance: Performance, seats: list[Seat]
    ) -> None:
        hold(CustomerFactory(), seats[:1])

        script = choose(*seats[:2])
        page = choose(*seats[:2], as_page=True)

        assert (script.status_code, script.json()["code"]) == (409, "SEAT_ALREADY_HELD")
        assert script.json()["data"]["seat_ids"] == [seats[0].pk]
        assert page.redirect_chain[0][0] == seat_map(performance)
        assert "This seat is held already." in page.content.decode()
        assert Hold.objects.count() == 1

    @pytest.mark.parametrize("as_page", [False, True])
    def test_says_how_many_unpaid_seats_there_may_be(
        self, choose: Choose, customer: User, seats: list[Seat], as_page: bool
    ) -> None:
        other_date = PerformanceFactory(concert=seats[0].performance.concert, seats=2)
        hold(customer, list(other_date.seats.all()))

        answer = choose(seats[0], as_page=as_page)

        expected = "you hold 2, and the limit for all dates together is 2"
        assert expected in (answer.content.decode() if as_page else answer.json()["message"])
        assert Hold.objects.count() == 1

    def test_offers_no_more_than_may_be_held(
        self, client: Client, customer: User, performance: Performance
    ) -> None:
        other_date = list(PerformanceFactory(concert=performance.concert, seats=2).seats.all())

        hold(customer, other_date[:1])
        one_left = client.get(seat_map(performance))
        hold(customer, other_date[1:])
        none_left = client.get(seat_map(performance))

        assert list(one_left.context["quantities"]) == [1]
        assert list(none_left.context["quantities"]) == []
        assert "You hold 2 unpaid seats of this concert." in none_left.content.decode()

    def test_names_the_seat_that_a_choice_leaves_single(
        self, choose: Choose, seats: list[Seat]
    ) -> None:
        Concert.objects.update(single_seats="REFUSE")

        answer = choose(seats[1])

        assert answer.status_code == 409
        assert answer.json()["message"] == (
            "This would leave a single seat on its own: 1, row A, seat 1. Please choose differently."
        )

    def test_names_the_amounts_that_no_balance_can_hold(
        self, choose: Choose, seats: list[Seat]
    ) -> None:
        Seat.objects.update(price=6_000_000)

        answer = choose(*seats[:2], language="ko")

        assert answer.status_code == 409
        for part in ("12,000,000", "10,000,000", "합계"):
            assert part in answer.json()["message"]

    @pytest.mark.parametrize(("limit", "rule"), [(1, "OFF"), (2, "REFUSE")])
    def test_tells_the_map_what_becomes_of_single_seats(
        self, client: Client, performance: Performance, limit: int, rule: str
    ) -> None:
        Concert.objects.update(single_seats="REFUSE", seats_per_customer=limit)

        page = client.get(seat_map(performance)).content.decode()

        assert f'data-single-seats="{rule}"' in page
        assert 'data-price-limit="10000000"' in page

    def test_refuses_more_than_allowed(self, choose: Choose, seats: list[Seat]) -> None:
        answer = choose(*seats[:3])

        assert (answer.status_code, answer.json()["code"]) == (409, "SEAT_LIMIT_EXCEEDED")
        assert not Hold.objects.exists()

    @pytest.mark.parametrize(
        "sent",
        [
            {},
            *({"seats": odd} for odd in ("", "x", "-1", "1e3", "\x00", "9" * 30, ["1"] * 11)),
            {"seats": [str(number) for number in range(1, 13)]},
            *({"seats": "1", "key": key} for key in ("", "x")),
            *({"quantity": odd} for odd in ("", "0", "11", "two", "9" * 400)),
            {"quantity": "1", "key": "\x00"},
            *({"quantity": "1", "grade": odd} for odd in ("X", "\x00")),
        ],
    )
    def test_takes_nothing_that_makes_no_sense(
        self, choose: Choose, performance: Performance, sent: dict[str, Any]
    ) -> None:
        script, page = choose(**sent), choose(**sent, as_page=True)

        assert (script.status_code, script.json()["code"]) == (400, "VALIDATION_ERROR")
        assert page.redirect_chain == [(seat_map(performance), 302)]
        assert not Hold.objects.exists()

    @pytest.mark.parametrize("seat_id", [1, 2**63 - 1, 10**18 - 1])
    def test_knows_no_seat_of_another_hall(self, choose: Choose, seat_id: int) -> None:
        Seat.objects.filter(pk=seat_id).delete()

        assert choose(seats=[seat_id]).status_code in (400, 404)
        assert not Hold.objects.exists()

    def test_is_for_the_admitted(self, performance: Performance, seats: list[Seat]) -> None:
        waiting = joined(performance.concert)

        script = waiting.post(seat_map(performance), form(seats=[seats[0].pk]), headers=JSON)
        page = waiting.post(seat_map(performance), form(seats=[seats[0].pk]))

        assert script.status_code == 403
        assert page.headers["Location"] == url("queue", performance.concert)
        assert not Hold.objects.exists()
