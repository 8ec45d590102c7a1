"""Test the drill's staff at the real administration, and whether the verdict finds what of their acts is lost, doubled or wrong."""

import json
import random
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count

import httpx
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db.models import F
from django.utils import timezone

from apps.boxoffice.roles import BOX_OFFICE, give_permissions
from apps.concerts.inventory import release_seats
from apps.concerts.models import Seat, SeatAllocation
from apps.outbox.events import SEATS_CANCELLED
from apps.outbox.models import EventDelivery, OutboxEvent
from apps.payments.counter import PaidBy
from apps.payments.models import LedgerEntry, LedgerTransaction
from apps.payments.services import adjust_wallet
from apps.queue.models import PolicyChange
from apps.reservations.models import Hold, Reservation, SeatClaim
from dev.drill import staff
from dev.drill.acts import Act, Form, What
from dev.drill.desk import Desk, form_on
from dev.drill.history import History, Outcome
from dev.drill.house import CATEGORIES, employ, prepare_hall
from dev.drill.painting import keep_back_and_release
from dev.drill.refunds import KeptSeats
from dev.drill.settle import settle
from dev.drill.verdict import find_breaches
from tests.dev.drilling import Wire, staff_at
from tests.factories.concerts import PerformanceFactory, category_of, keep_back
from tests.ops.invariants.planting import unprotected

pytestmark = pytest.mark.django_db


@pytest.fixture
def performance(db):
    give_permissions()
    for code in CATEGORIES:
        category_of(code).sellers.set(Group.objects.filter(name=BOX_OFFICE))
    return PerformanceFactory(seats=60, concert__seats_per_customer=10)


@pytest.fixture
def hall(performance):
    return prepare_hall(performance.pk)


@pytest.fixture
def seats(hall):
    """Return those that nobody keeps back."""
    return list(Seat.objects.filter(pk__in=hall.others).order_by("pk"))


@pytest.fixture
def desk(shopper, performance):
    """Return a clerk and the wire to the administration; the customer shops in the same history."""
    accounts = {shopper.user_id: f"{shopper.user_id}@drill.example"}
    shopper_account = Reservation._meta.get_field("customer").related_model.objects
    shopper_account.filter(pk=shopper.user_id).update(email=accounts[shopper.user_id])
    return staff_at(performance, shopper.history, accounts=accounts)


@pytest.fixture
def clerk(desk):
    return desk[0]


@pytest.fixture
def wire(desk):
    return desk[1]


@pytest.fixture
def paid(shopper, seats):
    """Two seats, bought by the customer."""
    return shopper.pay(shopper.hold(seats[:2]))


@pytest.fixture
def found(shopper, clerk, hall):
    return lambda: find_breaches(shopper.history.calls, staff_ids=[clerk.user_id], kept=hall.kept)


def acts(shopper, *what):
    calls = [call for call in shopper.history.calls if isinstance(call.request, Act)]
    return [call for call in calls if not what or call.request.what in what]


def done(shopper, what, act, *arguments):
    """Do something until it was done: what is chosen is drawn."""
    for _ in range(20):
        act(*arguments)
        calls = acts(shopper, what)
        if calls and calls[-1].outcome is Outcome.DONE:
            return calls[-1]
    raise AssertionError(f"never done: {what}, {[call.attempts for call in acts(shopper)]}")


def sold_by(shopper, clerk, hall, wanted):
    """Sell at the counter until a sale is as wanted."""
    for _ in range(60):
        call = done(shopper, What.SELL, clerk.sell, hall)
        if wanted(call.request):
            return call
    raise AssertionError("never sold like that")


