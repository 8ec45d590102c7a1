"""The pages of the counter: the live picture of a hall, releasing, selling, printing and moving, by staff who may."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.boxoffice.base.words import at_venue
from apps.boxoffice.models import StaffJob
from apps.concerts.admin.painting import painting_url
from apps.concerts.models import SeatAllocation
from apps.payments.models import LedgerTransaction
from apps.reservations.models import Hold, Reservation
from apps.reservations.services import cancel_seats
from tests.boxoffice.sending import send
from tests.boxoffice.staff import clerk, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, block_seats, category_of
from tests.factories.counter import give, sell
from tests.factories.payments import WalletFactory
from tests.factories.reservations import confirm, hold, overdue_hold, reservation

pytestmark = pytest.mark.django_db

LOOKS = ("view_reservation", "view_hold", "view_ticket")


@pytest.fixture
def performance():
    """Five seats at 50,000 won, two for each customer, beside a date with three at 30,000 and another concert."""
    PerformanceFactory(seats=2)
    made = PerformanceFactory(seats=5, concert__seats_per_customer=2, concert__title="Paper Moons")
    PerformanceFactory(
        concert=made.concert,
        seats=3,
        seats__section="B",
        seats__price=30_000,
        starts_at=made.starts_at + timedelta(days=1),
    )
    return made


@pytest.fixture
def seats(performance):
    return list(performance.seats.order_by("pk"))


@pytest.fixture
def customer():
    return WalletFactory(
        balance=1_000_000, customer__name="Ida Vale", customer__email="ida@example.com"
    ).customer


def url(name, *args):
    return reverse(f"admin:reservations_{name}", args=args)


def text_of(answer):
    assert answer.status_code == 200
    return answer.content.decode()


class TestCounter:
    def test_leads_to_the_halls_of_what_is_not_over(self, staff, performance):
        page = text_of(staff.get(url("counter")))

        assert url("picture", performance.pk) in page

    def test_finds_by_the_title(self, staff, performance):
        other = PerformanceFactory(seats=1, concert__title="Night Garden")

        page = text_of(staff.get(url("counter"), {"q": "paper moons"}))

        assert url("picture", performance.pk) in page
        assert url("picture", other.pk) not in page

    def test_says_what_to_do_when_there_is_nothing(self, staff):
        assert "Create a concert" in text_of(staff.get(url("counter")))
        assert "No performance" in text_of(staff.get(url("counter"), {"q": "x\x00y"}))


class TestPicture:
    @pytest.fixture
    def sold(self, customer, seats):
        return reservation(customer, seats[:1])

    @pytest.fixture
    def held(self, seats):
        return hold(CustomerFactory(name="Max Stone", email="max@example.com"), seats[1:2])

    @pytest.fixture
    def hall(self, sold, held, seats):
        """One seat sold, one held, one kept back that no group sells, one of which a hold is over, one free."""
        category_of("HOUSE").sellers.clear()
        block_seats(seat_ids=[seats[2].pk])
        overdue_hold(CustomerFactory(), seats[3:4])

    @pytest.mark.usefixtures("hall")
    def test_shows_each_seat_as_it_is_and_whose(self, staff, performance, sold, held):
        page = text_of(staff.get(url("picture", performance.pk)))

        assert page.count("Choose 1 A-") == 2
        assert page_of(sold) in page
        assert page_of(held) in page
        assert url("release", held.pk) in page
        assert "Ida Vale" in page
        assert "Max Stone" in page

    @pytest.mark.usefixtures("hall")
    def test_names_what_seats_are_kept_back_for_and_offers_them_to_who_sells_them(
        self, performance, seats
    ):
        seller = clerk("sell_at_counter", *LOOKS)
        chosen = f'name="seat" value="{seats[2].pk}"'
        address = url("picture", performance.pk)
        sale = f"{url('sell', performance.pk)}?seat={seats[2].pk}"
        before = text_of(seller.get(address)), text_of(seller.get(sale))
        group = Group.objects.create(name="Guest list")
        category_of("HOUSE").sellers.add(group)
        User.objects.get(pk=seller.session["_auth_user_id"]).groups.add(group)
        after = text_of(seller.get(address)), text_of(seller.get(sale))

        assert "kept back: House" in before[0]
        assert (chosen in before[0], chosen in after[0]) == (False, True)
        assert ("Not free: 1 A-3." in before[1], "Not free" in after[1]) == (True, False)

    @pytest.fixture
    def kept_by(self, seats):
        """The clerk who keeps a seat back until a planned time; a group sells such seats."""
        category_of("HOUSE").sellers.add(Group.objects.create(name="Guest list"))
        keeper = CustomerFactory(staff=True, name="Kee Per", email="keeper@example.com")
        until = timezone.now() + timedelta(days=2)
        SeatAllocation.objects.filter(seat=seats[2]).update(
            reason="For the band's family", allocated_by=keeper, released_at=until
        )
        return keeper

    @pytest.mark.usefixtures("hall", "kept_by")
    def test_says_of_a_kept_seat_what_for_by_whom_why_and_until_when(
        self, staff, performance, seats
    ):
        allocation = SeatAllocation.objects.get(seat=seats[2])
        address = url("picture_seat", performance.pk, seats[2].pk)
        sale = f"{url('sell', performance.pk)}?seat={seats[2].pk}"

        page = text_of(staff.get(address))

        for words in (
            "House",
            "For the band&#x27;s family",
            "Kee Per",
            at_venue(allocation.allocated_at),
            at_venue(allocation.released_at),
            sale,
            painting_url(performance.pk, seats=seats[2].pk),
        ):
            assert words in page, words
        assert address in text_of(staff.get(url("picture", performance.pk)))

    @pytest.mark.usefixtures("hall", "kept_by")
    def test_offers_of_a_kept_seat_what_its_reader_may_do(self, performance, seats):
        address = url("picture_seat", performance.pk, seats[2].pk)
        ways = url("sell", performance.pk), painting_url(performance.pk)

        def offers(*permissions):
            page = text_of(clerk(*LOOKS, *permissions).get(address))
            return [way in page for way in ways]

        assert offers() == [False, False]
        assert offers("sell_at_counter") == [False, False]
        assert offers("change_seatallocation") == [False, True]

    @pytest.mark.usefixtures("hall", "kept_by")
    def test_a_kept_seat_in_a_move_leads_back_to_the_move(self, staff, performance, seats, sold):
        query = f"move={sold.pk}"

        page = text_of(staff.get(f"{url('picture_seat', performance.pk, seats[2].pk)}?{query}"))

        assert f"{url('picture', performance.pk)}?{query}" in page
        assert url("sell", performance.pk) not in page
        assert "To move Ida Vale" in page

    @pytest.mark.usefixtures("hall")
    def test_narrows_the_list(self, staff, performance):
        held = text_of(staff.get(url("picture", performance.pk), {"state": "H"}))
        nowhere = text_of(staff.get(url("picture", performance.pk), {"section": "X"}))
        nonsense = text_of(staff.get(url("picture", performance.pk), {"state": "?", "page": "x"}))

        assert ("Max Stone" in held, "Ida Vale" in held) == (True, False)
        assert "No seat is like that" in nowhere
        assert "Ida Vale" in nonsense

    @pytest.mark.usefixtures("hall")
    def test_answers_a_script_in_letters_and_holds(self, staff, performance, held):
        answer = staff.get(url("picture_now", performance.pk))

        now = json.loads(answer.content)
        assert now["statuses"] == "RHBAA"
        [shown] = now["holds"]
        assert shown == {
            "who": "Max Stone <max@example.com>",
            "until": held.expires_at.isoformat(),
            "seats": [1],
        }
        again = staff.get(
            url("picture_now", performance.pk), headers={"If-None-Match": answer["ETag"]}
        )
        assert again.status_code == 304

    @pytest.mark.usefixtures("hall")
    def test_is_one_reading_for_all_who_look(self, staff, performance):
        address = url("picture_now", performance.pk)
        staff.get(address)
        other = clerk(*LOOKS)
        other.get(address)

        with CaptureQueriesContext(
            connection,
        ) as queries:
            other.get(address)

        assert not [query for query in queries if "concerts_seat" in query["sql"]]

    def test_costs_as_many_queries_however_many_seats_are_taken(self, staff, performance, seats):
        def cost():
            with CaptureQueriesContext(connection) as queries:
                staff.get(url("picture", performance.pk))
            return len(queries)

        cost()
        before = cost()
        for seat in seats[:3]:
            reservation(WalletFactory(balance=50_000).customer, [seat])

        assert cost() == before

    @pytest.mark.usefixtures("hall")
    def test_is_an_image_without_the_script(self, staff, performance):
        answer = staff.get(url("picture_image", performance.pk))

        assert answer["Content-Type"] == "image/svg+xml"
        assert answer.content.decode().count("M1 1h.8v.8h-.8z") == 1
        assert url("picture_image", performance.pk) in text_of(
            staff.get(url("picture", performance.pk))
        )

    @pytest.mark.usefixtures("hall")
    def test_leads_from_a_seat_to_what_it_is(self, staff, performance, seats, sold, held):
        def leads_to(seat):
            return staff.get(url("picture_seat", performance.pk, seat.pk)).url

        assert leads_to(seats[0]) == page_of(sold)
        assert leads_to(seats[1]) == page_of(held)
        assert leads_to(seats[4]) == f"{url('sell', performance.pk)}?seat={seats[4].pk}"

    def test_is_linked_from_the_performance(self, staff, performance):
        assert staff.get(f"{page_of(performance)}", follow=True).status_code == 200
        link = reverse("admin:concerts_performance_show_picture", args=[performance.pk])

        assert link in text_of(staff.get(page_of(performance)))
        assert staff.get(link).url == url("picture", performance.pk)

    def test_is_kept_from_who_may_not_look(self, performance):
        for name in ("picture", "picture_now", "picture_map", "picture_image"):
            assert clerk("view_reservation").get(url(name, performance.pk)).status_code == 403

    def test_offers_nothing_that_its_reader_may_not_do(self, performance, held):
        page = text_of(clerk(*LOOKS).get(url("picture", performance.pk)))

        assert "Sell the chosen seats" not in page
        assert url("release", held.pk) not in page


class TestRelease:
    @pytest.fixture
    def held(self, customer, seats):
        return hold(customer, seats[:2])

    def test_asks_for_the_reason_and_releases(self, staff, held):
        answer = send(staff, url("release", held.pk), {"reason": "Needed for a wheelchair"})

        assert answer.url == url("picture", held.performance_id)
        held.refresh_from_db()
        assert (held.status, held.release_reason) == ("RELEASED", "Needed for a wheelchair")

    def test_acts_once(self, staff, held):
        address = url("release", held.pk)
        form = {"_shown": staff.get(address).context["shown"], "reason": "x"}

        staff.post(address, form)
        again = staff.post(address, form, follow=True)

        assert "sent before" in text_of(again)

    def test_refuses_what_was_paid_meanwhile(self, staff, held):
        shown = staff.get(url("release", held.pk)).context["shown"]
        confirm(held)

        answer = staff.post(url("release", held.pk), {"_shown": shown, "reason": "x"})

        assert "It was paid or released in the meantime" in text_of(answer)
        held.refresh_from_db()
        assert held.status == Hold.Status.CONFIRMED

    def test_is_for_who_may(self, held):
        assert clerk(*LOOKS).get(url("release", held.pk)).status_code == 403
        assert clerk("release_hold", *LOOKS).get(url("release", held.pk)).status_code == 200


def sale(total, **changes):
    walk_up = {"buyer": "WALK_UP", "name": "Kim Minji", "contact": "010-1234-5678"}
    return {"price": total, **walk_up, "paid_by": "CASH", "reason": "", **changes}


class TestSell:
    def test_takes_seats_as_they_are_printed(self, staff, performance, seats):
        page = staff.get(url("sell", performance.pk), {"seats": "1 A-1, 1 A-2"})

        assert [now.seat for now in page.context["chosen"]] == seats[:2]
        assert "Sell for 100,000 won" in text_of(page)

    def test_says_which_it_does_not_understand_and_which_are_taken(self, staff, performance, seats):
        hold(CustomerFactory(), seats[:1])

        page = text_of(staff.get(url("sell", performance.pk), {"seats": "1 A-1, 9 Z-9, 1 A"}))

        assert "9 Z-9 is not one seat of this performance." in page
        assert "1 A is not one seat of this performance." in page
        assert "Not free: 1 A-1." in page
        assert "Sell for" not in page

    def test_looks_for_no_more_seats_than_can_be_sold_at_a_time(self, staff, performance, seats):
        few, many = (", ".join(f"{n:x}" for n in range(count)) for count in (60, 250))

        def queries(names):
            with CaptureQueriesContext(connection) as captured:
                assert "Sell for" not in text_of(
                    staff.get(url("sell", performance.pk), {"seats": f"1 A-1, {names}"})
                )
            return len(captured)

        queries(few)
        assert queries(many) == queries(few)

    def test_sells_to_a_walk_up_and_leads_to_the_tickets(self, staff, performance, seats):
        address = f"{url('sell', performance.pk)}?seat={seats[0].pk}&seat={seats[1].pk}"

        answer = send(staff, address, sale(100_000))

        sold = Reservation.objects.get()
        assert answer.url == url("tickets", sold.pk)
        assert (sold.total_price, sold.contact) == (100_000, "010-1234-5678")
        page = text_of(staff.get(answer.url))
        assert "2 seats sold." in page
        assert "Kim Minji" in page
        assert page.count('alt="QR code of this ticket"') == 2
        assert "counter.invalid" not in page

    def test_sells_once_however_often_it_is_sent(self, staff, performance, seats):
        address = f"{url('sell', performance.pk)}?seat={seats[0].pk}"
        form = {"_shown": staff.get(address).context["shown"], **sale(50_000)}

        first = staff.post(address, form)
        again = staff.post(address, form)

        assert first.url == again.url
        assert Reservation.objects.count() == 1

    def test_sells_to_a_customer_by_address_or_name(self, staff, performance, seats, customer):
        CustomerFactory(name="Ida Vale", email="other@example.com")
        address = f"{url('sell', performance.pk)}?seat={seats[0].pk}"
        account = {"buyer": "ACCOUNT", "paid_by": "WALLET"}

        several = send(staff, address, sale(50_000, account="Ida Vale", **account))
        answer = send(staff, address, sale(50_000, account="ida@example.com", **account))

        assert "Several customers are called that" in text_of(several)
        assert Reservation.objects.get().customer == customer
        assert answer.status_code == 302
        assert LedgerTransaction.objects.get(type="PAYMENT").customer == customer

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"name": ""}, "Enter a name for the tickets."),
            ({"paid_by": "HOUSE"}, "Say why the tickets are complimentary."),
            ({"paid_by": "WALLET"}, "Only a customer with an account has a wallet."),
            ({"buyer": "ACCOUNT", "account": "nobody"}, "There is no such customer."),
            ({"price": 1}, "The prices have changed in the meantime."),
        ],
    )
    def test_refuses_and_sells_nothing(self, staff, performance, seats, changes, words):
        address = f"{url('sell', performance.pk)}?seat={seats[0].pk}"

        answer = send(staff, address, sale(50_000, **changes))

        assert words in text_of(answer)
        assert not Reservation.objects.exists()
        assert not User.objects.filter(name="Kim Minji").exists()

    def test_refuses_a_seat_that_was_taken_meanwhile(self, staff, performance, seats):
        address = f"{url('sell', performance.pk)}?seat={seats[0].pk}"
        shown = staff.get(address).context["shown"]
        hold(CustomerFactory(), seats[:1])

        answer = staff.post(address, {"_shown": shown, **sale(50_000)})

        assert "Not free: 1 A-1." in text_of(answer)
        assert not Reservation.objects.exists()

    def test_asks_for_a_reason_above_the_limit(self, staff, performance, seats):
        address = f"{url('sell', performance.pk)}?seats=1 A-1, 1 A-2, 1 A-3"

        refused = send(staff, address, sale(150_000))
        answer = send(staff, address, sale(150_000, reason="A family"))

        assert "Give a reason to make an exception." in text_of(refused)
        assert answer.status_code == 302
        assert Reservation.objects.get().tickets.count() == 3

    def test_gives_complimentary_tickets_to_who_may(self, performance, seats):
        address = f"{url('sell', performance.pk)}?seat={seats[0].pk}"
        given = sale(50_000, paid_by="HOUSE", reason="Press")

        refused = send(clerk("sell_at_counter", *LOOKS), address, given)
        answer = send(clerk("sell_at_counter", "give_complimentary", *LOOKS), address, given)

        assert "Select a valid choice" in text_of(refused)
        assert answer.status_code == 302
        assert LedgerTransaction.objects.get(type="COMP").reason == "Press"

    def test_is_for_who_may(self, performance):
        assert clerk(*LOOKS).get(url("sell", performance.pk)).status_code == 403


class TestManyComplimentaryTickets:
    @pytest.fixture
    def job(self, staff, performance, seats):
        address = f"{url('sell', performance.pk)}?" + "&".join(f"seat={seat.pk}" for seat in seats)
        answer = send(staff, address, sale(250_000, paid_by="HOUSE", reason="Press"))
        job = StaffJob.objects.get()
        assert answer.url == page_of(job)
        return job

    def test_wait_for_a_second_person(self, job):
        assert job.status == StaffJob.Status.AWAITING_APPROVAL
        assert not Reservation.objects.exists()

    def test_are_given_once_they_are_approved(self, job, staff):
        from apps.boxoffice.base.jobs.services import approve_job, run_job

        approve_job(job_id=job.pk, staff_id=CustomerFactory(admin=True).pk)
        run_job(job_id=job.pk)

        given = Reservation.objects.get()
        assert (given.tickets.count(), given.total_price) == (5, 250_000)
        comp = LedgerTransaction.objects.get(type="COMP")
        assert (comp.adjusted_by_id, comp.reason) == (job.requested_by_id, "Press")
        page = text_of(staff.get(page_of(job)))
        assert "Kim Minji" in page
        assert "250,000 won" in page


class TestTickets:
    def test_of_what_was_cancelled_have_no_code(self, staff, customer, seats):
        reserved = reservation(customer, seats[:1])
        Reservation.objects.filter(pk=reserved.pk).update(
            status="CANCELLED", cancelled_at=reserved.reserved_at
        )

        page = text_of(staff.get(url("tickets", reserved.pk)))

        assert "its tickets are void" in page
        assert "QR code" not in page

    def test_that_were_given_back_are_not_printed(self, staff, customer, seats):
        reserved = reservation(customer, seats[:2])
        by = {"reason": "Fell ill", "staff_id": CustomerFactory(staff=True).pk}
        cancel_seats(reservation_id=reserved.pk, seat_ids=[seats[0].pk], **by)
        void, standing = reserved.tickets.order_by("seat_id")

        page = text_of(staff.get(url("tickets", reserved.pk)))

        assert page.count("QR code of this ticket") == 1
        assert standing.printed_code in page
        assert void.printed_code not in page
        assert f"Given back, and not printed: {void.seat}" in page

    def test_are_for_who_may_see_them(self, customer, seats):
        reserved = reservation(customer, seats[:1])

        assert clerk("view_reservation").get(url("tickets", reserved.pk)).status_code == 403


class TestMove:
    @pytest.fixture
    def reserved(self, customer, seats):
        return reservation(customer, seats[:2])

    @pytest.fixture
    def other_date(self, performance):
        return performance.concert.performances.exclude(pk=performance.pk).get()

    def test_says_the_difference_and_moves(self, staff, reserved, other_date):
        address = f"{url('move', reserved.pk)}?performance={other_date.pk}&seats=B A-1, B A-2"

        page = text_of(staff.get(address))
        answer = send(
            staff, address, {"difference": -40_000, "paid_by": "CASH", "reason": "Is ill"}
        )

        assert "40,000 won go back to the customer's wallet." in page
        reserved.refresh_from_db()
        assert answer.url == url("tickets", reserved.moved_to_id)
        assert reserved.moved_to.performance == other_date
        assert "The customer was moved." in text_of(staff.get(answer.url))

    def test_offers_the_picture_to_choose_on(self, staff, reserved, performance):
        page = text_of(staff.get(url("picture", performance.pk), {"move": str(reserved.pk)}))

        assert url("move", reserved.pk) in page
        assert "Choose the new seats of Ida Vale" in page
        assert text_of(staff.get(url("picture", performance.pk), {"move": "nonsense"}))

    def test_says_at_once_that_a_part_was_given_back(self, staff, reserved, seats):
        by = {"reason": "Fell ill", "staff_id": CustomerFactory(staff=True).pk}
        cancel_seats(reservation_id=reserved.pk, seat_ids=[seats[0].pk], **by)

        page = text_of(staff.get(url("move", reserved.pk)))

        assert "A part of this reservation was cancelled or refunded" in page

    def test_refuses_another_number_of_seats(self, staff, reserved):
        page = text_of(staff.get(url("move", reserved.pk), {"seats": "1 A-3"}))

        assert "Choose as many seats as the customer has: 2." in page
        assert "Move the customer" not in page

    def test_refuses_what_was_cancelled_meanwhile(self, staff, reserved):
        address = f"{url('move', reserved.pk)}?seats=1 A-3, 1 A-4"
        form = {"difference": 0, "paid_by": "CASH", "reason": "x"}
        shown = staff.get(address).context["shown"]
        Reservation.objects.filter(pk=reserved.pk).update(
            status="CANCELLED", cancelled_at=reserved.reserved_at
        )

        answer = staff.post(address, {"_shown": shown, **form})

        assert "This reservation was cancelled" in text_of(answer)
        assert Reservation.objects.count() == 1

    def test_is_for_who_may(self, reserved):
        assert clerk(*LOOKS).get(url("move", reserved.pk)).status_code == 403


class TestWalkUps:
    """A customer without an account has an address that no page shows."""

    @pytest.fixture
    def sold(self, seats):
        return sell(seats[:1]).reservation

    def test_are_shown_by_name(self, staff, sold, performance, seats):
        booked = LedgerTransaction.objects.filter(customer=sold.customer).first()
        pages = [
            page_of(sold),
            page_of(sold.hold),
            page_of(sold.customer),
            page_of(booked),
            reverse("admin:reservations_reservation_refund", args=[sold.pk]),
            reverse("admin:reservations_reservation_changelist"),
            reverse("admin:accounts_user_changelist"),
            reverse("admin:payments_ledgertransaction_changelist"),
            url("picture", performance.pk),
            reverse("admin:reservations_reservation_refund", args=[sold.pk]),
            f"{reverse('admin:reservations_reservation_find')}?q=Minji",
        ]
        sell(seats[1:2])  # another one, so that the search lists both

        for page in pages:
            text = text_of(staff.get(page))
            assert "Kim Minji" in text, page
            assert "counter.invalid" not in text, page

    def test_are_told_apart_from_customers_with_an_address(self, customer, sold):
        assert str(sold.customer) == "Kim Minji"
        assert sold.customer.shown_as == "Kim Minji (walk-up)"
        assert customer.shown_as == "Ida Vale <ida@example.com>"

    def test_of_complimentary_tickets_as_well(self, seats):
        assert give(seats[2:3]).reservation.customer.is_walk_up
