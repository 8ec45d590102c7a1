"""Staff put a concert on sale from the administration alone."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.concerts.admin import seat_generator
from apps.concerts.models import USUAL_LENGTH, Concert, Performance, Seat
from tests.boxoffice.sending import act, concert_form, layout_form, send, typed
from tests.boxoffice.staff import clerk, list_of, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import (
    ConcertFactory,
    PerformanceFactory,
    SeatFactory,
)
from tests.factories.reservations import reservation

pytestmark = pytest.mark.django_db

GENERATOR = list_of(Performance, "generate_seats")


def generate(staff, performances, *sections, url=GENERATOR):
    """Send the seat generator's form."""
    dates = [performance.pk for performance in performances]
    return send(staff, url, layout_form(*sections, performances=dates))


class TestPuttingAConcertOnSale:
    def test_from_nothing_to_the_public(self, staff):
        at = (timezone.now() + timedelta(days=10)).replace(microsecond=0)
        new = Concert(title="Paper Moons", artist="Ida Vale", venue="Harbour Hall")
        form = concert_form(new, **{"performances-TOTAL_FORMS": 1})
        send(staff, list_of(Concert, "add"), form | typed("performances-0-starts_at", at))
        concert = Concert.objects.get()
        performance = concert.performances.get()
        assert performance.starts_at == at

        link = staff.get(page_of(concert, "generate_seats")).headers["Location"]
        assert "checked" in staff.get(link).content.decode()
        floor, balcony = ("Floor", 2, 10, "VIP", "₩150,000"), ("Balcony", 1, 5, "A", "40,000원")
        generate(staff, [performance], floor, balcony, url=link)
        act(staff, "publish", concert)

        [item] = staff.get("/api/v1/concerts").json()["data"]["items"]
        assert (item["title"], item["on_sale"]) == ("Paper Moons", True)
        detail = staff.get(f"/api/v1/concerts/{concert.pk}").json()["data"]
        assert (detail["price_min"], detail["price_max"]) == (40_000, 150_000)
        assert Seat.objects.of_performance(performance.pk).count() == 25

    def test_explains_a_sales_window_that_cannot_be(self, staff):
        concert = ConcertFactory()

        closes = {"sales_close_at_0": "2025-12-31", "sales_close_at_1": "10:00"}
        form = concert_form(concert, title="T", seats_per_customer=11, **closes)

        page = send(staff, page_of(concert), form)

        text = page.content.decode()
        assert "Sales must close after they open." in text
        assert "less than or equal to 10" in text
        concert.refresh_from_db()
        assert concert.title != "T"


class TestSeatGenerator:
    def test_offers_no_more_dates_than_a_form_can_send(self, staff, monkeypatch):
        monkeypatch.setattr(seat_generator, "PERFORMANCES_OFFERED", 3)
        first, second, *_others, last = PerformanceFactory.create_batch(5)

        page = staff.get(f"{GENERATOR}?performance={last.pk}")
        offered = list(page.context["form"].fields["performances"].queryset)
        answer = generate(staff, [second], ("A", 1, 2, "R", 1_000))

        assert page.context["form"].initial == {"performances": [last.pk]}
        assert offered == [first, second, last]
        assert answer.status_code == 302
        assert Seat.objects.of_performance(second.pk).count() == 2

    def test_makes_no_more_seats_than_a_request_can_do(self, staff, monkeypatch):
        monkeypatch.setattr(seat_generator, "SEATS_AT_ONCE", 19)
        dates = PerformanceFactory.create_batch(2)

        page = generate(staff, dates, ("A", 2, 5, "R", 1_000))

        assert "That makes 20 seats. At most 19 can be made at once" in page.content.decode()
        assert not Seat.objects.exists()

    def test_offers_only_performances_without_seats(self, staff):
        full = PerformanceFactory(seats=1)
        empty = PerformanceFactory()

        choices = staff.get(GENERATOR).context["form"].fields["performances"].queryset

        assert list(choices) == [empty]
        assert full not in choices

    def test_fills_several_performances_at_once(self, staff):
        performances = PerformanceFactory.create_batch(2)

        link = act(staff, "generate_seats", *performances).headers["Location"]
        answer = generate(staff, performances, ("1", 1, 3, "R", 1_000), url=link)

        assert answer.status_code == 302
        assert [date.seats.count() for date in performances] == [3, 3]

    @pytest.mark.parametrize(
        "sections",
        [
            [],
            [("1", 1, 0, "R", 1_000)],
            [("1", 1, 3, "R", "")],
            [("1", 1, 3, "X", 1_000)],
            [("1", 1, 3, "R", 1_000), ("2", 1, 3, "R", 1_000), ("1", 1, 3, "R", 1_000)],
            [("1", 1, 3, "R", 1_000), ("2", 1, 3, "R", 2_000)],
        ],
    )
    def test_refuses_a_hall_that_cannot_be(self, staff, sections):
        performance = PerformanceFactory()

        answer = generate(staff, [performance], *sections)

        assert answer.status_code == 200
        sections = answer.context["sections"]
        assert sections.non_form_errors() or any(sections.errors)
        assert not Seat.objects.exists()

    def test_refuses_a_performance_that_has_seats(self, staff):
        performance = PerformanceFactory(seats=1)

        answer = generate(staff, [performance], ("1", 1, 3, "R", 1_000))

        assert "performances" in answer.context["form"].errors
        assert Seat.objects.count() == 1

    @pytest.mark.parametrize("query", ["performance=x", "concert=99999999999999999999", ""])
    def test_ticks_nothing_for_a_strange_link(self, staff, query):
        PerformanceFactory()

        page = staff.get(f"{GENERATOR}?{query}")

        assert page.status_code == 200
        assert not page.context["form"].initial["performances"]

    def test_is_for_those_who_may_add_seats(self):
        assert clerk("view_performance").get(GENERATOR).status_code == 403
        assert clerk("add_seat").get(GENERATOR).status_code == 200