class TestHonestStaff:
    def test_do_everything_and_nothing_is_found(self, shopper, clerk, hall, seats, paid, found):
        shopper.come_again()
        held = shopper.hold(seats[2:4], key="hold-2")
        done(shopper, What.MOVE, clerk.move, [hall])
        for _ in range(12):
            done(shopper, What.SELL, clerk.sell, hall)
        for what in (What.GIVE_BACK, What.GIVE_BACK, What.CANCEL):
            done(shopper, what, clerk.give_back, what)
        done(shopper, What.MOVE, clerk.move, [hall])
        done(shopper, What.KEEP, clerk.keep, hall, hall.painted[:3])
        done(shopper, What.PAUSE, clerk.pause)
        clerk.tidy()
        done(shopper, What.CORRECT, clerk.correct)
        done(shopper, What.RELEASE, clerk.release)

        assert {call.request.what for call in acts(shopper) if call.outcome is Outcome.DONE} == set(
            What
        )
        assert Hold.objects.get(pk=held.data["hold_id"]).status == Hold.Status.RELEASED
        assert SeatAllocation.objects.count() == len(hall.kept)
        assert found() == []

    def test_move_back_and_forth_at_the_cost_of_the_house(self, shopper, clerk, hall, paid, found):
        """The house stands for what the first move costs, and is the first to get back what the second one saves."""
        dearer, cheaper = hall.others[10:20], hall.others[20:30]
        Seat.objects.filter(pk__in=dearer).update(price=F("price") + 20_000)
        Seat.objects.filter(pk__in=cheaper).update(price=F("price") + 5_000)
        clerk.dice.choice = lambda ways: PaidBy.HOUSE if PaidBy.HOUSE in ways else ways[-1]
        clerk._free = lambda *_, **__: dearer[:2]
        done(shopper, What.MOVE, clerk.move, [hall])
        clerk._free = lambda *_, **__: cheaper[:2]
        done(shopper, What.MOVE, clerk.move, [hall])

        amounts = [call.request.amount for call in acts(shopper, What.MOVE)]
        assert amounts == [40_000, 0]
        assert found() == []

    @pytest.mark.parametrize("seed", [1, 2])
    def test_work_as_the_seed_has_it(self, shopper, clerk, hall, paid, found, seed):
        clerk.dice = random.Random(seed)
        stop = threading.Event()
        numbers = count()
        # So that it ends by what was done, not by the time.
        stop.wait = lambda seconds: next(numbers) > 40 and stop.set()

        clerk.work([hall], stop)

        assert len(acts(shopper)) > 20
        assert found() == []
        assert not any(call.refusal.startswith("HTTP") for call in shopper.history.calls)

    def test_go_on_after_their_session_is_over(self, shopper, clerk, found):
        done(shopper, What.CORRECT, clerk.correct)
        Session.objects.all().delete()

        done(shopper, What.CORRECT, clerk.correct)

        assert [call.outcome for call in acts(shopper)] == [Outcome.DONE] * 2
        assert found() == []

    def test_paint_while_everything_else_is_painted(self, shopper, clerk, hall, found):
        clerk.keep(hall, hall.painted[:3])

        assert keep_back_and_release(hall.performance_id, hall.others) == []
        clerk.tidy()

        assert found() == []


class TestLostAnswers:
    @pytest.mark.parametrize("breaks", ["before", "after"])
    @pytest.mark.parametrize("what", [what for what in What if what is not What.RESUME])
    def test_settle_to_one_effect(
        self, shopper, clerk, wire, hall, seats, paid, found, what, breaks
    ):
        if what is What.RELEASE:
            shopper.come_again()
            shopper.hold(seats[2:3], key="hold-2")
            clerk.dice.choice = lambda options: options[-1]  # not the one that was paid
        if what is What.OPEN:
            clerk.keep(hall, hall.painted[:2])
        act = {
            What.SELL: partial(clerk.sell, hall),
            What.GIVE_BACK: partial(clerk.give_back, What.GIVE_BACK),
            What.CANCEL: partial(clerk.give_back, What.CANCEL),
            What.MOVE: partial(clerk.move, [hall]),
            What.KEEP: partial(clerk.keep, hall, hall.painted[:2]),
            What.OPEN: clerk.open_all,
            What.RELEASE: clerk.release,
            What.PAUSE: clerk.pause,
            What.CORRECT: clerk.correct,
        }[what]
        wire.breaks_form = breaks

        while not (calls := acts(shopper, what)):
            act()
        assert calls[-1].was_unknown
        settle(
            shopper.history.calls,
            {shopper.user_id: shopper, clerk.user_id: clerk},
            sleep=lambda seconds: None,
        )
        clerk.tidy()

        assert (calls[-1].outcome, calls[-1].had_happened) == (Outcome.DONE, breaks == "after")
        assert found() == []


