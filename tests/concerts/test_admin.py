"""Staff put a concert on sale from the administration alone."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from apps.concerts.admin import seat_generator
from apps.concerts.models import USUAL_LENGTH, Concert, Performance, RankingEntry, Seat
from tests.boxoffice.sending import concert_form, send
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import (
    ConcertFactory,
    PerformanceFactory,
    RankingEntryFactory,
    SeatFactory,
)

pytestmark = pytest.mark.django_db

GENERATOR = "admin:concerts_performance_generate_seats"


@pytest.fixture
def staff(client):
    """A client that is logged in as an administrator."""
    client.force_login(CustomerFactory(admin=True))
    return client


@pytest.fixture
def clerk(client):
    """A client of staff who have only the permissions that the test names."""

    def log_in(*codenames):
        user = CustomerFactory(staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return log_in


def layout_form(*sections, **fields):
    """The generator's form with these sections (name, rows, seats, grade, price) and the rest left empty."""
    lines = [*sections, *[("", "", "", "R", "")] * (8 - len(sections))]
    names = ("name", "rows", "seats_per_row", "grade", "price")
    return {
        "form-TOTAL_FORMS": len(lines),
        "form-INITIAL_FORMS": 0,
        **{
            f"form-{n}-{name}": value
            for n, line in enumerate(lines)
            for name, value in zip(names, line, strict=True)
        },
        **fields,
    }


def typed(field, at):
    """A moment as staff type it: by the clocks at the venue."""
    local = timezone.localtime(at, ZoneInfo(settings.VENUE_TIME_ZONE))
    return {f"{field}_0": local.date().isoformat(), f"{field}_1": f"{local:%H:%M:%S}"}


class TestPuttingAConcertOnSale:
    def test_from_nothing_to_the_public(self, staff):
        at = (timezone.now() + timedelta(days=10)).replace(microsecond=0)
        send(
            staff,
            reverse("admin:concerts_concert_add"),
            {
                "title": "Paper Moons",
                "artist": "Ida Vale",
                "venue": "Harbour Hall",
                "description": "",
                "sales_open_at_0": "2026-01-01",
                "sales_open_at_1": "10:00",
                "seats_per_customer": 2,
                "single_seats": "WARN",
                "performances-TOTAL_FORMS": 1,
                "performances-INITIAL_FORMS": 0,
                **typed("performances-0-starts_at", at),
            },
        )
        concert = Concert.objects.get()
        performance = concert.performances.get()
        assert performance.starts_at == at

        link = staff.get(
            reverse("admin:concerts_concert_generate_seats", args=[concert.pk])
        ).headers["Location"]
        assert "checked" in staff.get(link).content.decode()
        send(
            staff,
            link,
            layout_form(
                ("Floor", 2, 10, "VIP", "₩150,000"),
                ("Balcony", 1, 5, "A", "40,000원"),
                performances=[performance.pk],
            ),
        )
        staff.post(
            reverse("admin:concerts_concert_changelist"),
            {"action": "publish", "_selected_action": [concert.pk]},
        )

        [item] = staff.get("/api/v1/concerts").json()["data"]["items"]
        assert (item["title"], item["on_sale"]) == ("Paper Moons", True)
        detail = staff.get(f"/api/v1/concerts/{concert.pk}").json()["data"]
        assert (detail["price_min"], detail["price_max"]) == (40_000, 150_000)
        assert Seat.objects.of_performance(performance.pk).count() == 25

    def test_explains_a_sales_window_that_cannot_be(self, staff):
        concert = ConcertFactory()

        page = staff.post(
            reverse("admin:concerts_concert_change", args=[concert.pk]),
            {
                "title": "T", "artist": "A", "venue": "V",
                "sales_open_at_0": "2026-01-02", "sales_open_at_1": "10:00",
                "sales_close_at_0": "2026-01-01", "sales_close_at_1": "10:00",
                "seats_per_customer": 11,
                "single_seats": "WARN",
                "performances-TOTAL_FORMS": 0, "performances-INITIAL_FORMS": 0,
            },
        )  # fmt: skip

        text = page.content.decode()
        assert "Sales must close after they open." in text
        assert "less than or equal to 10" in text
        concert.refresh_from_db()
        assert concert.title != "T"


