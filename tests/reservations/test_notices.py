"""Test what staff tell the holders of tickets: who reads it, for how long, and who may say it."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.concerts.corrections import delete_concerts
from apps.concerts.errors import ConcertNotFound, PerformanceNotFound
from apps.concerts.models import Concert, Performance
from apps.core.notices import NoticeText
from apps.reservations.models import HolderNotice, Reservation
from apps.reservations.selectors import reservation_of
from apps.reservations.services import (
    notify_holders,
    notify_holders_of_concert,
    take_back_holder_notice,
)
from tests.boxoffice.sending import send, shown_by
from tests.boxoffice.staff import page_of
from tests.factories.accounts import CustomerFactory, bearer, clerk_browser
from tests.factories.concerts import PerformanceFactory, begin_at
from tests.factories.reservations import cancel, hold, reservation
from tests.factories.visitors import admitted_visitor

pytestmark = pytest.mark.django_db

TEXT = NoticeText(en="Bring a coat.", ko="외투를 가져오세요.")


@pytest.fixture
def staff() -> User:
    return CustomerFactory(staff=True)


@pytest.fixture
def dates() -> tuple[Performance, Performance]:
    """Two dates of one concert, and one of another."""
    PerformanceFactory(seats=2)
    first = PerformanceFactory(seats=6, concert__seats_per_customer=4)
    return first, PerformanceFactory(seats=6, concert=first.concert, starts_at=later(days=40))


@pytest.fixture
def booked(dates) -> list[Reservation]:
    """A reservation of two seats and one of one seat for the first date, and one for the second."""
    first, second = dates
    seats = list(first.seats.order_by("pk"))
    return [
        reservation(CustomerFactory(name="Bo"), seats[:2]),
        reservation(CustomerFactory(name="Al"), seats[2:3]),
        reservation(CustomerFactory(name="Cy"), list(second.seats.all())[:1]),
    ]


def later(**span: float) -> Any:
    return timezone.now() + timedelta(**span)


def read_by(reserved: Reservation) -> list[str]:
    found = reservation_of(customer_id=reserved.customer_id, reservation_id=reserved.pk)
    return [notice.text for notice in found.notices]


def notify(performance: Performance, staff: User, text: NoticeText = TEXT) -> HolderNotice:
    return notify_holders(performance_id=performance.pk, text=text, staff_id=staff.pk)


class TestWhoReadsIt:
    def test_holders_of_the_performance(self, dates, booked, staff):
        notice = notify(dates[0], staff)

        assert [read_by(reserved) for reserved in booked] == [[TEXT.en], [TEXT.en], []]
        assert (notice.customers, notice.tickets) == (2, 3)

    def test_holders_of_any_date(self, dates, booked, staff):
        notice = notify_holders_of_concert(
            concert_id=dates[0].concert_id, text=TEXT, staff_id=staff.pk
        )

        assert [read_by(reserved) for reserved in booked] == [[TEXT.en]] * 3
        assert (notice.customers, notice.tickets) == (3, 4)

    def test_all_of_them_the_oldest_first(self, dates, booked, staff):
        notify_holders_of_concert(concert_id=dates[0].concert_id, text=TEXT, staff_id=staff.pk)
        notify(dates[0], staff, NoticeText(en="Second."))
        notify(dates[1], staff, NoticeText(en="Other date."))

        assert read_by(booked[0]) == [TEXT.en, "Second."]

    def test_who_buys_later(self, dates, staff):
        notify(dates[0], staff)

        assert read_by(reservation(CustomerFactory(), list(dates[0].seats.all())[:1])) == [TEXT.en]

    def test_not_who_had_cancelled_before(self, dates, booked, staff):
        cancel(booked[0])
        notice = notify(dates[0], staff)
        cancel(booked[1])

        assert [read_by(reserved) for reserved in booked[:2]] == [[], [TEXT.en]]
        assert (notice.customers, notice.tickets) == (1, 1)

    def test_not_who_only_holds_seats(self, dates, staff):
        hold(CustomerFactory(), list(dates[0].seats.all())[:1])

        assert notify(dates[0], staff).customers == 0

    def test_nobody_once_the_performance_is_over(self, dates, booked, staff):
        notify_holders_of_concert(concert_id=dates[0].concert_id, text=TEXT, staff_id=staff.pk)

        begin_at(Performance.objects.filter(pk=dates[0].pk), later(hours=-4))

        assert [read_by(reserved) for reserved in booked] == [[], [], [TEXT.en]]

    def test_nobody_once_it_is_taken_back(self, dates, booked, staff):
        notice, other = notify(dates[0], staff), notify(dates[1], staff)

        outcomes = [
            take_back_holder_notice(notice_id=notice.pk, staff_id=staff.pk) for _ in range(2)
        ]

        assert outcomes == [True, False]
        assert [read_by(reserved) for reserved in booked] == [[], [], [TEXT.en]]
        assert list(HolderNotice.objects.standing()) == [other]


class TestNotice:
    def test_is_one_row_with_its_author_and_in_the_history(self, dates, booked, staff):
        notice = notify(dates[0], staff)
        take_back_holder_notice(notice_id=notice.pk, staff_id=staff.pk)

        assert HolderNotice.objects.get().sent_by == staff
        entries = LogEntry.objects.filter(
            object_id=dates[0].pk, content_type__model="performance"
        ).order_by("pk")
        assert [entry.get_change_message() for entry in entries] == [
            f"Told ticket holders: “{TEXT.en}”",
            f"Took back what ticket holders were told: “{TEXT.en}”",
        ]

    @pytest.mark.parametrize(
        "text", [NoticeText(), NoticeText(en="x" * 501), NoticeText(ko="\u3164")]
    )
    def test_has_a_text_that_shows(self, dates, staff, text):
        with pytest.raises(ValidationError):
            notify(dates[0], staff, text)

        assert not HolderNotice.objects.exists()
        assert not LogEntry.objects.exists()

    def test_is_of_something_that_exists(self, staff):
        with pytest.raises(PerformanceNotFound):
            notify_holders(performance_id=404_404, text=TEXT, staff_id=staff.pk)
        with pytest.raises(ConcertNotFound):
            notify_holders_of_concert(concert_id=404_404, text=TEXT, staff_id=staff.pk)

    def test_goes_with_its_concert(self, staff):
        performance = PerformanceFactory(seats=1, concert__is_published=False)
        kept = notify(PerformanceFactory(seats=1), staff)
        notify(performance, staff)

        deletion = delete_concerts(ids=[performance.concert_id])

        assert deletion.going[HolderNotice] == 1
        assert HolderNotice.objects.get() == kept


class TestApi:
    def test_tells_it_with_the_reservation_in_the_language_of_the_call(
        self, client, dates, booked, staff
    ):
        notice = notify(dates[0], staff)
        headers = {**bearer(booked[0].customer), "Accept-Language": "ko"}

        one = client.get(f"/api/v1/reservations/{booked[0].pk}", headers=headers)
        listed = client.get("/api/v1/reservations", headers=headers)

        expected = [{"text": TEXT.ko, "sent_at": notice.sent_at.isoformat().replace("+00:00", "Z")}]
        assert one.json()["data"]["notices"] == expected
        assert [item["notices"] for item in listed.json()["data"]["items"]] == [expected]

    def test_says_nothing_of_it_in_the_answer_of_a_sale(self, dates, staff):
        notify(dates[0], staff)
        visitor = admitted_visitor(dates[0].concert_id)
        [seat, *_] = dates[0].seats.all()
        body = {"performance_id": dates[0].pk, "seat_ids": [seat.pk]}
        held = visitor.post("/holds", body).json()["data"]

        paid = visitor.post("/reservations", {"hold_id": held["hold_id"]}, key="p").json()["data"]

        assert "notices" not in paid
        shown = visitor.get(f"/reservations/{paid['reservation_id']}").json()["data"]
        assert [notice["text"] for notice in shown["notices"]] == [TEXT.en]


class TestPages:
    values = {"text_en": TEXT.en, "text_ko": TEXT.ko}

    @pytest.fixture
    def writer(self) -> Client:
        return clerk_browser(
            *("notify_holders", "view_performance", "view_concert", "view_holdernotice"),
            *("view_user", "view_reservation"),
        )

    def url(self, target: Performance | Concert) -> str:
        name = f"admin:reservations_holdernotice_to_{target._meta.model_name}"
        return reverse(name, args=[target.pk])

    def test_say_first_how_many_and_who(self, writer, dates, booked):
        preview = send(writer, self.url(dates[0]), self.values)

        readers = dict(preview.context["readers"])
        assert (readers["Customers"], readers["Tickets"]) == ("2", "3")
        text = preview.content.decode()
        assert text.index("Al &lt;") < text.index("Bo &lt;")
        assert "Cy &lt;" not in text
        assert "Those who buy tickets later read it, too." in text
        assert not HolderNotice.objects.exists()

    def test_send_it_to_the_holders_of_a_date(self, writer, dates, booked):
        answer = send(writer, self.url(dates[0]), {**self.values, "send": "1"})

        assert answer.headers["Location"] == page_of(dates[0])
        assert [read_by(reserved) for reserved in booked] == [[TEXT.en], [TEXT.en], []]

    def test_send_it_to_the_holders_of_all_dates(self, writer, dates, booked):
        concert = dates[0].concert

        answer = send(writer, self.url(concert), {**self.values, "send": "1"})

        assert answer.headers["Location"] == page_of(concert)
        assert HolderNotice.objects.get().performance is None
        notice = writer.get(page_of(HolderNotice.objects.get())).content.decode()
        assert "all dates" in notice

    def test_send_it_once_for_two_clicks(self, writer, dates):
        url = self.url(dates[0])
        form = {**self.values, "send": "1", "_shown": shown_by(writer, url)}

        answers = [writer.post(url, form).status_code for _ in range(2)]

        assert answers == [302, 302]
        assert HolderNotice.objects.count() == 1

    def test_lead_to_the_list_of_many_holders(self, writer, dates, monkeypatch):
        monkeypatch.setattr("apps.reservations.selectors.HOLDERS_NAMED", 1)
        for seat in dates[0].seats.all()[:2]:
            reservation(CustomerFactory(), [seat])

        page = writer.get(self.url(dates[0])).content.decode()

        link = f"?status__exact=CONFIRMED&amp;performance__id__exact={dates[0].pk}"
        assert link in page
        listing = reverse("admin:reservations_reservation_changelist") + link.replace("&amp;", "&")
        assert writer.get(listing).context["cl"].result_count == 2

    def test_take_it_back(self, writer, dates, booked, staff):
        notice = notify(dates[0], staff)
        end = reverse("admin:reservations_holdernotice_end", args=[notice.pk])
        offered = reverse("admin:reservations_holdernotice_take_back", args=[notice.pk])
        before = writer.get(page_of(notice)).content.decode()

        send(writer, end, {})

        assert f'href="{offered}"' in before
        assert read_by(booked[0]) == []
        assert f'href="{offered}"' not in writer.get(page_of(notice)).content.decode()

    def test_are_for_those_who_may(self, dates, booked, staff):
        notice = notify(dates[0], staff)
        end = reverse("admin:reservations_holdernotice_end", args=[notice.pk])
        pages = (self.url(dates[0]), self.url(dates[0].concert), end)
        looking = clerk_browser(
            *("view_performance", "change_performance", "view_concert", "view_holdernotice")
        )

        statuses = {
            getattr(looking, way)(url).status_code for url in pages for way in ("get", "post")
        }

        assert statuses == {403}
        for page in (page_of(dates[0]), page_of(dates[0].concert), page_of(notice)):
            text = looking.get(page).content.decode()
            assert "notify_holders" not in text
            assert "take_back" not in text
        assert read_by(booked[0]) == [TEXT.en]