class TestDesk:
    def test_takes_a_form_that_is_too_old_for_a_refusal(self, shopper, clerk, found):
        call = done(shopper, What.PAUSE, clerk.pause)
        forged = {**call.request.body, "_shown": "forged"}

        answer = clerk.desk.send(replace(call.request, body=forged))

        assert (answer.status_code, answer.json()["code"]) == (409, "FORM_TOO_OLD")
        assert found() == []

    def test_takes_a_page_that_led_back_with_an_error_for_a_refusal(self, shopper, clerk):
        """A correction below zero."""
        adjust_wallet(
            customer_id=shopper.user_id, amount=-999_900, reason="Spent", staff_id=clerk.user_id
        )
        clerk.dice.choice = min

        clerk.correct()

        [call] = acts(shopper)
        assert (call.outcome, call.refusal) == (Outcome.REFUSED, "FORM_REFUSED")

    def test_says_that_a_form_had_acted_before(self, shopper, clerk):
        call = done(shopper, What.PAUSE, clerk.pause)

        clerk.repeat(call)

        first, again = call.attempts
        assert (first.is_replay, again.is_replay) == (False, True)
        assert first.envelope["data"]["location"] == again.envelope["data"]["location"]

    def test_does_not_get_in_with_a_wrong_password(self):
        [(user, _password)] = employ(1)
        client = httpx.Client(base_url="http://testserver", transport=Wire())
        desk = Desk(client, email=user.email, password="guessed")

        assert desk.send(Form("GET", "/admin/")).status_code >= 500

    def test_reads_a_form_as_a_browser_does(self):
        page = """
            <form action="/logout"><input name="other" value="1"></form>
            <form><input type="hidden" name="_shown" value="s"><input name="a" value="1">
              <input type="checkbox" name="seats" value="7"><input type="checkbox" name="seats" value="8" checked>
              <input type="radio" name="r" value="x"><input type="radio" name="r" value="y" checked>
              <select name="to"><option value="">-</option><option value="open" selected>Open</option></select>
              <textarea name="reason">
                why</textarea><input type="submit" name="_save" value="Save"></form>
        """

        form = form_on(page)

        assert form.values == {
            "_shown": "s",
            "a": "1",
            "seats": ["8"],
            "r": "y",
            "to": "open",
            "reason": "why",
        }
        assert form.choices == {"seats": ["7", "8"]}


def tell(call, **data):
    """Make it look as if staff had been answered something else."""
    first = call.answer
    envelope = first.envelope
    envelope["data"] |= data
    call.attempts[call.attempts.index(first)] = replace(first, body=json.dumps(envelope).encode())


def ask_for(call, **about):
    """Make it look as if the form had asked for something else."""
    call.request = replace(call.request, **about)


def alter(queryset, **values):
    """Change rows past the triggers of the database."""
    with unprotected():
        queryset.update(**values)


def forget(call):
    """Make it look as if the form had been refused."""
    body = json.dumps({"code": "FORM_REFUSED", "message": "No", "data": None}).encode()
    call.attempts[:] = [replace(call.answer, status=409, body=body)]