class TestSeatAdmin:
    def test_price_and_place_cannot_be_edited(self, staff):
        seat = SeatFactory()

        answer = staff.post(page_of(seat), {"price": 1})

        assert answer.status_code == 403
        seat.refresh_from_db()
        assert seat.price == 50_000

    def test_is_found_by_performance_and_by_name(self, staff):
        # A title with a number would be found by it, too.
        titled = {"performance__concert__title": "Night Train"}
        seat = SeatFactory(section="1", row="B", number=7, **titled)
        SeatFactory(section="1", row="A", number=8, **titled)
        url = list_of(Seat)

        by_name = staff.get(url, {"q": "B 7"}).context["cl"].queryset
        by_performance = staff.get(url, {"performance__id__exact": seat.performance_id})

        assert list(by_name) == [seat]
        assert list(by_performance.context["cl"].queryset) == [seat]


class TestPerformanceAdmin:
    def test_stays_with_its_concert(self, staff):
        performance, other = PerformanceFactory(seats=1), ConcertFactory()
        moved_to = performance.starts_at.replace(microsecond=0) + timedelta(days=1)

        send(
            staff,
            page_of(performance),
            {
                "concert": other.pk,
                **typed("starts_at", moved_to),
            },
        )

        concert_before = performance.concert
        performance.refresh_from_db()
        assert (performance.concert, performance.starts_at) == (concert_before, moved_to)


class TestLists:
    def test_the_page_of_a_concert_takes_the_same_number_for_any_number_of_dates(
        self, staff, django_assert_max_num_queries
    ):
        concert = ConcertFactory()
        url = page_of(concert)
        PerformanceFactory(concert=concert, seats=2)
        with django_assert_max_num_queries(20) as before:
            assert staff.get(url).status_code == 200

        PerformanceFactory.create_batch(4, concert=concert, seats=2)
        with django_assert_max_num_queries(len(before)):
            assert staff.get(url).status_code == 200


class TestDates:
    """Dates that staff type are bounded, and tickets that are sold are not moved by accident."""

    def move(self, staff, performance, to, **more):
        page = page_of(performance)
        return send(staff, page, typed("starts_at", to) | more)

    @pytest.fixture
    def sold(self):
        """Two seats, which the ranking has not counted yet."""
        performance = PerformanceFactory(seats=3, concert__seats_per_customer=2)
        reservation(CustomerFactory(), list(performance.seats.order_by("pk")[:2]))
        return performance

    def test_a_performance_does_not_move_into_the_past(self, staff):
        performance = PerformanceFactory(seats=1)

        answer = self.move(staff, performance, timezone.now() - timedelta(days=1))

        assert "A performance cannot begin in the past." in answer.content.decode()
        assert Performance.objects.get().starts_at == performance.starts_at

    def test_what_is_sold_is_not_moved_here_and_it_says_how_many(self, staff, sold):
        to = (sold.starts_at + timedelta(days=1)).replace(microsecond=0)

        answer = self.move(staff, sold, to)

        assert "2 tickets are sold for this date. Use “Move” above" in answer.content.decode()
        assert Performance.objects.get().starts_at == sold.starts_at

    def test_what_is_called_off_is_changed_no_more(self, staff):
        performance = PerformanceFactory()
        now = timezone.now()
        Performance.objects.update(called_off_at=now, called_off_reason="x")
        to = (performance.starts_at + timedelta(days=1)).replace(microsecond=0)

        answer = self.move(staff, performance, to)

        assert "This performance has been called off." in answer.content.decode()
        assert Performance.objects.get().starts_at == performance.starts_at

    def test_it_cannot_be_moved_in_the_list_of_dates(self, staff, sold):
        to = (sold.starts_at + timedelta(days=1)).replace(microsecond=0)
        concert = sold.concert
        form = concert_form(concert, [sold]) | typed("performances-0-starts_at", to)

        answer = send(staff, page_of(concert), form)

        assert "2 tickets are sold for this date. Open its page to move it." in (
            answer.content.decode()
        )
        assert Performance.objects.get().starts_at == sold.starts_at

    @pytest.mark.parametrize("day", ["0001-01-01", "1999-12-31", "2100-06-01", "9999-12-31"])
    @pytest.mark.parametrize("field", ["sales_open_at", "sales_close_at"])
    def test_a_year_out_of_bounds_is_refused_in_words(self, staff, field, day):
        concert = ConcertFactory()
        form = concert_form(concert, **{f"{field}_0": day, f"{field}_1": "00:00"})
        page = page_of(concert)

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
        page = page_of(concert) + "?performances-page=6"
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
        page = staff.get(page_of(concert)).content.decode()
        assert 'href="?performances-page=2#performances-group"' in page
        assert concert.performances.filter(starts_at=moved).exists()
