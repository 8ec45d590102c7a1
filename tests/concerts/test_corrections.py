"""Correct and delete what no customer has held or bought, however large it is; keep what a customer has."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import User
from apps.boxoffice.base.deletion import CountedDeletion
from apps.boxoffice.base.words import at_venue
from apps.concerts.layouts import SectionLayout
from apps.concerts.models import Concert, Grade, HallTemplate, Performance, Seat
from apps.concerts.services import generate_seats
from apps.core import deletion
from apps.core.caching import clear_process_caches
from apps.queue.live import live_room
from apps.queue.models import WaitingRoom
from apps.reservations.models import SeatClaim
from tests.boxoffice.sending import act
from tests.boxoffice.staff import clerk, list_of, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory, SeatFactory, keep_back
from tests.factories.payments import WalletFactory
from tests.factories.reservations import hold, overdue_hold, reservation
from tests.factories.visitors import admitted_visitor

pytestmark = pytest.mark.django_db

SEAT_FIELDS = ("section", "row", "number", "grade", "price", "x", "y")


def answer_to(page: Any) -> dict[str, Any]:
    """Return what the page that asks sends when its button is pressed."""
    return {"_expected": page.context["expected"], "_shown": page.context["shown"]}


def delete(client: Client, url: str, **posted: Any) -> Any:
    """Look at the page that asks, and send it."""
    page = client.post(url, posted) if posted else client.get(url)
    return client.post(url, {**posted, **answer_to(page)})


def hall(**fields: Any) -> Performance:
    performance = PerformanceFactory(**fields)
    layout = [
        SectionLayout(name="1", rows=2, seats_per_row=10, grade=Grade.VIP, price=150_000),
        SectionLayout(name="2", rows=3, seats_per_row=10, grade=Grade.R, price=90_000),
    ]
    generate_seats(performance_id=performance.pk, layout=layout)
    performance.refresh_from_db()
    return performance


@pytest.fixture
def performance() -> Performance:
    return hall()


def queries_of(call: Any) -> int:
    with CaptureQueriesContext(connection) as captured:
        call()
    return len(captured)


class TestPrices:
    def send(self, client: Client, performance: Performance, **values: Any) -> Any:
        url = page_of(performance, "prices")
        shown = self.shown(client, url)
        return client.post(url, {**shown, "VIP": 150_000, "R": 90_000, **values})

    @staticmethod
    def shown(client: Client, url: str) -> dict[str, Any]:
        page = client.get(url).context
        return {"_shown": page["shown"], **page["form"].initial}

    def test_a_wrong_price_is_corrected_grade_by_grade(
        self, staff: Client, boss: User, performance: Performance
    ) -> None:

        answer = self.send(staff, performance, VIP=15_000)

        assert answer.status_code == 302
        prices = dict(Seat.objects.values_list("grade", "price"))
        assert prices == {"VIP": 15_000, "R": 90_000}
        performance.refresh_from_db()
        assert performance.seat_map_version == 3  # a map that was kept is drawn anew
        entry = LogEntry.objects.get()
        assert (entry.user, entry.get_edited_object()) == (boss, performance)
        assert entry.get_change_message() == "20 prices changed. VIP: 150,000 → 15,000"

    def test_the_seat_map_shows_it(self, staff: Client, performance: Performance) -> None:
        visitor = admitted_visitor(performance.concert_id)
        path = f"/performances/{performance.pk}/seat-map"
        before = visitor.get(path).json()["data"]["grades"]

        self.send(staff, performance, VIP=15_000)
        clear_process_caches()

        assert before[0] == {"grade": "VIP", "price": 150_000}
        assert visitor.get(path).json()["data"]["grades"][0] == {"grade": "VIP", "price": 15_000}

    def test_who_holds_or_has_bought_keeps_the_price(self, staff: Client) -> None:
        performance = hall(concert__seats_per_customer=2)
        first, second, *_ = performance.seats.filter(grade="VIP").order_by("pk")
        sold = reservation(CustomerFactory(), [first])
        held = hold(WalletFactory(balance=1_000_000).customer, [second])

        asked = self.send(staff, performance, VIP=15_000)
        assert "2 seats whose prices you change are held or sold." in asked.content.decode()
        assert not Seat.objects.filter(price=15_000).exists()
        answer = self.send(staff, performance, VIP=15_000, is_confirmed="on")

        assert answer.status_code == 302
        sold.refresh_from_db()
        held.refresh_from_db()
        assert (sold.total_price, held.total_price) == (150_000, 150_000)
        assert set(SeatClaim.objects.values_list("price", flat=True)) == {150_000}
        assert set(sold.tickets.values_list("price", flat=True)) == {150_000}

    def test_a_price_of_seats_that_are_free_is_not_asked_about(
        self, staff: Client, performance: Performance
    ) -> None:
        hold(CustomerFactory(), [performance.seats.filter(grade="VIP").order_by("pk")[0]])

        assert self.send(staff, performance, R=9_000).status_code == 302
        assert set(Seat.objects.filter(grade="R").values_list("price", flat=True)) == {9_000}

    def test_a_form_that_stood_open_is_refused(
        self, staff: Client, performance: Performance
    ) -> None:
        url = page_of(performance, "prices")
        shown = self.shown(staff, url)
        self.send(staff, performance, VIP=15_000)

        answer = staff.post(url, {**shown, "VIP": 150_000, "R": 80_000})

        assert "have changed in the meantime" in answer.content.decode()
        assert dict(Seat.objects.values_list("grade", "price")) == {"VIP": 15_000, "R": 90_000}

    def test_a_form_that_is_sent_twice_acts_once(
        self, staff: Client, performance: Performance
    ) -> None:
        url = page_of(performance, "prices")
        form = {**self.shown(staff, url), "VIP": 15_000, "R": 90_000}

        staff.post(url, form)
        again = staff.post(url, form, follow=True)

        assert "It has not been carried out twice." in again.content.decode()
        assert LogEntry.objects.count() == 1

    def test_has_its_entry_in_the_history_or_is_undone(
        self, staff: Client, performance: Performance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_args: Any) -> None:
            raise SystemExit

        monkeypatch.setattr("apps.concerts.admin.hall.note_action", fail)

        with pytest.raises(SystemExit):
            self.send(staff, performance, VIP=15_000)

        assert not Seat.objects.filter(price=15_000).exists()

    @pytest.mark.parametrize("price", ["0", "-5", "10000001", "x"])
    def test_a_price_out_of_bounds_is_refused(
        self, staff: Client, price: str, performance: Performance
    ) -> None:

        assert self.send(staff, performance, VIP=price).status_code == 200
        assert not Seat.objects.exclude(price__in=[150_000, 90_000]).exists()

    def test_needs_the_permission(self, performance: Performance) -> None:
        url = page_of(performance, "prices")

        assert clerk("change_performance").get(url).status_code == 403
        assert clerk("change_seat").get(url).status_code == 200

    def test_takes_as_many_queries_for_any_hall(self, staff: Client) -> None:
        small, large = hall(), hall()
        more = Seat.objects.of_performance(large.pk).order_by("pk")
        Seat.objects.bulk_create(
            Seat(**{**seat, "pk": None, "number": seat["number"] + shift})
            for seat in more.values("performance_id", *SEAT_FIELDS)
            for shift in range(10, 100, 10)
        )
        self.send(staff, small, VIP=1)

        assert queries_of(lambda: self.send(staff, small, VIP=2, R=3)) == queries_of(
            lambda: self.send(staff, large, VIP=2, R=3)
        )


class TestDeletion:
    def test_a_date_goes_with_its_hall(self, staff: Client, boss: User) -> None:
        performance, other = hall(), hall()

        page = staff.get(page_of(performance, "delete"))
        answer = delete(staff, page_of(performance, "delete"))

        assert "seats: 50" in page.content.decode()
        assert answer.status_code == 302
        assert list(Performance.objects.all()) == [other]
        assert Seat.objects.count() == 50
        entries = LogEntry.objects.order_by("pk")
        assert [(entry.user, entry.action_flag, entry.object_id) for entry in entries] == [
            (boss, DELETION, str(performance.pk)),
            (boss, CHANGE, str(performance.concert_id)),
        ]
        assert entries[0].get_change_message() == "seats: 50, performances: 1"

    def test_a_concert_goes_with_its_dates_and_its_waiting_room(self, staff: Client) -> None:
        performance = hall(concert__is_published=False)
        PerformanceFactory(concert=performance.concert)
        WaitingRoom.objects.create(concert=performance.concert)

        answer = delete(staff, page_of(performance.concert, "delete"))

        assert answer.status_code == 302
        for model in (Concert, Performance, Seat, WaitingRoom):
            assert not model.objects.exists()

    def test_a_concert_with_many_dates_takes_no_more_queries(self, staff: Client) -> None:
        few, many = ConcertFactory(is_published=False), ConcertFactory(is_published=False)
        PerformanceFactory(concert=few, seats=1)
        PerformanceFactory.create_batch(30, concert=many, seats=3)

        counts = [
            queries_of(lambda concert=concert: delete(staff, page_of(concert, "delete")))
            for concert in (few, many)
        ]

        assert counts[0] == counts[1]
        assert not Concert.objects.exists()

    def test_who_waits_for_a_deleted_concert_is_told(
        self, staff: Client, django_capture_on_commit_callbacks: Any
    ) -> None:
        concert = ConcertFactory()
        visitor = admitted_visitor(concert.pk)
        Concert.objects.update(is_published=False)

        with django_capture_on_commit_callbacks(execute=True):
            delete(staff, page_of(concert, "delete"))
        clear_process_caches()

        assert not Concert.objects.exists()
        assert live_room(concert.pk).figures() is None
        assert visitor.get("/queue/tokens/me").json()["code"] == "QUEUE_TOKEN_INVALID"

    def test_a_published_concert_is_kept(self, staff: Client) -> None:
        concert = ConcertFactory()

        page = staff.get(page_of(concert, "delete"))
        answer = staff.post(page_of(concert, "delete"), {"_expected": 1})

        assert "Withdraw it first." in page.content.decode()
        assert answer.status_code == 409
        assert Concert.objects.exists()

    @pytest.mark.parametrize("claim", [hold, overdue_hold, reservation])
    @pytest.mark.parametrize("kind", ["seat", "performance", "concert"])
    def test_what_a_customer_has_held_is_kept(
        self, staff: Client, claim: Any, kind: str, performance: Performance
    ) -> None:
        seat = performance.seats.order_by("pk")[0]
        claim(CustomerFactory(), [seat])
        Concert.objects.update(is_published=False)
        target = {"seat": seat, "performance": performance, "concert": performance.concert}[kind]

        page = staff.get(page_of(target, "delete"))
        answer = staff.post(page_of(target, "delete"), answer_to(page))

        words = page.content.decode()
        assert "This cannot be deleted because these refer to it: " in words
        assert "seat claims: 1" in words
        assert ("tickets: 1" in words) == (claim is reservation)
        assert answer.status_code == 409
        assert Seat.objects.count() == 50
        assert not LogEntry.objects.exists()

    def test_of_a_few_that_were_chosen_it_names_those_that_are_kept(self, staff: Client) -> None:
        sold, free = hall(), hall()
        hold(CustomerFactory(), [sold.seats.order_by("pk")[0]])

        text = act(staff, "delete_selected", sold, free).content.decode()

        assert f"<li>{sold.concert} · {at_venue(sold.starts_at)}: This cannot be deleted" in text
        assert f"<li>{free.concert} · {at_venue(free.starts_at)}" not in text
        assert Performance.objects.count() == 2

    def test_chosen_seats_go(self, staff: Client, performance: Performance) -> None:
        sold, *others = performance.seats.order_by("pk")
        reservation(CustomerFactory(), [sold])
        keep_back(others[0])
        chosen = [seat.pk for seat in others[:10]]

        answer = delete(
            staff,
            list_of(type(sold)),
            action="delete_selected",
            _selected_action=chosen,
        )

        assert answer.status_code == 302
        performance.refresh_from_db()
        assert (performance.seats_total, performance.seats_unblocked) == (40, 40)
        assert performance.seat_map_version == 3
        assert not Seat.objects.filter(pk__in=chosen).exists()
        entry = LogEntry.objects.get()
        assert entry.get_edited_object() == performance
        assert entry.get_change_message().startswith("Seats deleted (10): ")

    def test_the_last_seats_that_were_left_may_go(self, staff: Client) -> None:
        performance = PerformanceFactory(seats=2)
        _sold, left = performance.seats.order_by("pk")
        Performance.objects.update(seats_sold=1)

        delete(staff, page_of(left, "delete"))

        performance.refresh_from_db()
        assert (performance.seats_total, performance.seats_unblocked) == (1, 1)

    def test_all_seats_of_a_hall_go_and_others_can_be_made(self, staff: Client) -> None:
        performance, other = hall(), hall()
        link = staff.get(page_of(performance, "delete_hall")).headers["Location"]

        answer = delete(staff, link)

        assert answer.status_code == 302
        performance.refresh_from_db()
        assert (performance.seats_total, performance.seats_unblocked) == (0, 0)
        assert Seat.objects.count() == Seat.objects.of_performance(other.pk).count() == 50
        assert generate_seats(performance_id=performance.pk) == 50

    def test_a_hall_without_seats_has_nothing_to_delete(self, staff: Client) -> None:
        performance = PerformanceFactory()
        url = reverse("admin:concerts_seat_delete_hall", args=[performance.pk])

        text = staff.get(url).content.decode()
        page = staff.get(page_of(performance, "change")).content.decode()

        assert "Delete all seats" not in page
        assert "Correct prices" not in page
        assert "There is nothing to delete." in text
        assert "_expected" not in text
        assert "This cannot be undone." not in text

    def test_all_found_seats_go_with_one_short_form(self, staff: Client) -> None:
        performance = PerformanceFactory(seats=1_100)
        url = f"{list_of(Seat)}?performance__id__exact={performance.pk}"
        first = performance.seats.order_by("pk")[0]
        form = {"action": "delete_selected", "select_across": 1, "_selected_action": [first.pk]}

        page = staff.post(url, form)
        answer = staff.post(url, {**form, **answer_to(page)})

        assert page.content.decode().count('name="_selected_action"') == 1
        assert answer.status_code == 302
        assert not Seat.objects.exists()

    def test_what_the_page_did_not_show_is_not_deleted(self, staff: Client) -> None:
        performance = PerformanceFactory()
        page = staff.get(page_of(performance, "delete"))
        generate_seats(performance_id=performance.pk)

        answer = staff.post(page_of(performance, "delete"), answer_to(page))

        assert answer.status_code == 409
        assert "This has changed in the meantime." in answer.content.decode()
        assert Seat.objects.count() == 50

    def test_more_rows_than_a_request_can_do_are_refused(
        self, staff: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        performance = hall()
        monkeypatch.setattr(deletion, "ROWS_MAX", 40)

        page = staff.get(page_of(performance, "delete"))

        assert "This would delete more than 40 rows." in page.content.decode()
        assert page.context["expected"] == 42  # counted no further

    def test_rows_go_in_batches(
        self, staff: Client, monkeypatch: pytest.MonkeyPatch, performance: Performance
    ) -> None:
        monkeypatch.setattr(deletion, "BATCH", 7)

        with CaptureQueriesContext(connection) as captured:
            delete(staff, page_of(performance, "delete"))

        deletes = [
            query for query in captured if query["sql"].startswith('DELETE FROM "concerts_seat"')
        ]
        assert len(deletes) == 8
        assert not Seat.objects.exists()

    def test_needs_the_permission(self, performance: Performance) -> None:
        seat = performance.seats.order_by("pk")[0]

        for target in (seat, performance, performance.concert):
            assert clerk("view_seat").post(page_of(target, "delete")).status_code == 403
        assert Seat.objects.count() == 50

    def test_a_page_that_was_sent_before_deletes_nothing_else(self, staff: Client) -> None:
        performance = PerformanceFactory(seats=20)
        url = reverse("admin:concerts_seat_delete_hall", args=[performance.pk])
        sent = answer_to(staff.get(url))
        staff.post(url, sent)
        SeatFactory.create_batch(20, performance=performance)

        again = staff.post(url, sent)

        assert again.status_code == 302
        assert Seat.objects.count() == 20

    def test_a_page_that_was_not_shown_deletes_nothing(
        self, staff: Client, performance: Performance
    ) -> None:
        sent = answer_to(staff.get(page_of(hall(), "delete")))

        answer = staff.post(page_of(performance, "delete"), sent)

        assert answer.status_code == 409
        assert Performance.objects.count() == 2


class TestDeletionOfAccounts:
    def test_an_account_that_did_nothing_goes(self, staff: Client) -> None:
        customer = CustomerFactory()
        customer.groups.add(Group.objects.create(name="Regulars"))

        assert delete(staff, page_of(customer, "delete")).status_code == 302
        assert not User.objects.filter(pk=customer.pk).exists()

    def test_an_account_that_did_something_is_kept(self, staff: Client) -> None:
        customer = CustomerFactory()
        hold(customer, [PerformanceFactory(seats=1).seats.get()])

        page = staff.get(page_of(customer, "delete"))

        assert "holds: 1" in page.content.decode()
        assert staff.post(page_of(customer, "delete"), {"_expected": 1}).status_code == 409
        assert User.objects.filter(pk=customer.pk).exists()

    def test_staff_whose_acts_stand_in_a_history_are_kept(self, staff: Client) -> None:
        colleague = CustomerFactory(admin=True)
        performance = hall()
        LogEntry.objects.log_actions(colleague.pk, [performance], CHANGE, "x")

        page = staff.get(page_of(colleague, "delete"))

        assert "log entries: 1" in page.content.decode()

    def test_staff_delete_no_colleague_and_not_themselves(self, staff: Client, boss: User) -> None:
        other = clerk("delete_user", "view_user")

        assert other.post(page_of(boss, "delete"), {"_expected": 1}).status_code == 403
        selected = {"action": "delete_selected", "_selected_action": [boss.pk], "_expected": 1}
        assert other.post(list_of(type(boss)), selected).status_code == 403
        assert staff.get(page_of(boss, "delete")).status_code == 403
        assert User.objects.filter(pk=boss.pk).exists()

    def test_a_group_with_many_members_is_counted(self, staff: Client) -> None:
        group = Group.objects.create(name="Crowd")
        group.user_set.set(CustomerFactory.create_batch(12))

        page = staff.get(page_of(group, "delete"))

        assert "user-group relationships: 12" in page.content.decode()
        assert delete(staff, page_of(group, "delete")).status_code == 302
        assert not Group.objects.filter(pk=group.pk).exists()


def test_whatever_may_be_deleted_is_counted() -> None:
    request: Any = type("Request", (), {"user": CustomerFactory(admin=True)})
    admins = admin.site._registry.values()
    deletable = {pages.model for pages in admins if pages.has_delete_permission(request)}
    counted = {pages.model for pages in admins if isinstance(pages, CountedDeletion)}

    assert deletable == counted == {Concert, Group, HallTemplate, Performance, Seat, User}