class TestPlantedInHistories:
    @pytest.fixture
    def corrected(self, shopper, clerk):
        return done(shopper, What.CORRECT, clerk.correct)

    def test_an_act_that_left_no_entry(self, corrected, found):
        LogEntry.objects.all().delete()

        [breach] = found()
        assert breach.startswith("0 entries in the histories of: staff drill:a-fault")

    def test_an_act_with_two_entries(self, corrected, found):
        entry = LogEntry.objects.get()
        entry.pk = None
        entry.save()

        [breach] = found()
        assert breach.startswith("2 entries in the histories")

    def test_an_entry_of_no_act(self, corrected, found):
        LogEntry.objects.update(change_message="Something else.")

        breaches = found()
        assert any("an entry in a history that no act explains" in breach for breach in breaches)
        assert any(breach.startswith("0 entries") for breach in breaches)

    def test_an_act_that_was_refused_but_has_happened(self, corrected, found):
        forget(corrected)

        breaches = found()
        assert any("refused to staff, but it has happened" in breach for breach in breaches)
        assert any("an adjustment of" in b or "a adjustment of" in b for b in breaches)

    def test_an_act_that_nobody_was_told_of(self, shopper, corrected, found):
        shopper.history.calls.remove(corrected)

        breaches = found()
        assert f"an act that no staff were told of: {corrected.request.reason}" in breaches

    def test_an_act_of_which_nothing_is_known(self, shopper, clerk, wire, found, monkeypatch):
        monkeypatch.setattr(staff, "RETRIES", 0)
        wire.breaks_form = "after"
        while not acts(shopper):
            clerk.correct()

        assert any("no outcome: staff" in breach for breach in found())

    def test_a_form_that_acted_twice(self, corrected, found):
        corrected.attempts.append(corrected.answer)

        [breach] = found()
        assert breach.startswith("one form has acted twice")

    def test_a_form_that_led_to_two_pages(self, clerk, corrected, found):
        clerk.repeat(corrected)
        tell(corrected, location="/admin/elsewhere/")

        [breach] = found()
        assert breach.startswith("one form led to two pages")

    def test_an_answer_that_no_page_gives(self, corrected, shopper, found):
        body = json.dumps({"code": "HTTP_403", "message": "", "data": None}).encode()
        shopper.history.calls.append(
            replace(
                corrected,
                request=replace(corrected.request, reason="drill:a-fault:0:0"),
                attempts=[replace(corrected.answer, status=409, body=body)],
            )
        )

        [breach] = found()
        assert breach.startswith("staff were answered HTTP_403")


class TestPlantedInMoney:
    def test_a_correction_that_was_booked_twice(self, shopper, clerk, found):
        act = done(shopper, What.CORRECT, clerk.correct).request
        adjust_wallet(
            customer_id=act.customer_id,
            amount=act.amount,
            reason=act.reason,
            staff_id=clerk.user_id,
        )

        [breach] = found()
        assert "2 corrections were booked" in breach

    def test_a_correction_of_another_amount(self, shopper, clerk, found):
        call = done(shopper, What.CORRECT, clerk.correct)
        ask_for(call, amount=call.request.amount + 1)

        [breach] = found()
        assert "1 corrections were booked, or others" in breach

    def test_a_correction_that_is_lost(self, shopper, clerk, found):
        call = done(shopper, What.CORRECT, clerk.correct)
        alter(LedgerTransaction.objects.filter(type="ADJUSTMENT"), reason="Something else")

        breaches = found()
        assert any("0 corrections were booked" in breach for breach in breaches)
        assert any("that no call explains" in breach for breach in breaches)
        assert call.request.reason in "".join(breaches)

    def test_a_refund_above_the_payment(self, shopper, clerk, paid, found):
        done(shopper, What.CANCEL, clerk.give_back, What.CANCEL)
        alter(LedgerTransaction.objects.filter(type="REFUND"), amount=F("amount") + 1)

        breaches = found()
        assert any("100001 won were refunded of 100000" in breach for breach in breaches)
        assert any("but 100001 won were refunded" in breach for breach in breaches)

    def test_a_refund_of_another_act(self, shopper, clerk, paid, found):
        done(shopper, What.CANCEL, clerk.give_back, What.CANCEL)
        alter(LedgerTransaction.objects.filter(type="REFUND"), reason="drill:a-fault:1:99")

        breaches = found()
        assert "an act that no staff were told of: drill:a-fault:1:99" in breaches
        assert any("but 0 won were refunded" in breach for breach in breaches)

    def test_complimentary_tickets_of_another_sum(self, shopper, clerk, hall, found):
        sold_by(shopper, clerk, hall, lambda act: act.paid_by == "HOUSE")
        assert found() == []
        alter(LedgerEntry.objects.filter(account="COMPS"), amount=F("amount") - 1)

        [breach] = found()
        assert breach.startswith("the house has given")

    def test_complimentary_tickets_that_the_customer_got_the_money_of(
        self, shopper, clerk, hall, found
    ):
        given = sold_by(shopper, clerk, hall, lambda act: act.paid_by == "HOUSE")
        clerk._sold = clerk._sold[-1:]
        done(shopper, What.CANCEL, clerk.give_back, What.CANCEL)
        assert found() == []
        with unprotected():
            [back] = LedgerTransaction.objects.filter(type="COMP_BACK")
            back.entries.all()._raw_delete("default")

        [breach] = found()
        assert breach.startswith(f"the house has given {given.request.amount}")

    def test_a_sale_that_was_paid_in_another_way(self, shopper, clerk, hall, found):
        call = sold_by(shopper, clerk, hall, lambda act: act.paid_by == "CASH")
        ask_for(call, paid_by="CARD")

        breaches = found()
        assert any("won were brought as TILL_CARD" in breach for breach in breaches)


