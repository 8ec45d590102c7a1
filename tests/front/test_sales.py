"""Holding and paying through both doors: the same answers, one effect, and what the front may not decide is Django's."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import AccessToken, User
from apps.api.models import IdempotencyRecord
from apps.concerts.models import Concert, Performance, Seat
from apps.outbox.models import OutboxEvent
from apps.payments.models import LedgerTransaction
from apps.queue.services import admit_now
from apps.reservations.models import Hold, Reservation
from tests.api.wsgi import Answer, call
from tests.clocks import CacheClock
from tests.factories.accounts import CustomerFactory, bearer
from tests.factories.concerts import PerformanceFactory, keep_back
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, overdue_hold, reservation
from tests.front.conftest import JSON, KOREAN, Door, Doors, data_of, round_trips, token_of
from tests.protections import LOCK_OF_THE_KEY, before, without
from tests.reservations.racing import meet_before

PROBLEM = {"Accept": "application/problem+json"}
LOOKS = pytest.mark.parametrize("look", [{}, KOREAN, PROBLEM], ids=["en", "ko", "problem"])
LANGUAGES = pytest.mark.parametrize("look", [{}, KOREAN], ids=["en", "ko"])
HOLDS, RESERVATIONS = "/api/v1/holds", "/api/v1/reservations"


@dataclass
class Buyer:
    """An admitted customer at one door."""

    door: Door
    performance: Performance
    customer: User = field(default_factory=lambda: WalletFactory(balance=1_000_000).customer)
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.headers = JSON | bearer(self.customer) | self.headers
        concert_id = self.performance.concert_id
        self.headers |= token_of(self.door.join(concert_id, self.headers))
        admit_now(concert_id)

    def post(self, path: str, body: Any, key: str | None = None, **headers: str) -> Answer:
        sent = self.headers | ({} if key is None else {"Idempotency-Key": key})
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.door(f"POST {path}", content, sent, **headers)

    def hold(self, *seats: Seat, key: str | None = None, **headers: str) -> Answer:
        seat_ids = [seat.pk for seat in seats]
        body = {"performance_id": self.performance.pk, "seat_ids": seat_ids}
        return self.post(HOLDS, body, key, **headers)

    def pay(self, hold_id: object, key: str | None = "pay", **headers: str) -> Answer:
        return self.post(RESERVATIONS, {"hold_id": str(hold_id)}, key, **headers)


def new_performance(**options: Any) -> Performance:
    more = {"concert__title": "Night Train", "concert__seats_per_customer": 3}
    concert = WaitingRoomFactory(**more, **options).concert
    return PerformanceFactory(concert=concert, seats=4)


def seats_of(performance: Performance) -> list[Seat]:
    return list(performance.seats.order_by("pk"))


def hold_id_of(answer: Answer) -> str:
    hold_id: str = data_of(answer)["hold_id"]
    return hold_id


def code_of(answer: Answer) -> str:
    code: str = json.loads(answer.body)["code"]
    return code


def teach(doors: Doors, **headers: str) -> None:
    """Let the front learn the headers of a sale and of a refusal."""
    performance = new_performance()
    buyer = Buyer(doors.composed, performance, headers=headers)
    [seat, *_] = seats_of(performance)
    held = buyer.hold(seat)
    assert buyer.hold(seat).status == 409
    assert buyer.pay(hold_id_of(held)).status == 201


@pytest.mark.django_db
@pytest.mark.usefixtures("keep_connection")
class TestBothDoors:
    @LANGUAGES
    @pytest.mark.parametrize("key", [None, "click"])
    def test_sell_alike(self, doors, settings, look, key):
        settings.RATE_LIMIT_ENABLED = True

        def buy(door: Door) -> list[Answer]:
            performance = new_performance()
            Concert.objects.filter(pk=performance.concert_id).update(title="Été \u2028 밤 <b>")
            buyer = Buyer(door, performance, headers=look)
            held = buyer.hold(*seats_of(performance)[1::-1], key=key)
            return [held, buyer.pay(hold_id_of(held))]

        held, paid = doors.compare(buy)

        assert (held.status, paid.status) == (201, 201)
        assert dict(held.headers)["ratelimit"].startswith('"hold";r=29;')
        assert dict(paid.headers)["ratelimit"].startswith('"write";r=59;')

    @LANGUAGES
    def test_hold_nothing_after_the_payment_alike(self, doors, look):
        def ask(door: Door) -> list[Answer]:
            performance = new_performance()
            buyer = Buyer(door, performance, headers=look)
            first, second, *_ = seats_of(performance)
            return [buyer.pay(hold_id_of(buyer.hold(first))), buyer.hold(second)]

        paid, refused = doors.compare(ask, is_served=None)

        assert (paid.status, refused.status) == (201, 403)
        assert code_of(refused) == "QUEUE_TOKEN_EXPIRED"

    @LANGUAGES
    def test_repeat_alike(self, doors, look):
        def repeat(door: Door) -> list[Answer]:
            performance = new_performance()
            buyer = Buyer(door, performance, headers=look)
            [seat, *_] = seats_of(performance)
            held, held_again = (buyer.hold(seat, key="click") for _ in range(2))
            paid, paid_again = (buyer.pay(hold_id_of(held)) for _ in range(2))
            assert (held.body, paid.body) == (held_again.body, paid_again.body)
            return [held, held_again, paid, paid_again]

        answers = doors.compare(repeat, is_served=None)

        replayed = ["idempotent-replayed" in dict(answer.headers) for answer in answers]
        assert replayed == [False, True, False, True]

    @LANGUAGES
    def test_refuse_seats_that_are_taken_alike(self, doors, settings, look):
        teach(doors, **look)
        settings.RATE_LIMIT_ENABLED = True

        def ask(door: Door) -> list[Answer]:
            performance = new_performance()
            held, sold, blocked, own = seats_of(performance)
            hold(CustomerFactory(), [held])
            reservation(CustomerFactory(), [sold])
            keep_back(blocked)
            buyer = Buyer(door, performance, headers=look)
            hold(buyer.customer, [own])
            return [buyer.hold(seat) for seat in (held, sold, blocked, own)]

        answers = doors.compare(ask)

        assert [answer.status for answer in answers] == [409] * 4
        codes = ["SEAT_ALREADY_HELD", "SEAT_ALREADY_RESERVED", "SEAT_ALREADY_RESERVED"]
        assert [code_of(answer) for answer in answers] == [*codes, "SEAT_ALREADY_HELD"]

    @LOOKS
    def test_refuse_holds_alike(self, doors, look):
        teach(doors, **look)
        teach(doors)

        def ask(door: Door) -> list[Answer]:
            performance, other = new_performance(), new_performance()
            first, *rest = seats_of(performance)
            buyer = Buyer(door, performance, headers=look)
            waiting = Buyer(door, performance, headers=look)
            door("DELETE /api/v1/queue/tokens/me", headers=waiting.headers)
            stranger = Buyer(door, other, headers=look)
            closed = new_performance()
            late = Buyer(door, closed, headers=look)
            Concert.objects.filter(pk=closed.concert_id).update(
                sales_open_at=timezone.now() - timedelta(days=2),
                sales_close_at=timezone.now(),
            )
            body = {"performance_id": performance.pk, "seat_ids": [first.pk]}
            answers = [
                buyer.hold(first, *rest),
                buyer.post(HOLDS, body | {"seat_ids": [999_999_999]}),
                buyer.post(HOLDS, body | {"performance_id": 999_999_999}),
                buyer.hold(first, Queue_Token="nonsense"),
                buyer.hold(first, Queue_Token=""),
                buyer.hold(first, Queue_Token=stranger.headers["Queue-Token"]),
                buyer.hold(first, Authorization="Bearer " + "x" * 43),
                buyer.hold(first, key=" "),
                waiting.hold(first),
                late.hold(*seats_of(closed)[:1]),
            ]
            Concert.objects.filter(pk=performance.concert_id).update(is_published=False)
            return [*answers, buyer.hold(first), buyer.hold(first, Queue_Token="")]

        holds = Hold.objects.count()
        answers = doors.compare(ask, is_served=None)

        expected = [409, 404, 404, 403, 403, 403, 401, 400, 403, 409, 404, 404]
        assert [answer.status for answer in answers] == expected
        assert Hold.objects.count() == holds

    @LOOKS
    def test_refuse_payments_alike(self, doors, look):
        teach(doors, **look)
        teach(doors)

        def ask(door: Door) -> list[Answer]:
            performance = new_performance()
            first, second, third, fourth = seats_of(performance)
            buyer = Buyer(door, performance, headers=look)
            elsewhere = Buyer(door, new_performance(), customer=buyer.customer, headers=look)
            foreign = {"Queue_Token": elsewhere.headers["Queue-Token"]}
            poor = Buyer(door, performance, customer=CustomerFactory(), headers=look)
            made, stale = hold(buyer.customer, [first]), overdue_hold(buyer.customer, [second])
            dear = hold(poor.customer, [third])
            used = hold(buyer.customer, [fourth])
            assert buyer.pay(used.pk, key="used").status == 201
            return [
                buyer.pay(made.pk, key=None),
                buyer.pay(made.pk, key=" "),
                buyer.pay(made.pk, key="used"),
                buyer.pay(uuid4()),
                buyer.pay(uuid4(), key="used"),
                buyer.pay(uuid4(), key=None),
                buyer.pay(uuid4(), Queue_Token="nonsense"),
                buyer.pay(dear.pk),
                buyer.pay(stale.pk),
                buyer.pay(used.pk),
                buyer.pay(made.pk, Queue_Token="nonsense"),
                buyer.pay(made.pk, Queue_Token=""),
                buyer.pay(made.pk, **foreign),
                buyer.pay(used.pk, key="used", **foreign),
                buyer.pay(made.pk, Authorization="Bearer " + "x" * 43),
                poor.pay(dear.pk),
            ]

        sold = Reservation.objects.count()
        answers = doors.compare(ask, is_served=None)

        expected = [400, 400, 422, 404, 404, 404, 404, 404, 409, 409, 403, 403, 403, 403, 401, 402]
        assert [answer.status for answer in answers] == expected
        assert Reservation.objects.count() == sold + 3

    @LOOKS
    def test_refuse_one_too_many_alike(self, doors, settings, look):
        teach(doors)
        settings.RATE_LIMIT_ENABLED = True
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "hold": 1, "write": 1}

        def ask(door: Door) -> list[Answer]:
            performance = new_performance()
            first, second, *_ = seats_of(performance)
            buyer = Buyer(door, performance, headers=look)
            made = hold_id_of(buyer.hold(first))
            buyer.pay(uuid4())
            return [buyer.hold(second), buyer.pay(made), buyer.hold(second, key="k")]

        answers = doors.compare(ask, is_served=None)

        assert [answer.status for answer in answers] == [429] * 3


def odd_holds(performance_id: int, seat_id: int) -> list[bytes]:
    ids = b'"performance_id": %d, "seat_ids"' % performance_id
    return [
        b"",
        b"[]",
        b"null",
        b"{",
        b"{%b: [%d]} x" % (ids, seat_id),
        b"\xef\xbb\xbf{%b: [%d]}" % (ids, seat_id),
        b"{%b: [%d.0]}" % (ids, seat_id),
        b'{%b: ["%d"]}' % (ids, seat_id),
        b"{%b: [true]}" % ids,
        b"{%b: [NaN]}" % ids,
        b"{%b: [0]}" % ids,
        b"{%b: [-1]}" % ids,
        b"{%b: [%d]}" % (ids, 2**63),
        b"{%b: [%d, %d]}" % (ids, seat_id, seat_id),
        b"{%b: []}" % ids,
        b"{%b: %d}" % (ids, seat_id),
        b"{%b: null}" % ids,
        b"{%b: [[%d]]}" % (ids, seat_id),
        b"{%b: [1,2,3,4,5,6,7,8,9,10,11]}" % ids,
        b'{"performance_id": "1", "seat_ids": [1]}',
        b'{"performance_id": true, "seat_ids": [1]}',
        b'{"performance_id": 0, "seat_ids": [1]}',
        b'{"seat_ids": [1]}',
        b"[" * 400,
        b"{" + b'"a":[' * 80,
        b'{"performance_id": "\xff"}',
        b'{"performance_id": ' + b"1" * 300 + b', "seat_ids": [1]}',
    ]


def unusual_holds(performance_id: int, seat_id: int) -> list[bytes]:
    """Not refused all the same."""
    ids = b'"performance_id": %d' % performance_id
    return [
        b'{%b, "seat_ids": [%d], "more": 1}' % (ids, seat_id),
        b'{"seat_ids": [%d], %b}' % (seat_id, ids),
        b'{"seat_ids": 7, %b, "seat_ids": [%d]}' % (ids, seat_id),
        b' \n{%b,\t"seat_ids" : [ %d ] }\r\n' % (ids, seat_id),
        b'{%b, "seat_ids": [%d]}' % (ids, seat_id) + b" " * 600,
        b'{%b, "\\u0073eat_ids": [%d]}' % (ids, seat_id),
    ]


@pytest.mark.django_db
@pytest.mark.usefixtures("keep_connection")
class TestOddBodies:
    def test_of_holds_are_answered_alike(self, doors):
        teach(doors)
        holds = Hold.objects.count()

        def ask(door: Door) -> list[Answer]:
            performance = new_performance()
            buyer = Buyer(door, performance)
            bodies = odd_holds(performance.pk, seats_of(performance)[0].pk)
            return [buyer.post(HOLDS, body, key) for body in bodies for key in (None, "k")]

        answers = doors.compare(ask, is_served=None)

        assert {answer.status for answer in answers} == {400}
        assert Hold.objects.count() == holds

    def test_of_holds_that_succeed_all_the_same(self, doors):
        teach(doors)

        def ask(door: Door) -> list[Answer]:
            answers = []
            for number in range(6):
                performance = new_performance()
                buyer = Buyer(door, performance)
                body = unusual_holds(performance.pk, seats_of(performance)[0].pk)[number]
                answers.append(buyer.post(HOLDS, body, "k"))
                # The door makes no difference to what counts as the same request.
                for other in (doors.bare, doors.composed):
                    buyer.door = other
                    again = buyer.post(HOLDS, body, "k")
                    assert again.body == answers[-1].body
                    answers.append(again)
            return answers

        answers = doors.compare(ask, is_served=None)

        assert {answer.status for answer in answers} == {201}

    @pytest.mark.parametrize(
        "hold_id",
        ["null", "1", '""', '"x"', '"{0}"', '["{1}"]', '"{1}\\n"', '"urn:uuid:{1}"', '"{2}"'],
    )
    def test_of_payments_are_answered_alike(self, doors, hold_id):
        teach(doors)
        sold = Reservation.objects.count()

        def ask(door: Door) -> list[Answer]:
            performance = new_performance()
            buyer = Buyer(door, performance)
            made = str(hold(buyer.customer, seats_of(performance)[:1]).pk)
            text = hold_id.replace("{0}", made.replace("-", "")).replace("{1}", made)
            body = b'{"hold_id": %b}' % text.replace("{2}", made.upper()).encode()
            return [buyer.post(RESERVATIONS, body, "k")]

        [answer] = doors.compare(ask, is_served=None)

        assert answer.status == (201 if "{2}" in hold_id else 400)
        assert Reservation.objects.count() == sold + 3 * ("{2}" in hold_id)

    @pytest.mark.parametrize("path", [HOLDS, RESERVATIONS])
    @pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer " + "x" * 43}])
    def test_are_not_waited_for_without_a_login(self, doors, path, header):
        teach(doors)

        def ask(door: Door) -> list[Answer]:
            headers = JSON | header | {"Idempotency-Key": "k"}
            return [call(door.application, "POST", path, headers=headers, unsent=64)]

        [answer] = doors.compare(ask, is_served=False)

        assert answer.status == 401


@pytest.mark.django_db(transaction=True)
class TestLogin:
    """There is a copy of it in the store all the time, over which no end is written."""

    @pytest.mark.parametrize("how", ["revoked", "inactive", "expired"])
    def test_that_has_ended_buys_nothing(self, doors, how):
        teach(doors)
        performance = new_performance()
        first, second, *_ = seats_of(performance)
        buyer = Buyer(doors.composed, performance)
        made = hold_id_of(buyer.hold(first))
        look = f"GET /api/v1/performances/{performance.pk}/availability"
        assert [doors.composed(look, headers=buyer.headers).status for _ in range(2)] == [200] * 2
        asked = doors.django.asked
        if how == "inactive":
            User.objects.filter(pk=buyer.customer.pk).update(is_active=False)
        else:
            column = "revoked_at" if how == "revoked" else "expires_at"
            tokens = AccessToken.objects.filter(user=buyer.customer)
            tokens.update(**{column: timezone.now()})

        answers = [buyer.hold(second), buyer.hold(first), buyer.pay(made)]

        assert [answer.status for answer in answers] == [401] * 3
        assert doors.django.asked == asked + 3
        assert doors.composed(look, headers=buyer.headers).status == 200  # by the copy
        assert Hold.objects.filter(customer=buyer.customer).count() == 1
        assert not Reservation.objects.filter(customer=buyer.customer).exists()


@pytest.mark.django_db(transaction=True)
class TestCost:
    @pytest.fixture
    def buyer(self, doors, settings, monkeypatch) -> Buyer:
        settings.RATE_LIMIT_ENABLED = True
        CacheClock(monkeypatch)
        teach(doors)
        buyer = Buyer(doors.composed, new_performance())
        buyer.hold(seats_of(buyer.performance)[0])  # its concert is known
        doors.django.is_away = True
        return buyer

    def cost(
        self, monkeypatch: pytest.MonkeyPatch, ask: Callable[[], Answer]
    ) -> tuple[int, int, Answer]:
        with round_trips(monkeypatch) as sent, CaptureQueriesContext(connection) as captured:
            answer = ask()
        statements = [query["sql"] for query in captured if query["sql"] not in ("BEGIN", "COMMIT")]
        return len(sent), len(statements), answer

    def test_is_this_many_round_trips_to_stores_and_statements(self, buyer, monkeypatch):
        seat = seats_of(buyer.performance)[1]

        # The limit, the gate, the lease. Login and key, locks and looks, hold and answer.
        *held, answer = self.cost(monkeypatch, lambda: buyer.hold(seat, key="k"))
        *refused, refusal = self.cost(monkeypatch, lambda: buyer.hold(seat))
        # The limit; what it takes to announce a drain to each consumer, for which one may wait already.
        *_paid, paid = self.cost(monkeypatch, lambda: buyer.pay(hold_id_of(answer)))

        assert (answer.status, paid.status, refusal.status) == (201, 201, 409)
        assert held == [3, 1 + 2 + 4 + 2]
        assert _paid[1] == 1 + 2 + 5 + 4
        assert refused == [2, 1 + 4]


@pytest.mark.django_db(transaction=True)
class TestEvent:
    def test_names_the_call(self, doors):
        teach(doors)
        buyer = Buyer(doors.composed, new_performance())
        held = buyer.hold(seats_of(buyer.performance)[0])
        doors.django.is_away = True

        paid = buyer.pay(hold_id_of(held), X_Request_ID="mine")

        assert paid.status == 201
        event = OutboxEvent.objects.get(payload__customer_id=buyer.customer.pk)
        assert event.payload["request_id"] == "mine"


@pytest.mark.django_db(transaction=True)
class TestSurprise:
    @pytest.fixture
    def buyer(self, doors) -> Buyer:
        teach(doors)
        return Buyer(doors.composed, new_performance())

    @pytest.fixture
    def seat(self, buyer) -> Seat:
        return seats_of(buyer.performance)[0]

    def terminate(self, rival: Any) -> None:
        backend = connection.connection.info.backend_pid
        with rival.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])

    @pytest.mark.parametrize("key", [None, "k"])
    def test_of_a_connection_that_was_cut_is_none(self, buyer, seat, rival, key):
        self.terminate(rival)
        held = buyer.hold(seat, key=key)
        self.terminate(rival)
        paid = buyer.pay(hold_id_of(held))

        assert (held.status, paid.status) == (201, 201)
        assert Hold.objects.filter(customer=buyer.customer).count() == 1
        assert Reservation.objects.filter(customer=buyer.customer).count() == 1

    @pytest.mark.parametrize("statement", ["lock_key", "lock_seats"])
    def test_before_anything_is_decided_leaves_it_to_django(
        self,
        buyer,
        seat,
        rival,
        monkeypatch,
        statement,
    ):
        cuts = iter([self.terminate])
        before(monkeypatch, statement, lambda _: next(cuts, id)(rival))

        held = buyer.hold(seat, key="k")

        assert held.status == 201
        assert "idempotent-replayed" not in dict(held.headers)
        assert Hold.objects.filter(customer=buyer.customer).count() == 1

    @pytest.mark.parametrize("key", [None, "k"])
    def test_after_the_decision_is_told_and_nothing_is_tried_again(
        self, buyer, seat, rival, monkeypatch, key
    ):
        writes: list[Any] = []

        def cut(_parameters: object) -> None:
            writes.append(1)
            self.terminate(rival)

        with monkeypatch.context() as patch:
            before(patch, "hold", cut)
            failed = buyer.hold(seat, key=key)

        assert (failed.status, code_of(failed)) == (503, "SERVICE_UNAVAILABLE")
        assert len(writes) == 1
        assert not Hold.objects.filter(customer=buyer.customer).exists()
        assert buyer.hold(seat, key=key).status == 201

    @pytest.mark.parametrize("key", [None, "k"])
    def test_in_the_commit_is_told_and_nothing_is_tried_again(self, buyer, seat, monkeypatch, key):
        """Django would refuse the seat to the customer who has just got it."""
        with monkeypatch.context() as patch:
            self.lose_answer_to_commit(patch)
            failed = buyer.hold(seat, key=key)

        assert (failed.status, code_of(failed)) == (503, "SERVICE_UNAVAILABLE")
        assert buyer.hold(seat, key=key).status == (409 if key is None else 201)
        assert Hold.objects.filter(customer=buyer.customer).count() == 1

    def lose_answer_to_commit(self, patch: pytest.MonkeyPatch) -> None:
        commit = connection.commit

        def fail() -> None:
            commit()
            raise OperationalError("The connection was lost.")

        patch.setattr(connection, "commit", fail)

    def test_in_the_commit_of_a_payment_is_no_second_payment(self, buyer, seat, monkeypatch):
        held = hold_id_of(buyer.hold(seat))
        with monkeypatch.context() as patch:
            self.lose_answer_to_commit(patch)
            failed = buyer.pay(held)
        again = buyer.pay(held)

        assert (failed.status, again.status) == (503, 201)
        assert dict(again.headers)["idempotent-replayed"] == "true"
        payments = LedgerTransaction.objects.filter(customer_id=buyer.customer.pk, amount__lt=0)
        assert payments.count() == 1

    def test_of_a_lock_is_waited_for_once(self, buyer, seat, rival, monkeypatch):
        held = hold_id_of(buyer.hold(seat))
        tries: list[Any] = []
        before(monkeypatch, "lock_seats_of_hold", tries.append)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        with rival.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM concerts_seat WHERE id = %s FOR UPDATE", [seat.pk])

            refused = buyer.pay(held)

            cursor.execute("ROLLBACK")
        assert (refused.status, code_of(refused)) == (503, "SERVICE_UNAVAILABLE")
        assert len(tries) == 1
        assert buyer.pay(held).status == 201


@pytest.mark.django_db(transaction=True)
class TestManyAtOnce:
    CALLS = 12

    def test_with_one_key_hold_once(self, doors, race):
        teach(doors)
        buyer = Buyer(doors.composed, new_performance())
        [seat, *_] = seats_of(buyer.performance)

        answers = race([lambda: buyer.hold(seat, key="k")] * self.CALLS)

        held = [answer for answer in answers if answer.status == 201]
        assert len({answer.body for answer in held}) == 1
        assert sum("idempotent-replayed" not in dict(answer.headers) for answer in held) == 1
        refused = {code_of(answer) for answer in answers if answer.status != 201}
        assert refused <= {"IDEMPOTENCY_KEY_IN_USE"}
        assert Hold.objects.filter(customer=buyer.customer).count() == 1

    def test_would_hold_in_vain_without_the_lock_on_the_key(self, doors, race, monkeypatch):
        teach(doors)
        buyer = Buyer(doors.composed, new_performance())
        [seat, *_] = seats_of(buyer.performance)
        without(monkeypatch, LOCK_OF_THE_KEY)
        meet_before(monkeypatch, "lock_customer", self.CALLS)

        answers = race([lambda: buyer.hold(seat, key="k")] * self.CALLS)

        codes = sorted(code_of(answer) for answer in answers)
        assert codes == ["SEAT_ALREADY_HELD"] * (self.CALLS - 1) + ["SUCCESS"]
        assert IdempotencyRecord.objects.filter(customer_id=buyer.customer.pk).count() == 1

    def test_for_one_seat_have_one_winner(self, doors, race):
        teach(doors)
        performance = new_performance(capacity=self.CALLS)
        [seat, *_] = seats_of(performance)
        crowd = [Buyer(doors.composed, performance) for _ in range(self.CALLS)]
        doors.django.is_away = True

        answers = race([partial(buyer.hold, seat) for buyer in crowd])

        codes = sorted(code_of(answer) for answer in answers)
        assert codes == ["SEAT_ALREADY_HELD"] * (self.CALLS - 1) + ["SUCCESS"]
        assert Hold.objects.filter(performance=performance).count() == 1