class TestSeatGenerator:
    def test_offers_no_more_dates_than_a_form_can_send(self, staff, monkeypatch):
        monkeypatch.setattr(seat_generator, "PERFORMANCES_OFFERED", 3)
        first, second, *_others, last = PerformanceFactory.create_batch(5)

        page = staff.get(f"{reverse(GENERATOR)}?performance={last.pk}")
        offered = list(page.context["form"].fields["performances"].queryset)
        answer = send(
            staff,
            reverse(GENERATOR),
            layout_form(("A", 1, 2, "R", 1_000), performances=[second.pk]),
        )

        assert page.context["form"].initial == {"performances": [last.pk]}
        assert offered == [first, second, last]
        assert answer.status_code == 302
        assert Seat.objects.of_performance(second.pk).count() == 2

    def test_makes_no_more_seats_than_a_request_can_do(self, staff, monkeypatch):
        monkeypatch.setattr(seat_generator, "SEATS_AT_ONCE", 19)
        dates = PerformanceFactory.create_batch(2)

        page = send(
            staff,
            reverse(GENERATOR),
            layout_form(("A", 2, 5, "R", 1_000), performances=[date.pk for date in dates]),
        )

        assert "That makes 20 seats. At most 19 can be made at once" in page.content.decode()
        assert not Seat.objects.exists()

    def test_offers_only_performances_without_seats(self, staff):
        full = PerformanceFactory(seats=1)
        empty = PerformanceFactory()

        choices = staff.get(reverse(GENERATOR)).context["form"].fields["performances"].queryset

        assert list(choices) == [empty]
        assert full not in choices

    def test_fills_several_performances_at_once(self, staff):
        performances = PerformanceFactory.create_batch(2)

        response = staff.post(
            reverse("admin:concerts_performance_changelist"),
            {
                "action": "generate_seats",
                "_selected_action": [performance.pk for performance in performances],
            },
        )
        answer = send(
            staff,
            response.headers["Location"],
            layout_form(("1", 1, 3, "R", 1_000), performances=[one.pk for one in performances]),
        )

        assert answer.status_code == 302
        assert [one.seats.count() for one in performances] == [3, 3]

    @pytest.mark.parametrize(
        "sections",
        [
            [],
            [("1", 1, 0, "R", 1_000)],
            [("1", 1, 3, "R", "")],
            [("1", 1, 3, "X", 1_000)],
            [("1", 1, 3, "R", 1_000), ("1", 1, 3, "R", 1_000)],
            [("1", 1, 3, "R", 1_000), ("2", 1, 3, "R", 2_000)],
        ],
    )
    def test_refuses_a_hall_that_cannot_be(self, staff, sections):
        performance = PerformanceFactory()

        answer = send(
            staff, reverse(GENERATOR), layout_form(*sections, performances=[performance.pk])
        )

        assert answer.status_code == 200
        sections = answer.context["sections"]
        assert sections.non_form_errors() or any(sections.errors)
        assert not Seat.objects.exists()

    def test_refuses_a_performance_that_has_seats(self, staff):
        performance = PerformanceFactory(seats=1)

        answer = send(
            staff,
            reverse(GENERATOR),
            layout_form(("1", 1, 3, "R", 1_000), performances=[performance.pk]),
        )

        assert "performances" in answer.context["form"].errors
        assert Seat.objects.count() == 1

    @pytest.mark.parametrize("query", ["performance=x", "concert=99999999999999999999", ""])
    def test_ticks_nothing_for_a_strange_link(self, staff, query):
        PerformanceFactory()

        page = staff.get(f"{reverse(GENERATOR)}?{query}")

        assert page.status_code == 200
        assert not page.context["form"].initial["performances"]

    def test_is_for_those_who_may_add_seats(self, clerk):
        assert clerk("view_performance").get(reverse(GENERATOR)).status_code == 403
        assert clerk("add_seat").get(reverse(GENERATOR)).status_code == 200