class TestPlantedInOrders:
    @pytest.fixture
    def sold(self, shopper, clerk, hall):
        return done(shopper, What.SELL, clerk.sell, hall)

    @pytest.mark.parametrize(
        ("plant", "breach"),
        [
            (lambda call: ask_for(call, seats=(0,)), "the seats are others"),
            (lambda call: ask_for(call, amount=1), "the price is another one"),
            (lambda call: ask_for(call, customer_id=0), "the order is another customer's"),
            (lambda call: tell(call, location="/admin/"), "there is no such order"),
            (
                lambda call: tell(
                    call,
                    location="/admin/reservations/reservation/00000000-0000-4000-8000-000000000000/tickets/",
                ),
                "there is no such order",
            ),
            (
                lambda call: (
                    EventDelivery.objects.all().delete(),
                    OutboxEvent.objects.all().delete(),
                ),
                "there are 0 events of it",
            ),
            (
                lambda call: alter(
                    LedgerTransaction.objects.filter(type="PAYMENT"), amount=F("amount") - 1
                ),
                "it was paid for with",
            ),
        ],
    )
    def test_a_sale_that_is_not_what_was_told(self, sold, found, plant, breach):
        assert found() == []

        plant(sold)

        assert any(breach in line for line in found())

    def test_a_sale_that_was_made_twice(self, shopper, sold, clerk, hall, found):
        """The second one of the same form: nobody was told of it."""
        again = done(shopper, What.SELL, clerk.sell, hall)
        shopper.history.calls.remove(again)

        assert any("a sale that no call explains" in breach for breach in found())

    def test_a_seat_that_was_not_given_back(self, shopper, clerk, paid, found):
        call = done(shopper, What.CANCEL, clerk.give_back, What.CANCEL)
        Reservation.objects.update(status="CONFIRMED", cancelled_at=None, cancel_reason="")

        breaches = found()
        assert any("the order is not cancelled" in breach for breach in breaches)
        assert any("the cancelled seats are others" in breach for breach in breaches)
        assert call.outcome is Outcome.DONE

    def test_a_part_that_was_told_twice(self, shopper, clerk, paid, found):
        def is_seat():
            return acts(shopper)[-1].request.seats

        while not acts(shopper) or not is_seat():
            clerk.give_back(What.GIVE_BACK)
        assert found() == []
        event = OutboxEvent.objects.get(type=SEATS_CANCELLED)
        event.pk = "00000000-0000-4000-8000-000000000000"
        event.save(force_insert=True)

        [breach] = found()
        assert breach.startswith("2 events of 1 cancellations of seats")

    def test_a_move_to_nowhere(self, shopper, clerk, hall, paid, found):
        done(shopper, What.MOVE, clerk.move, [hall])
        Reservation.objects.update(moved_to=None)

        [breach] = found()
        assert "the order was not moved there" in breach

    def test_a_move_at_another_price(self, shopper, clerk, hall, paid, found):
        call = done(shopper, What.MOVE, clerk.move, [hall])
        ask_for(call, amount=1)

        assert any("the difference in price is another one" in breach for breach in found())

    def test_a_hold_that_staff_did_not_release(self, shopper, clerk, seats, found):
        shopper.hold(seats[:1])
        done(shopper, What.RELEASE, clerk.release)
        assert found() == []
        Hold.objects.update(release_reason="")

        [breach] = found()
        assert "the hold is not released, or for another reason" in breach

    def test_a_room_that_was_paused_twice(self, shopper, clerk, found):
        call = done(shopper, What.PAUSE, clerk.pause)
        change = PolicyChange.objects.get(reason=call.request.reason, field="state")
        change.pk = None
        change.save()

        [breach] = found()
        assert "the state of the room was changed 2 times" in breach


