"""The public lists of concerts, their rankings, and how answers are kept by clients."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.concerts.models import Grade
from apps.concerts.selectors import popular_answers
from apps.concerts.services import rebuild_ranking
from tests.factories.accounts import CustomerFactory, bearer
from tests.factories.concerts import (
    ConcertFactory,
    PerformanceFactory,
    RankingEntryFactory,
    SeatFactory,
)

pytestmark = pytest.mark.django_db

LIST = "/api/v1/concerts"
POPULAR = "/api/v1/concerts/popular"
FASTEST = "/api/v1/concerts/fastest-sold-out"


def iso(at):
    return at.isoformat().replace("+00:00", "Z")


def items(client, path=LIST, **query):
    response = client.get(path, query)
    assert response.status_code == 200, response.content
    return response.json()["data"]["items"]


def expect_refused(client, path, query):
    """Expect that the one parameter of a query is refused."""
    response = client.get(f"{path}?{query}")

    assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")
    assert list(response.json()["data"]["errors"]) == [query.split("=")[0]]


def ids(client, **query):
    return [item["concert_id"] for item in items(client, **query)]


class TestConcerts:
    def test_shows_what_is_sold(self, client):
        first = PerformanceFactory()
        last = PerformanceFactory(
            concert=first.concert, starts_at=first.starts_at + timedelta(days=1)
        )
        concert = first.concert

        response = client.get(LIST)

        assert response.status_code == 200
        assert response.json() == {
            "code": "SUCCESS",
            "message": "Concerts.",
            "data": {
                "items": [
                    {
                        "concert_id": concert.pk,
                        "title": concert.title,
                        "artist": concert.artist,
                        "venue": concert.venue,
                        "sales_open_at": iso(concert.sales_open_at),
                        "first_performance_at": iso(first.starts_at),
                        "last_performance_at": iso(last.starts_at),
                        "on_sale": True,
                    }
                ],
                "page": 1,
                "page_size": 20,
                "total": 1,
            },
        }

    def test_lists_the_next_to_begin_first_and_hides_what_is_over_or_unpublished(self, client):
        now = timezone.now()
        undated = ConcertFactory()
        later = PerformanceFactory(starts_at=now + timedelta(days=2)).concert
        sooner = PerformanceFactory(starts_at=now + timedelta(days=1)).concert
        PerformanceFactory(starts_at=now - timedelta(hours=1))
        PerformanceFactory(concert__is_published=False)

        assert ids(client) == [sooner.pk, later.pk, undated.pk]

    def test_is_on_sale_in_the_sales_window_while_a_date_is_left(self, client):
        on_sale = PerformanceFactory().concert
        PerformanceFactory(concert=ConcertFactory(upcoming=True))
        PerformanceFactory(concert=ConcertFactory(closed=True))
        ConcertFactory()

        shown = {item["concert_id"]: item["on_sale"] for item in items(client)}

        assert len(shown) == 4
        assert [concert_id for concert_id, flag in shown.items() if flag] == [on_sale.pk]

    def test_searches_words_in_title_artist_and_venue(self, client):
        found = PerformanceFactory(
            concert__title="Nacht", concert__artist="김하늘", concert__venue="Arena"
        ).concert
        PerformanceFactory()

        assert ids(client, q="김하늘 nacHT") == [found.pk]
        # The same Korean name decomposed into letters, as some keyboards send it.
        assert ids(client, q="\u1100\u1175\u11b7\u1112\u1161\u1102\u1173\u11af") == [found.pk]
        assert ids(client, q="nowhere") == []

    @pytest.mark.parametrize("q", ["%", "_", "\\", "'", '"', "💥", "\ufffd", "a" * 100, "\t"])
    def test_odd_characters_find_what_has_them(self, client, q):
        PerformanceFactory()

        assert ids(client, q=q) == (ids(client) if not q.strip() else [])

    @pytest.mark.parametrize(
        "query",
        ["q=%00", "q=a%00b", f"q={'a' * 101}", "page=0", "page=x", "page_size=101", "page=1.5"],
    )
    def test_refuses_a_bad_query(self, client, query):
        expect_refused(client, LIST, query)

    def test_pages(self, client):
        concerts = [PerformanceFactory().concert.pk for _ in range(3)]

        answer = client.get(LIST, {"page": 2, "page_size": 2}).json()["data"]

        assert [item["concert_id"] for item in answer["items"]] == concerts[2:]
        assert (answer["page"], answer["page_size"], answer["total"]) == (2, 2, 3)

    @pytest.mark.parametrize("concerts", [1, 12])
    def test_takes_two_queries_and_one_more_now_and_then(
        self, client, django_assert_num_queries, concerts
    ):
        for _ in range(concerts):
            PerformanceFactory.create_batch(2, concert=ConcertFactory())

        for queries in (3, 2, 2):
            with django_assert_num_queries(queries):
                assert len(items(client)) == concerts

    def test_takes_two_more_to_search(self, client, django_assert_num_queries):
        """One folds the words, one asks whether a slip has to be forgiven."""
        PerformanceFactory()
        items(client)

        for text in ("night", "nihgt"):
            with django_assert_num_queries(4):
                assert len(items(client, q=text)) == 1

    def test_shows_a_new_date_at_once(self, client):
        concert = ConcertFactory()
        over = PerformanceFactory(starts_at=timezone.now() - timedelta(hours=1)).concert
        assert ids(client) == [concert.pk]

        PerformanceFactory(concert=concert, starts_at=timezone.now() + timedelta(days=2))
        PerformanceFactory(concert=over, starts_at=timezone.now() + timedelta(days=1))
        added = PerformanceFactory(starts_at=timezone.now() + timedelta(days=3)).concert

        assert ids(client) == [over.pk, concert.pk, added.pk]


class TestConcert:
    def test_shows_prices_and_rules(self, client):
        concert = ConcertFactory(seats_per_customer=4)
        for price in (90_000, 30_000):
            SeatFactory(performance=PerformanceFactory(concert=concert), price=price)

        data = client.get(f"{LIST}/{concert.pk}").json()["data"]

        assert set(data) == {
            "concert_id", "title", "artist", "venue", "sales_open_at", "first_performance_at",
            "last_performance_at", "on_sale", "description", "seats_per_customer",
            "unpaid_seats_max", "single_seats", "price_min", "price_max",
        }  # fmt: skip
        assert data["concert_id"] == concert.pk
        assert data["description"] == concert.description
        assert (data["price_min"], data["price_max"]) == (30_000, 90_000)
        assert data["seats_per_customer"] == data["unpaid_seats_max"] == 4
        assert data["single_seats"] == "WARN"

    def test_has_no_prices_before_it_has_seats(self, client):
        concert = PerformanceFactory().concert

        data = client.get(f"{LIST}/{concert.pk}").json()["data"]

        assert (data["price_min"], data["price_max"]) == (None, None)

    def test_is_shown_when_it_is_over(self, client):
        concert = PerformanceFactory(starts_at=timezone.now() - timedelta(days=1)).concert

        data = client.get(f"{LIST}/{concert.pk}").json()["data"]

        assert data["on_sale"] is False

    @pytest.mark.parametrize("published", [False, None])
    def test_is_not_found_unless_it_is_published(self, client, published):
        concert_id = 4711 if published is None else ConcertFactory(is_published=False).pk

        response = client.get(f"{LIST}/{concert_id}")

        assert (response.status_code, response.json()["code"]) == (404, "CONCERT_NOT_FOUND")

    @pytest.mark.parametrize("concert_id", ["x", "-1", "9223372036854775808", "1.0"])
    def test_an_impossible_id_names_nothing(self, client, concert_id):
        assert client.get(f"{LIST}/{concert_id}").status_code == 404

    @pytest.mark.parametrize("seats", [1, 300])
    def test_takes_two_queries(self, client, django_assert_num_queries, seats):
        concert = ConcertFactory()
        PerformanceFactory.create_batch(2, concert=concert, seats=seats, seats__grade=Grade.A)

        with django_assert_num_queries(2):
            client.get(f"{LIST}/{concert.pk}")


class TestPopular:
    def test_ranks_concerts(self, client):
        entries = [RankingEntryFactory() for _ in range(2)]
        RankingEntryFactory(performance=entries[1].performance)
        rebuild_ranking()

        assert items(client, POPULAR, window="all") == [
            {
                "rank": rank,
                "concert_id": entry.concert_id,
                "title": entry.concert.title,
                "venue": entry.concert.venue,
                "reservations": reservations,
            }
            for rank, entry, reservations in ((1, entries[1], 2), (2, entries[0], 1))
        ]
        assert len(items(client, POPULAR, window="week", limit=1)) == 1

    def test_shows_the_day_and_ten_items_unless_asked_otherwise(self, client):
        yesterday = timezone.now() - timedelta(days=1)
        RankingEntryFactory(occurred_at=yesterday)
        for _ in range(11):
            RankingEntryFactory()
        rebuild_ranking()

        assert len(items(client, POPULAR)) == 10
        assert len(items(client, POPULAR, limit=100)) == 11
        assert len(items(client, POPULAR, limit=100, window="all")) == 12

    def test_is_empty_when_nothing_was_sold(self, client):
        for window in ("day", "week", "all"):
            assert items(client, POPULAR, window=window) == []

    @pytest.mark.parametrize(
        "query",
        ["window=month", "window=", "limit=0", "limit=101", "limit=x", "limit=-1", "limit=",
         "limit=99999999999999999999", "limit=%00", "window=%00"],
    )  # fmt: skip
    def test_refuses_a_bad_query(self, client, query):
        expect_refused(client, POPULAR, query)

    def test_takes_one_query_and_then_none_for_a_second(self, client, django_assert_num_queries):
        RankingEntryFactory()
        rebuild_ranking()

        with django_assert_num_queries(1):
            first = client.get(POPULAR)
        with django_assert_num_queries(0):
            second = client.get(POPULAR, {"limit": 5})

        assert first.content == second.content


class TestFastestSoldOut:
    def test_ranks_performances(self, client):
        performance = PerformanceFactory()
        performance.sold_out_at = performance.concert.sales_open_at + timedelta(seconds=75)
        performance.save()

        assert items(client, FASTEST) == [
            {
                "rank": 1,
                "concert_id": performance.concert_id,
                "performance_id": performance.pk,
                "title": performance.concert.title,
                "sold_out_in_seconds": 75,
            }
        ]

    def test_is_empty_when_nothing_is_sold_out(self, client):
        PerformanceFactory()

        assert items(client, FASTEST) == []

    @pytest.mark.parametrize("limit", ["0", "101", "x", ""])
    def test_refuses_a_bad_limit(self, client, limit):
        expect_refused(client, FASTEST, f"limit={limit}")


@pytest.fixture(params=["list", "concert", "popular", "fastest"])
def public_path(request):
    concert = PerformanceFactory().concert
    return {
        "list": LIST,
        "concert": f"{LIST}/{concert.pk}",
        "popular": POPULAR,
        "fastest": FASTEST,
    }[request.param]


class TestPublicAnswers:
    def test_may_be_kept_for_a_moment_and_are_compared_by_etag(self, client, public_path):
        first = client.get(public_path)
        again = client.get(public_path, headers={"If-None-Match": first["ETag"]})

        assert first["Cache-Control"].startswith("public, max-age=")
        assert int(first["Cache-Control"].rpartition("=")[2]) <= 5
        assert (again.status_code, again.content) == (304, b"")
        assert again["Cache-Control"] == first["Cache-Control"]
        assert "Accept-Language" in first["Vary"]

    def test_change_their_etag_with_what_they_say(self, client):
        concert = PerformanceFactory().concert
        before = client.get(LIST)

        concert.title = "Another title"
        concert.save()

        assert client.get(LIST, headers={"If-None-Match": before["ETag"]}).status_code == 200

    def test_are_the_same_with_and_without_a_login(self, client, public_path):
        anonymous = client.get(public_path)
        headers = bearer(CustomerFactory())

        assert client.get(public_path, headers=headers).content == anonymous.content
        assert (
            client.get(public_path, headers={"Authorization": "Bearer nonsense"}).status_code == 200
        )
        assert not client.cookies

    def test_refusals_are_not_kept(self, client):
        for path in (f"{LIST}/4711", f"{POPULAR}?limit=0"):
            assert "max-age" not in client.get(path).get("Cache-Control", "")


class TestPopularIsFresh:
    def test_a_sale_shows_after_at_most_two_seconds(self, client):
        cached = popular_answers._seconds
        kept_by_clients = int(client.get(POPULAR)["Cache-Control"].rpartition("=")[2])

        assert cached + kept_by_clients <= 2