class TestSeatAdmin:
    def test_blocks_and_unblocks(self, staff):
        PerformanceFactory(seats=3)
        chosen = list(Seat.objects.order_by("pk").values_list("pk", flat=True))[:2]
        url = reverse("admin:concerts_seat_changelist")

        staff.post(url, {"action": "block", "_selected_action": chosen})
        assert Seat.objects.filter(is_blocked=True).count() == 2
        staff.post(url, {"action": "unblock", "_selected_action": chosen[:1]})

        assert list(Seat.objects.filter(is_blocked=True)) == [Seat.objects.get(pk=chosen[1])]

    def test_blocking_takes_the_right_to_change_seats(self, clerk):
        seat = SeatFactory()
        url = reverse("admin:concerts_seat_changelist")
        action = {"action": "block", "_selected_action": [seat.pk]}

        clerk("view_seat").post(url, action)
        seat.refresh_from_db()
        assert not seat.is_blocked
        clerk("view_seat", "change_seat").post(url, action)

        seat.refresh_from_db()
        assert seat.is_blocked

    def test_price_and_place_cannot_be_edited(self, staff):
        seat = SeatFactory()

        answer = staff.post(reverse("admin:concerts_seat_change", args=[seat.pk]), {"price": 1})

        assert answer.status_code == 403
        seat.refresh_from_db()
        assert seat.price == 50_000

    def test_is_found_by_performance_and_by_name(self, staff):
        # A title with a number would be found by it, too.
        titled = {"performance__concert__title": "Night Train"}
        seat = SeatFactory(section="1", row="B", number=7, **titled)
        SeatFactory(section="1", row="A", number=8, **titled)
        url = reverse("admin:concerts_seat_changelist")

        by_name = staff.get(url, {"q": "B 7"}).context["cl"].queryset
        by_performance = staff.get(url, {"performance__id__exact": seat.performance_id})

        assert list(by_name) == [seat]
        assert list(by_performance.context["cl"].queryset) == [seat]


class TestRankingEntryAdmin:
    def test_is_read_only(self, staff):
        entry = RankingEntryFactory()
        url = reverse("admin:concerts_rankingentry_change", args=[entry.pk])

        assert staff.get(url).status_code == 200
        assert staff.post(url, {"reservations": -1}).status_code == 403
        assert (
            staff.post(reverse("admin:concerts_rankingentry_delete", args=[entry.pk])).status_code
            == 403
        )
        assert staff.get(reverse("admin:concerts_rankingentry_add")).status_code == 403
        assert RankingEntry.objects.get() == entry


class TestPerformanceAdmin:
    def test_what_was_sold_cannot_be_deleted(self, staff):
        performance = RankingEntryFactory().performance

        staff.post(
            reverse("admin:concerts_performance_delete", args=[performance.pk]), {"post": "yes"}
        )

        assert Performance.objects.get() == performance

    def test_stays_with_its_concert(self, staff):
        performance, other = PerformanceFactory(seats=1), ConcertFactory()
        moved_to = performance.starts_at.replace(microsecond=0) + timedelta(days=1)

        send(
            staff,
            reverse("admin:concerts_performance_change", args=[performance.pk]),
            {
                "concert": other.pk,
                **typed("starts_at", moved_to),
            },
        )

        concert_before = performance.concert
        performance.refresh_from_db()
        assert (performance.concert, performance.starts_at) == (concert_before, moved_to)


class TestLists:
    @pytest.mark.parametrize(
        ("model", "make"),
        [
            ("concert", lambda n: PerformanceFactory.create_batch(n)),
            ("performance", lambda n: PerformanceFactory.create_batch(n, seats=2)),
            ("seat", lambda n: SeatFactory.create_batch(n)),
            ("rankingentry", lambda n: RankingEntryFactory.create_batch(n)),
        ],
    )
    def test_take_the_same_number_of_queries_for_any_number_of_rows(
        self, staff, model, make, django_assert_max_num_queries
    ):
        url = reverse(f"admin:concerts_{model}_changelist")
        make(1)
        with django_assert_max_num_queries(20) as one:
            assert staff.get(url, {"q": "night"}).status_code == 200

        make(9)
        with django_assert_max_num_queries(len(one)):
            page = staff.get(url, {"q": "night"})

        assert len(page.context["cl"].result_list) == 10

    def test_the_page_of_a_concert_takes_the_same_number_for_any_number_of_dates(
        self, staff, django_assert_max_num_queries
    ):
        concert = ConcertFactory()
        url = reverse("admin:concerts_concert_change", args=[concert.pk])
        PerformanceFactory(concert=concert, seats=2)
        with django_assert_max_num_queries(20) as one:
            assert staff.get(url).status_code == 200

        PerformanceFactory.create_batch(4, concert=concert, seats=2)
        with django_assert_max_num_queries(len(one)):
            assert staff.get(url).status_code == 200