class TestPlantedInInventory:
    def test_a_refunded_seat_that_leaked(self, shopper, clerk, hall, found):
        """As if the category had not been told that its seats return."""
        SeatAllocation.objects.update(returns_on_refund=False)
        sold = sold_by(shopper, clerk, hall, lambda act: act.seats[0] in hall.kept)
        clerk._sold = clerk._sold[-1:]
        assert found() == []

        done(shopper, What.CANCEL, clerk.give_back, What.CANCEL)

        breaches = found()
        assert len(breaches) == len(sold.request.seats)
        assert all("has leaked, and is in none now" in breach for breach in breaches)

    def test_a_seat_in_another_category(self, hall, found):
        SeatAllocation.objects.filter(seat=hall.seat_ids[0]).update(category=category_of("KILLED"))

        [breach] = found()
        assert breach.startswith(f"seat {hall.seat_ids[0]} of category")

    def test_a_seat_that_a_customer_had_though_it_was_kept_back(
        self, shopper, clerk, hall, seats, found
    ):
        shopper.hold(seats[:1])
        SeatClaim.objects.update(seat=hall.seat_ids[0])

        assert any(
            f"seat {hall.seat_ids[0]} is kept back, but a customer has held it" in breach
            for breach in found()
        )

    def test_a_seat_that_was_held_while_staff_kept_it_back(self, shopper, clerk, hall, found):
        painted = Seat.objects.get(pk=hall.painted[0])
        kept = clerk.keep(hall, [painted.pk])
        release_seats(
            performance_id=hall.performance_id, seat_ids=[painted.pk], reason="x", staff_id=None
        )
        shopper.hold([painted])
        Hold.objects.update(held_at=F("held_at") + timedelta(seconds=5))
        assert kept.answer.sent_at < timezone.now().timestamp()

        [breach] = found()
        assert breach.startswith(f"seat {painted.pk} was kept back when it was held")

    def test_a_seat_that_stays_kept_back(self, clerk, hall, found):
        clerk.keep(hall, hall.painted[:1])
        clerk.tidy()
        assert found() == []
        keep_back(Seat.objects.get(pk=hall.painted[0]))

        [breach] = found()
        assert breach.startswith(f"seat {hall.painted[0]} is still kept back")


@pytest.mark.django_db(transaction=True)
class TestRefundsUnderLoad:
    REFUNDS = 24

    @pytest.fixture
    def refund(self, performance, hall):
        [(user, _)] = employ(1)
        history = History()
        kept = KeptSeats(history=history, phase="a-fault", staff_id=user.pk, halls=[hall])

        def run():
            figures = kept.sell_and_refund(self.REFUNDS)
            return figures, find_breaches(history.calls, staff_ids=[user.pk], kept=hall.kept)

        return run

    def test_leak_nothing(self, refund, hall):
        figures, breaches = refund()

        assert figures == [
            f"{self.REFUNDS} kept seats sold and refunded, 0 leaked out of their category"
        ]
        assert breaches == []
        refunds = LedgerTransaction.objects.filter(type="REFUND")
        assert refunds.count() == self.REFUNDS
        assert Reservation.objects.filter(status="CANCELLED").count() == self.REFUNDS / 2

    def test_find_each_seat_that_leaks(self, refund, hall):
        """Its twin, with a category to which seats do not return: each can be sold from it once."""
        first = hall.for_refunds[:2]
        SeatAllocation.objects.filter(seat__in=first).update(returns_on_refund=False)

        figures, breaches = refund()

        assert "0 leaked" not in figures[0]
        assert {breach.split()[1] for breach in breaches} == set(map(str, first))


def test_customers_ask_for_what_was_kept_back_and_do_not_get_it(shopper, hall, found):
    refused = shopper.hold([Seat.objects.get(pk=hall.seat_ids[0])])

    assert refused.refusal == "SEAT_ALREADY_RESERVED"
    assert found() == []
