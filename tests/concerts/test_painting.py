"""The page on which staff keep seats back, release them and say what kind they are."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.jobs.services import approve_job, run_job
from apps.concerts import inventory, jobs
from apps.concerts.admin import painting as painting_page
from apps.concerts.layouts import SectionLayout
from apps.concerts.models import (
    Grade,
    InventoryCategory,
    Performance,
    Seat,
    SeatAllocation,
    SeatKind,
)
from apps.concerts.selectors.chosen_seats import NotUnderstood, named_seat_ids
from apps.concerts.services import generate_seats
from tests.boxoffice.sending import act, send, typed
from tests.boxoffice.staff import clerk, list_of, logged_in, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, category_of, keep_back
from tests.factories.reservations import hold, reservation

pytestmark = pytest.mark.django_db


@pytest.fixture
def performance() -> Performance:
    """Sections Floor and Balcony of three rows of four seats each; another date has the same."""
    made = PerformanceFactory.create_batch(2)
    layout = [SectionLayout(name, 3, 4, Grade.R, 1_000) for name in ("Floor", "Balcony")]
    for performance in made:
        generate_seats(performance_id=performance.pk, layout=layout)
        performance.refresh_from_db()
    return made[0]


def url_of(performance: Performance, page: str = "paint") -> str:
    return reverse(f"admin:concerts_performance_{page}", args=[performance.pk])


def paint(staff: Client, performance: Performance, **values: Any) -> Any:
    form = {"reason": "Guests of the band", "to": f"category:{category_of('HOUSE').pk}"}
    return send(staff, url_of(performance), form | values, follow=True)


def told(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def kept(performance: Performance) -> list[str]:
    return [str(seat) for seat in performance.seats.filter(is_blocked=True).order_by("pk")]


class TestNamedSeats:
    @pytest.mark.parametrize(
        ("named", "count"),
        [
            ({"section": "Floor"}, 12),
            ({"section": ""}, 24),
            ({"section": "", "rows": "a"}, 8),
            ({"section": "Floor", "rows": "B-C"}, 8),
            ({"section": "Floor", "rows": "C-B"}, 8),
            ({"section": "Floor", "rows": "A, C", "numbers": "1-2, 4"}, 6),
            ({"section": "Floor", "numbers": "3-99"}, 6),
            ({"section": "Nowhere"}, 0),
        ],
    )
    def test_are_those_of_the_section_the_rows_and_the_numbers(
        self, performance: Performance, named: dict[str, str], count: int
    ) -> None:
        found = named_seat_ids(performance.pk, **named)

        assert len(found) == count
        assert Seat.objects.filter(pk__in=found, performance=performance).count() == count

    @pytest.mark.parametrize(
        "named", [{"rows": "D"}, {"rows": "A-D"}, {"numbers": "x"}, {"numbers": "1-"}]
    )
    def test_what_is_not_there_is_said(
        self, performance: Performance, named: dict[str, str]
    ) -> None:
        with pytest.raises(NotUnderstood):
            named_seat_ids(performance.pk, section="Floor", **named)


class TestPainting:
    def test_keeps_named_seats_back(
        self, staff: Client, boss: User, performance: Performance
    ) -> None:
        answer = paint(staff, performance, section="Floor", rows="A", numbers="1-2")

        assert told(answer) == ["2 seats changed."]
        assert kept(performance) == ["Floor A-1", "Floor A-2"]
        entry = LogEntry.objects.get()
        assert (entry.user, entry.get_edited_object()) == (boss, performance)
        assert entry.get_change_message().startswith("Open → House (2): Floor A-1, Floor A-2.")

    def test_takes_a_section_of_any_name_for_that_section(
        self, staff: Client, performance: Performance
    ) -> None:
        performance.seats.filter(section="Balcony").update(section="*")

        paint(staff, performance, section="*", rows="A", numbers="1")

        assert kept(performance) == ["* A-1"]

    def test_takes_seats_of_the_map_and_a_time_of_release(
        self, staff: Client, performance: Performance
    ) -> None:
        first, second = performance.seats.order_by("pk")[:2]
        until = (timezone.now() + timedelta(days=2)).replace(microsecond=0)

        paint(staff, performance, seats=f"{first.pk},{second.pk}", **typed("released_at", until))

        assert set(SeatAllocation.objects.values_list("seat", "released_at")) == {
            (first.pk, until),
            (second.pk, until),
        }

    def test_names_the_seats_that_are_sold_or_held(
        self, staff: Client, performance: Performance
    ) -> None:
        first, second, third, *_ = performance.seats.order_by("pk")
        reservation(CustomerFactory(), [first])
        hold(CustomerFactory(), [second])

        answer = paint(staff, performance, section="Floor", rows="A")

        assert told(answer) == [
            "2 seats changed.",
            "Not changed, sold (1): Floor A-1.",
            "Not changed, held by a customer (1): Floor A-2.",
        ]
        assert kept(performance) == [str(third), "Floor A-4"]

    def test_says_that_nothing_was_changed(self, staff: Client, performance: Performance) -> None:
        paint(staff, performance, section="Floor", rows="A")

        again = paint(staff, performance, section="Floor", rows="A")

        assert told(again) == ["Nothing was changed. These seats are like that already."]
        assert LogEntry.objects.count() == 1

    def test_releases_and_sets_kinds(self, staff: Client, performance: Performance) -> None:
        keep_back(*performance.seats.all())

        paint(staff, performance, section="Floor", to="open")
        paint(staff, performance, section="Balcony", rows="C", to="kind:WHEELCHAIR")

        assert len(kept(performance)) == 12
        assert performance.seats.filter(kind=SeatKind.WHEELCHAIR).count() == 4
        assert Seat.objects.filter(kind=SeatKind.WHEELCHAIR).count() == 4

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({}, "__all__"),
            ({"section": "Floor", "rows": "Z"}, "rows"),
            ({"section": "Floor", "numbers": "Z"}, "numbers"),
            ({"rows": "A"}, "section"),
            ({"section": "Elsewhere"}, "section"),
            ({"seats": "x"}, "seats"),
            ({"section": "Floor", "to": "category:0"}, "to"),
            ({"section": "Floor", "to": ""}, "to"),
            ({"section": "Floor", "reason": ""}, "reason"),
            ({"section": "Floor", "released_at_0": "2020-01-01", "released_at_1": "10:00"}, "released_at"),
            ({"section": "Floor", "to": "open", "released_at_0": "2090-01-01", "released_at_1": "10:00"}, "released_at"),
        ],
    )  # fmt: skip
    def test_refuses_what_cannot_be(
        self, staff: Client, performance: Performance, values: dict[str, str], field: str
    ) -> None:
        answer = paint(staff, performance, **values)

        assert list(answer.context["form"].errors) == [field]
        assert not SeatAllocation.objects.exists()

    def test_refuses_more_than_can_be_changed_at_a_time(
        self, staff: Client, performance: Performance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(painting_page, "SEATS_AT_ONCE", 11)

        answer = paint(staff, performance, section="Floor")

        assert "These are 12 seats." in answer.content.decode()
        assert not SeatAllocation.objects.exists()

    def test_a_form_that_is_sent_twice_acts_once(
        self, staff: Client, performance: Performance
    ) -> None:
        url = url_of(performance)
        shown = staff.get(url).context["shown"]
        house, sponsor = (f"category:{category_of(code).pk}" for code in ("HOUSE", "SPONSOR"))
        form = {"_shown": shown, "section": "Floor", "reason": "x"}

        staff.post(url, {**form, "to": house})
        staff.post(url, {**form, "to": sponsor})

        codes = SeatAllocation.objects.values_list("category__code", flat=True).distinct()
        assert list(codes) == ["HOUSE"]

    def test_shows_counts_by_category(self, staff: Client, performance: Performance) -> None:
        keep_back(*performance.seats.order_by("pk")[:5])

        page = staff.get(url_of(performance))

        counts = page.context["counts"]
        assert [(str(count.category), count.figure) for count in counts] == [
            ("None", "19"),
            ("House", "5"),
        ]

    def test_takes_rights_to_allocate_and_for_kinds_those_to_change_seats(
        self, performance: Performance
    ) -> None:
        visitor = clerk("view_performance", "change_seat")
        painter = clerk("view_performance", "change_seatallocation")

        for page in ("paint", "painted_seats"):
            assert visitor.get(url_of(performance, page)).status_code == 403
            assert painter.get(url_of(performance, page)).status_code == 200
        refused = paint(painter, performance, section="Floor", to="kind:AISLE")

        assert "to" in refused.context["form"].errors
        assert not Seat.objects.exclude(kind=SeatKind.STANDARD).exists()

    def test_an_unknown_performance_is_not_found(self, staff: Client) -> None:
        for page in ("paint", "painted_seats"):
            url = reverse(f"admin:concerts_performance_{page}", args=[10**18])
            assert staff.get(url).status_code == 404


class TestReleasingMany:
    def test_takes_a_second_person(
        self,
        staff: Client,
        boss: User,
        performance: Performance,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(inventory, "RELEASED_ALONE", 5)
        monkeypatch.setattr(jobs, "CHUNK", 4)
        keep_back(*performance.seats.order_by("pk")[:10])
        sold = performance.seats.order_by("pk")[0]

        answer = paint(staff, performance, section="Floor", to="open", reason="Tour cancelled")

        job = StaffJob.objects.get()
        assert answer.redirect_chain[-1][0] == page_of(job)
        assert len(kept(performance)) == 10
        assert "Put 10 seats on sale · " in answer.content.decode()
        SeatAllocation.objects.filter(seat=sold).delete()
        reservation(CustomerFactory(), [sold])

        approve_job(job_id=job.pk, staff_id=CustomerFactory(admin=True).pk)
        run_job(job_id=job.pk)

        job.refresh_from_db()
        assert (job.status, job.rows_applied, job.rows_refused) == ("DONE", 3, 0)
        assert [row.detail for row in job.rows.order_by("subject")] == [
            "3 seats changed. Not changed, sold (1): Floor A-1.",
            "4 seats changed.",
            "2 seats changed.",
        ]
        assert kept(performance) == []

    def test_counts_only_what_is_kept_back(
        self, staff: Client, performance: Performance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inventory, "RELEASED_ALONE", 5)
        keep_back(*performance.seats.order_by("pk")[:5])

        paint(staff, performance, section=painting_page.ALL_SECTIONS, to="open")

        assert StaffJob.objects.get().status == StaffJob.Status.DONE
        assert kept(performance) == []

    def test_adds_up_the_portions_of_one_person_within_a_day(
        self, staff: Client, performance: Performance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inventory, "RELEASED_ALONE", 5)
        keep_back(*performance.seats.order_by("pk")[:12])
        other = Performance.objects.exclude(pk=performance.pk).get()
        keep_back(*other.seats.order_by("pk")[:4])

        paint(staff, performance, section="Floor", rows="A", to="open")
        paint(staff, other, section="Floor", rows="A", to="open")
        paint(staff, performance, section="Floor", rows="B", to="open")

        assert len(kept(performance)) == 8
        assert kept(other) == []
        assert StaffJob.objects.awaiting_approval().count() == 1
        colleague = logged_in(CustomerFactory(admin=True))
        paint(colleague, performance, section="Floor", rows="B", to="open")
        assert len(kept(performance)) == 4

    def test_portions_of_days_ago_do_not_count(
        self, staff: Client, performance: Performance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inventory, "RELEASED_ALONE", 5)
        keep_back(*performance.seats.order_by("pk")[:8])
        paint(staff, performance, section="Floor", rows="A", to="open")
        StaffJob.objects.update(requested_at=timezone.now() - timedelta(days=1, seconds=1))

        paint(staff, performance, section="Floor", rows="B", to="open")

        assert kept(performance) == []

    def test_takes_a_second_person_for_a_time_at_which_they_go_on_sale_as_well(
        self, staff: Client, performance: Performance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inventory, "RELEASED_ALONE", 5)
        keep_back(*performance.seats.order_by("pk")[:10])
        at = (timezone.now() + timedelta(minutes=1)).replace(microsecond=0)

        answer = paint(staff, performance, section="Floor", **typed("released_at", at))

        job = StaffJob.objects.get()
        assert answer.redirect_chain[-1][0] == page_of(job)
        assert "on sale from" in answer.content.decode()
        assert not SeatAllocation.objects.exclude(released_at=None).exists()
        approve_job(job_id=job.pk, staff_id=CustomerFactory(admin=True).pk)
        run_job(job_id=job.pk)
        assert set(SeatAllocation.objects.values_list("released_at", flat=True)) == {at}
        assert len(kept(performance)) == 12

    def test_takes_nobody_for_a_time_of_open_seats_or_a_later_one(
        self, staff: Client, performance: Performance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inventory, "RELEASED_ALONE", 5)
        at = (timezone.now() + timedelta(days=1)).replace(microsecond=0)

        for moment in (at, at + timedelta(days=1)):
            paint(staff, performance, section="Floor", **typed("released_at", moment))

        assert not StaffJob.objects.exists()
        assert set(SeatAllocation.objects.values_list("released_at", flat=True)) == {moment}


@pytest.mark.django_db(transaction=True)
def test_portions_at_once_add_up_as_well(
    performance: Performance, monkeypatch: pytest.MonkeyPatch, race: Any
) -> None:
    monkeypatch.setattr(inventory, "RELEASED_ALONE", 5)
    seats = list(performance.seats.order_by("pk"))
    keep_back(*seats)
    clerk_id = CustomerFactory(admin=True).pk

    def release(portion: list[Seat]) -> Any:
        return inventory.release_seats(
            performance_id=performance.pk,
            seat_ids=[seat.pk for seat in portion],
            reason="x",
            staff_id=clerk_id,
            is_alone=True,
        )

    outcomes = race([partial(release, seats[at : at + 4]) for at in range(0, 24, 4)])

    refused = [isinstance(outcome, inventory.ReleaseNeedsApproval) for outcome in outcomes]
    assert sorted(refused) == [False, *[True] * 5]
    assert len(kept(performance)) == 20


class TestPaintedSeats:
    def test_has_the_map_and_what_has_become_of_its_seats(
        self, staff: Client, performance: Performance
    ) -> None:
        first, second, *_ = performance.seats.order_by("pk")
        reservation(CustomerFactory(), [first])
        keep_back(second)

        data = staff.get(url_of(performance, "painted_seats")).json()

        assert len(data["map"]["seats"]) == 24
        assert data["painted"]["states"] == "R" + "A" * 23
        assert data["painted"]["inSeats"][:3] == [0, category_of("HOUSE").pk, 0]
        assert [category["letter"] for category in data["painted"]["categories"]] == list("HAPSTWX")


class TestSeatList:
    def test_leads_to_the_page_with_the_chosen_seats(
        self, staff: Client, performance: Performance
    ) -> None:
        first, second, *_ = performance.seats.order_by("pk")

        for action, to in (("allocate", ""), ("release", "open")):
            page = act(staff, action, first, second, follow=True)
            assert page.redirect_chain[-1][0].startswith(url_of(performance))
            assert page.context["form"]["seats"].value() == f"{first.pk},{second.pk}"
            assert page.context["form"]["to"].value() == to

    def test_is_for_seats_of_one_performance(self, staff: Client, performance: Performance) -> None:
        one = performance.seats.order_by("pk")[0]
        other = Seat.objects.exclude(performance=performance).order_by("pk")[0]

        answer = act(staff, "allocate", one, other, follow=True)

        assert told(answer) == ["Nothing was changed. Choose seats of one performance at a time."]

    def test_shows_and_filters_by_category(self, staff: Client, performance: Performance) -> None:
        seat, other, *_ = performance.seats.order_by("pk")
        keep_back(seat, reason="Grandmother of the bass player")
        keep_back(other, category="SPONSOR")

        found = staff.get(
            list_of(Seat), {"allocation__category__id__exact": category_of("HOUSE").pk}
        )
        page = staff.get(page_of(seat)).content.decode()

        assert list(found.context["cl"].queryset) == [seat]
        assert "House: Grandmother of the bass player" in page


class TestCategoryAdmin:
    def test_staff_add_their_own(self, staff: Client) -> None:
        form = {"name": "Fan club", "code": "FAN_CLUB", "letter": "F", "colour": "#112233"}

        answer = send(staff, list_of(InventoryCategory, "add"), form)

        assert answer.status_code == 302
        assert str(InventoryCategory.objects.get(code="FAN_CLUB")) == "Fan club"

    def test_built_in_ones_keep_code_and_name(self, staff: Client) -> None:
        house = category_of("HOUSE")
        form = {"name": "Other", "code": "OTHER", "letter": "H", "colour": "#445566"}

        send(staff, page_of(house), form)

        house.refresh_from_db()
        assert (house.code, house.name, house.colour) == ("HOUSE", "House", "#445566")
        assert house.returns_on_refund is False
        assert staff.get(page_of(house, "delete")).status_code == 403