class TestDates:
    """Dates that staff type are bounded, and tickets that are sold are not moved by accident."""

    def move(self, staff, performance, to, **more):
        page = reverse("admin:concerts_performance_change", args=[performance.pk])
        return send(staff, page, typed("starts_at", to) | more)

    @pytest.fixture
    def sold(self):
        performance = PerformanceFactory(seats=3)
        Performance.objects.update(seats_sold=2)
        return performance

    def test_a_performance_does_not_move_into_the_past(self, staff):
        performance = PerformanceFactory(seats=1)

        answer = self.move(staff, performance, timezone.now() - timedelta(days=1))

        assert "A performance cannot begin in the past." in answer.content.decode()
        assert Performance.objects.get().starts_at == performance.starts_at

    def test_moving_what_is_sold_asks_first_and_says_how_many(self, staff, sold):
        to = (sold.starts_at + timedelta(days=1)).replace(microsecond=0)

        asked = self.move(staff, sold, to)
        unmoved = Performance.objects.get().starts_at
        self.move(staff, sold, to, is_confirmed="on")

        assert "2 tickets are sold for this date." in asked.content.decode()
        assert unmoved == sold.starts_at
        assert Performance.objects.get().starts_at == to

    def test_it_cannot_be_moved_in_the_list_of_dates(self, staff, sold):
        to = (sold.starts_at + timedelta(days=1)).replace(microsecond=0)
        concert = sold.concert
        form = concert_form(concert, [sold]) | typed("performances-0-starts_at", to)

        answer = send(staff, reverse("admin:concerts_concert_change", args=[concert.pk]), form)

        assert "2 tickets are sold for this date. Open its page to move it." in (
            answer.content.decode()
        )
        assert Performance.objects.get().starts_at == sold.starts_at

    @pytest.mark.parametrize("day", ["0001-01-01", "1999-12-31", "2100-06-01", "9999-12-31"])
    @pytest.mark.parametrize("field", ["sales_open_at", "sales_close_at"])
    def test_a_year_out_of_bounds_is_refused_in_words(self, staff, field, day):
        concert = ConcertFactory()
        form = concert_form(concert, **{f"{field}_0": day, f"{field}_1": "00:00"})
        page = reverse("admin:concerts_concert_change", args=[concert.pk])

        answer = send(staff, page, form)

        assert answer.status_code == 200
        assert not answer.context["adminform"].form.is_valid()
        assert Concert.objects.get().sales_open_at == concert.sales_open_at
        assert staff.get(page).status_code == 200
        assert staff.get("/").status_code == 200

    def test_the_database_refuses_it_too(self):
        for column in ("sales_open_at", "sales_close_at"):
            with pytest.raises(IntegrityError), transaction.atomic():
                Concert.objects.filter(pk=ConcertFactory().pk).update(
                    **{column: "1969-01-01T00:00:00Z"}
                )
        with pytest.raises(IntegrityError), transaction.atomic():
            Performance.objects.filter(pk=PerformanceFactory().pk).update(
                starts_at="2500-01-01T00:00:00Z"
            )

    def test_a_concert_with_300_dates_can_be_saved(self, staff):
        concert = ConcertFactory()
        first = (timezone.now() + timedelta(days=10)).replace(microsecond=0)
        Performance.objects.bulk_create(
            Performance(concert=concert, starts_at=at, ends_at=at + USUAL_LENGTH)
            for at in (first + timedelta(days=day) for day in range(300))
        )
        page = reverse("admin:concerts_concert_change", args=[concert.pk]) + "?performances-page=6"
        rows = staff.get(page).context["inline_admin_formsets"][0].formset
        dates = [row.instance for row in rows.initial_forms]
        form = concert_form(concert, dates, title="Tour", **{"performances-page": 6})
        moved = first + timedelta(days=500)
        for number, performance in enumerate(dates):
            form |= typed(f"performances-{number}-starts_at", performance.starts_at)
        form |= typed("performances-49-starts_at", moved)

        answer = send(staff, page, form)

        assert answer.status_code == 302
        assert Concert.objects.get().title == "Tour"
        assert concert.performances.count() == 300
        assert concert.performances.filter(starts_at=moved).exists()
