from datetime import timedelta
from itertools import product
from uuid import uuid4
from xml.etree import ElementTree

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.concerts.models import Concert, Performance
from apps.core.caching import clear_process_caches
from apps.payments.models import Wallet
from apps.queue.services import admit_visitors
from apps.reservations.models import Hold, Reservation, SeatClaim
from apps.reservations.services import cancel_seats, refund_reservation
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, begin_at, keep_back
from tests.factories.reservations import hold, overdue_hold, reservation
from tests.factories.visitors import Visitor, admitted_visitor

pytestmark = pytest.mark.django_db

REUSED = "IDEMPOTENCY_KEY_REUSED"


def ids(seats):
    return [seat.pk for seat in seats]


def refused(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    return True


def held_over_api(visitor, performance, seats):
    body = {"performance_id": performance.pk, "seat_ids": ids(seats)}
    answer = visitor.post("/holds", body)
    assert answer.status_code == 201, answer.content
    return answer.json()["data"]


GATED_READS = [
    "/concerts/{concert}/performances",
    "/performances/{performance}/seats",
    "/performances/{performance}/seat-map",
    "/performances/{performance}/availability",
]


class TestTheGate:
    @pytest.mark.parametrize("path", GATED_READS)
    def test_refuses_a_visitor_without_an_active_token(self, performance, path):
        path = path.format(concert=performance.concert_id, performance=performance.pk)
        waiting = Visitor(CustomerFactory())

        assert refused(waiting.get(path), 403, "QUEUE_TOKEN_REQUIRED")
        waiting.join(performance.concert_id)
        not_yet = waiting.get(path)
        assert refused(not_yet, 403, "QUEUE_TOKEN_NOT_ACTIVE")
        assert int(not_yet["Retry-After"]) >= 1
        admit_visitors()
        assert waiting.get(path).status_code == 200

    @pytest.mark.parametrize("path", GATED_READS)
    def test_refuses_the_token_of_another_customer(self, performance, visitor, path):
        path = path.format(concert=performance.concert_id, performance=performance.pk)
        thief = Visitor(CustomerFactory())
        thief.headers["Queue-Token"] = visitor.headers["Queue-Token"]

        assert refused(thief.get(path), 403, "QUEUE_TOKEN_INVALID")

    def test_refuses_the_token_of_another_concert(self, visitor):
        elsewhere = PerformanceFactory(seats=1)

        assert refused(
            visitor.get(f"/performances/{elsewhere.pk}/seats"), 403, "QUEUE_TOKEN_INVALID"
        )
        body = {"performance_id": elsewhere.pk, "seat_ids": [elsewhere.seats.get().pk]}
        assert refused(visitor.post("/holds", body), 403, "QUEUE_TOKEN_INVALID")
        assert not Hold.objects.exists()

    def test_a_hold_needs_admission(self, performance, seats):
        outsider = Visitor(CustomerFactory())
        body = {"performance_id": performance.pk, "seat_ids": ids(seats[:1])}

        assert refused(outsider.post("/holds", body), 403, "QUEUE_TOKEN_REQUIRED")
        outsider.join(performance.concert_id)
        assert refused(outsider.post("/holds", body), 403, "QUEUE_TOKEN_NOT_ACTIVE")
        assert not Hold.objects.exists()

    def test_an_ended_visit_is_over(self, performance, visitor):
        visitor.delete("/queue/tokens/me")

        answer = visitor.get(f"/performances/{performance.pk}/seats")
        assert refused(answer, 403, "QUEUE_TOKEN_EXPIRED")

    def test_unknown_and_unpublished_are_404(self, performance, visitor):
        assert refused(visitor.get("/concerts/999/performances"), 404, "CONCERT_NOT_FOUND")
        assert refused(visitor.get("/performances/999/seats"), 404, "PERFORMANCE_NOT_FOUND")
        Concert.objects.update(is_published=False)
        path = f"/performances/{performance.pk}/seats"
        assert refused(visitor.get(path), 404, "PERFORMANCE_NOT_FOUND")


class TestPerformances:
    def test_lists_dates_with_what_is_left(self, performance, seats, visitor):
        later = performance.concert.performances.exclude(pk=performance.pk).get()
        hold(CustomerFactory(), seats[:1])
        overdue_hold(CustomerFactory(), seats[1:2])
        reservation(CustomerFactory(), later.seats.all())

        answer = visitor.get(f"/concerts/{performance.concert_id}/performances")

        first, second = answer.json()["data"]["items"]
        assert first == {
            "performance_id": performance.pk,
            "starts_at": performance.starts_at.isoformat().replace("+00:00", "Z"),
            "ends_at": performance.ends_at.isoformat().replace("+00:00", "Z"),
            "seats_total": 4,
            "seats_available": 3,
            "reservable": True,
            "called_off": False,
        }
        assert (second["seats_available"], second["reservable"]) == (0, False)

    def test_a_date_that_has_begun_is_not_reservable(self, performance, visitor):
        begin_at(Performance.objects.filter(pk=performance.pk), timezone.now())

        answer = visitor.get(f"/concerts/{performance.concert_id}/performances")

        assert answer.json()["data"]["items"][0]["reservable"] is False


class TestSeats:
    def test_shows_every_state(self, performance, seats, visitor):
        hold(visitor.customer, seats[:1])
        hold(CustomerFactory(), seats[1:2])
        reservation(CustomerFactory(), seats[2:3])

        data = visitor.get(f"/performances/{performance.pk}/seats").json()["data"]

        assert data["concert_id"] == performance.concert_id
        assert [(seat["status"], seat["held_by_me"]) for seat in data["seats"]] == [
            ("HELD", True),
            ("HELD", False),
            ("RESERVED", False),
            ("AVAILABLE", False),
        ]
        assert data["seats"][0] == {
            "seat_id": seats[0].pk,
            "section": "1",
            "row": "A",
            "number": 1,
            "grade": "R",
            "price": 50_000,
            "status": "HELD",
            "held_by_me": True,
        }

    def test_a_blocked_seat_shows_reserved_and_an_overdue_one_available(
        self, performance, seats, visitor
    ):
        keep_back(seats[0])
        overdue_hold(CustomerFactory(), seats[1:2])

        data = visitor.get(f"/performances/{performance.pk}/seats").json()["data"]

        assert [seat["status"] for seat in data["seats"][:2]] == ["RESERVED", "AVAILABLE"]

    def test_can_be_narrowed_to_a_section(self, performance, visitor):
        path = f"/performances/{performance.pk}/seats"

        assert len(visitor.get(f"{path}?section=1").json()["data"]["seats"]) == 4
        assert visitor.get(f"{path}?section=none").json()["data"]["seats"] == []
        assert refused(visitor.get(f"{path}?section=%00"), 400, "VALIDATION_ERROR")


class TestSeatMapAndAvailability:
    def test_name_the_seats_in_the_same_order(self, performance, seats, visitor):
        hold(CustomerFactory(), seats[1:2])
        reservation(CustomerFactory(), seats[3:4])

        drawn = visitor.get(f"/performances/{performance.pk}/seat-map").json()["data"]
        current = visitor.get(f"/performances/{performance.pk}/availability").json()["data"]

        assert [seat[0] for seat in drawn["seats"]] == ids(seats)
        assert drawn["seats"][0] == [seats[0].pk, "1", "A", 1, 1, 1, "R"]
        assert drawn["grades"] == [{"grade": "R", "price": 50_000}]
        assert current["statuses"] == "AHAR"

    @pytest.mark.parametrize("resource", ["seat-map", "availability"])
    def test_answer_304_to_a_reader_who_has_it(self, performance, visitor, resource):
        path = f"/performances/{performance.pk}/{resource}"
        first = visitor.get(path)

        again = visitor.get(path, **{"If-None-Match": first["ETag"]})

        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == first["ETag"]

    def test_the_map_needs_no_second_look_at_the_performance(
        self, performance, visitor, django_assert_num_queries
    ):
        path = f"/performances/{performance.pk}/seat-map"
        visitor.get(path)

        with django_assert_num_queries(2):  # login, performance
            assert visitor.get(path).status_code == 200

    def test_the_map_survives_sales_and_the_availability_does_not(
        self, performance, seats, visitor
    ):
        tags = {
            name: self.etag(visitor, performance, name) for name in ("seat-map", "availability")
        }
        hold(CustomerFactory(), seats[:1])
        clear_process_caches()

        assert self.etag(visitor, performance, "seat-map") == tags["seat-map"]
        assert self.etag(visitor, performance, "availability") != tags["availability"]

    def etag(self, visitor, performance, name):
        return visitor.get(f"/performances/{performance.pk}/{name}")["ETag"]


class TestHolds:
    def test_holds_shows_and_releases(self, performance, seats, visitor):
        made = held_over_api(visitor, performance, seats[:2])

        assert made["status"] == "HELD"
        assert made["total_price"] == 100_000
        assert made["concert_id"] == performance.concert_id
        assert [seat["seat_id"] for seat in made["seats"]] == ids(seats[:2])
        assert parse_datetime(made["expires_at"]) > timezone.now() + timedelta(minutes=4)
        assert visitor.get(f"/holds/{made['hold_id']}").json()["data"] == made
        released = visitor.delete(f"/holds/{made['hold_id']}")
        assert released.json()["data"]["status"] == "RELEASED"
        assert refused(visitor.delete(f"/holds/{made['hold_id']}"), 409, "HOLD_NOT_LIVE")

    def test_shows_an_overdue_hold_as_expired(self, seats, visitor):
        stale = overdue_hold(visitor.customer, seats[:1])

        assert visitor.get(f"/holds/{stale.pk}").json()["data"]["status"] == "EXPIRED"
        assert refused(visitor.delete(f"/holds/{stale.pk}"), 409, "HOLD_EXPIRED")

    def test_gives_each_refusal_its_code(self, performance, seats, visitor):
        def post(seat_ids):
            body = {"performance_id": performance.pk, "seat_ids": seat_ids}
            return visitor.post("/holds", body)

        hold(CustomerFactory(), seats[:1])
        reservation(CustomerFactory(), seats[1:2])

        taken = post(ids(seats[:1]))
        assert refused(taken, 409, "SEAT_ALREADY_HELD")
        assert taken.json()["data"]["retryable"] is True
        assert taken["Retry-After"] == "1"
        assert refused(post(ids(seats[1:2])), 409, "SEAT_ALREADY_RESERVED")
        assert refused(post([*ids(seats[2:]), 2**62]), 409, "SEAT_LIMIT_EXCEEDED")
        assert refused(post([2**62]), 404, "SEAT_NOT_FOUND")

    def test_says_nothing_false_of_a_seat_of_ones_own(self, performance, seats, visitor):
        held_over_api(visitor, performance, seats[:1])
        hold(CustomerFactory(), seats[1:2])
        asked = [{"performance_id": performance.pk, "seat_ids": [seat.pk]} for seat in seats[:2]]

        own, others = (visitor.post("/holds", body) for body in asked)

        assert refused(own, 409, "SEAT_ALREADY_HELD")
        assert own.json()["message"] == others.json()["message"] == "This seat is held already."

    @pytest.mark.parametrize("path", ["/holds", "/holds/best-available"])
    def test_repeats_the_answer_also_when_the_turn_is_over(self, performance, seats, visitor, path):
        """A customer who never got the answer to a hold asks again later, and may not be admitted any more."""
        choice = {"seat_ids": ids(seats[:1])} if path == "/holds" else {"quantity": 1}
        body = {"performance_id": performance.pk, **choice}
        first = visitor.post(path, body, key="click-1")
        assert visitor.delete("/queue/tokens/me").status_code == 200

        again = visitor.post(path, body, key="click-1")

        assert again.content == first.content
        assert refused(visitor.post(path, body, key="click-2"), 403, "QUEUE_TOKEN_EXPIRED")

    @pytest.mark.parametrize("path", ["/holds", "/holds/best-available"])
    def test_a_concert_that_is_taken_down_is_not_sold_for_another_second(
        self, performance, seats, visitor, path
    ):
        choice = {"seat_ids": ids(seats[1:2])} if path == "/holds" else {"quantity": 1}
        body = {"performance_id": performance.pk, **choice}
        held_over_api(visitor, performance, seats[:1])
        Concert.objects.update(is_published=False)

        answers = [visitor.post(path, body)]
        del visitor.headers["Queue-Token"]
        answers.append(visitor.post(path, body))

        assert all(refused(answer, 404, "PERFORMANCE_NOT_FOUND") for answer in answers)
        assert Hold.objects.count() == 1

    def test_an_unusable_key_is_refused_before_the_gate(self, performance, seats):
        outsider = Visitor(CustomerFactory())
        body = {"performance_id": performance.pk, "seat_ids": ids(seats[:1])}

        assert refused(outsider.post("/holds", body, key=" "), 400, "IDEMPOTENCY_KEY_REQUIRED")

    def test_a_reused_key_is_refused_before_the_gate_and_before_the_rules(
        self, performance, seats, visitor
    ):
        body = {"performance_id": performance.pk, "seat_ids": ids(seats[:1])}
        visitor.post("/holds", body, key="click-1")
        too_many = body | {"seat_ids": ids(seats)}

        assert refused(visitor.post("/holds", too_many, key="click-1"), 422, REUSED)
        visitor.delete("/queue/tokens/me")
        assert refused(visitor.post("/holds", too_many, key="click-1"), 422, REUSED)

    def test_takes_the_best_available(self, performance, visitor):
        body = {"performance_id": performance.pk, "quantity": 2, "grade": None}

        answer = visitor.post("/holds/best-available", body)

        assert answer.status_code == 201
        assert [seat["number"] for seat in answer.json()["data"]["seats"]] == [1, 2]

    def test_says_when_there_are_not_enough(self, performance, seats, visitor):
        reservation(CustomerFactory(), seats[:2])
        reservation(CustomerFactory(), seats[2:3])
        body = {"performance_id": performance.pk, "quantity": 2}

        assert refused(visitor.post("/holds/best-available", body), 409, "NOT_ENOUGH_SEATS")

    @pytest.mark.django_db(transaction=True)
    def test_holding_extends_the_lease_and_releasing_takes_it_back(
        self, performance, seats, visitor
    ):
        def lease_until():
            return parse_datetime(visitor.get("/queue/tokens/me").json()["data"]["expires_at"])

        before = lease_until()
        made = held_over_api(visitor, performance, seats[:1])
        during = lease_until()
        visitor.delete(f"/holds/{made['hold_id']}")

        assert during >= parse_datetime(made["expires_at"]) + timedelta(minutes=1)
        assert lease_until() < during
        assert before < during


class TestReservations:
    def test_pays_for_a_hold_and_shows_the_ticket(self, performance, seats, visitor):
        made = held_over_api(visitor, performance, seats[:2])

        answer = visitor.post("/reservations", {"hold_id": made["hold_id"]}, key="pay-1")

        data = answer.json()["data"]
        assert answer.status_code == 201
        assert data["status"] == "CONFIRMED"
        assert data["balance"] == 900_000
        assert data["total_price"] == 100_000
        assert [ticket["seat_id"] for ticket in data["tickets"]] == ids(seats[:2])
        shown = visitor.get(f"/reservations/{data['reservation_id']}").json()["data"]
        for ticket in shown["tickets"]:
            assert (ticket.pop("status"), ticket.pop("cancel_reason")) == ("VALID", "")
        told = {name: shown.pop(name) for name in sorted(shown.keys() - data.keys())}
        assert shown | {"balance": 900_000} == data
        assert told == {
            "called_off_reason": "",
            "cancel_reason": "",
            "refunded_amount": 0,
            "refunds": [],
            "notices": [],
        }
        picture = visitor.get(f"/tickets/{data['tickets'][0]['ticket_id']}/qr.svg")
        assert picture["Content-Type"] == "image/svg+xml"
        svg = ElementTree.fromstring(picture.content)  # noqa: S314
        assert svg.tag.endswith("svg")
        # 21 modules and two quiet zones of 4, 8 pixels each: the smallest QR code, and no Micro QR, which phones do not read.
        assert int(svg.attrib["width"]) >= (21 + 2 * 4) * 8

    def test_shows_what_staff_have_given_back_and_why(self, performance, seats, visitor):
        reserved = reservation(visitor.customer, seats[:2])
        by = {"staff_id": CustomerFactory(staff=True).pk}
        refund_reservation(reservation_id=reserved.pk, amount=1_000, reason="A delay", **by)
        cancel_seats(
            reservation_id=reserved.pk, seat_ids=[seats[0].pk], reason="A broken seat", **by
        )

        shown = visitor.get(f"/reservations/{reserved.pk}").json()["data"]
        [listed] = visitor.get("/reservations").json()["data"]["items"]

        assert shown == listed
        assert (shown["status"], shown["refunded_amount"]) == ("CONFIRMED", 51_000)
        assert [(refund["amount"], refund["reason"]) for refund in shown["refunds"]] == [
            (1_000, "A delay"),
            (50_000, "A broken seat"),
        ]
        assert [(ticket["status"], ticket["cancel_reason"]) for ticket in shown["tickets"]] == [
            ("CANCELLED", "A broken seat"),
            ("VALID", ""),
        ]
        void, valid = (
            visitor.get(f"/tickets/{ticket['ticket_id']}/qr.svg") for ticket in shown["tickets"]
        )
        assert (void.status_code, valid.status_code) == (404, 200)
        cancel_seats(reservation_id=reserved.pk, reason="Fell ill", **by)
        ended = visitor.get(f"/reservations/{reserved.pk}").json()["data"]
        assert (ended["status"], ended["cancel_reason"]) == ("CANCELLED", "Fell ill")
        assert {ticket["status"] for ticket in ended["tickets"]} == {"CANCELLED"}

    def test_repeats_the_answer_byte_for_byte(self, performance, seats, visitor):
        made = held_over_api(visitor, performance, seats[:1])
        body = {"hold_id": made["hold_id"]}

        first = visitor.post("/reservations", body, key="pay-1")
        again = visitor.post("/reservations", body, key="pay-1")

        assert again.status_code == 201
        assert again.content == first.content
        assert again["Idempotent-Replayed"] == "true"
        assert refused(visitor.post("/reservations", body, key="pay-2"), 409, "HOLD_NOT_LIVE")
        assert Wallet.objects.get(pk=visitor.customer.pk).balance == 950_000

    def test_says_what_is_missing(self, performance, seats):
        poor = admitted_visitor(performance.concert_id, balance=20_000)
        made = held_over_api(poor, performance, seats[:1])

        answer = poor.post("/reservations", {"hold_id": made["hold_id"]}, key="pay-1")

        assert refused(answer, 402, "INSUFFICIENT_BALANCE")
        assert answer.json()["data"]["balance"] == 20_000
        assert answer.json()["data"]["required"] == 50_000
        poor.post("/balance/charges", {"amount": 30_000}, key="charge-1")
        paid = poor.post("/reservations", {"hold_id": made["hold_id"]}, key="pay-1")
        assert paid.status_code == 201

    def test_works_when_the_token_has_ended(self, performance, seats, visitor):
        made = held_over_api(visitor, performance, seats[:1])
        visitor.delete("/queue/tokens/me")

        answer = visitor.post("/reservations", {"hold_id": made["hold_id"]}, key="k")

        assert answer.status_code == 201

    def test_refuses_a_token_that_is_not_for_it(self, performance, seats, visitor):
        made = held_over_api(visitor, performance, seats[:1])
        body = {"hold_id": made["hold_id"]}
        other = admitted_visitor(performance.concert_id)

        visitor.headers["Queue-Token"] = other.headers["Queue-Token"]
        assert refused(visitor.post("/reservations", body, key="k"), 403, "QUEUE_TOKEN_INVALID")
        del visitor.headers["Queue-Token"]
        assert refused(visitor.post("/reservations", body, key="k"), 403, "QUEUE_TOKEN_REQUIRED")
        assert not Reservation.objects.exists()

    def test_refuses_in_one_order(self, performance, seats, visitor):
        """The hold, the token, the key, what the key was used for, the state of the hold."""
        made = held_over_api(visitor, performance, seats[:1])
        stale = overdue_hold(visitor.customer, seats[1:2])
        elsewhere = Visitor(visitor.customer)
        elsewhere.join(PerformanceFactory().concert_id)
        own, foreign = visitor.headers["Queue-Token"], elsewhere.headers["Queue-Token"]
        visitor.post("/reservations", {"hold_id": made["hold_id"]}, key="used")

        def pay(hold_id, token, key):
            visitor.headers["Queue-Token"] = token
            return visitor.post("/reservations", {"hold_id": str(hold_id)}, key=key)

        keys = [None, " ", "used", "new"]
        for token, key in product([own, foreign, "nonsense", ""], keys):
            assert refused(pay(uuid4(), token, key), 404, "HOLD_NOT_FOUND")
        for hold_id, key in product([made["hold_id"], stale.pk], keys):
            assert refused(pay(hold_id, foreign, key), 403, "QUEUE_TOKEN_INVALID")
            assert refused(pay(hold_id, "nonsense", key), 403, "QUEUE_TOKEN_INVALID")
            assert refused(pay(hold_id, "", key), 403, "QUEUE_TOKEN_REQUIRED")
        for key in (None, " "):
            assert refused(pay(stale.pk, own, key), 400, "IDEMPOTENCY_KEY_REQUIRED")
        assert refused(pay(stale.pk, own, "used"), 422, REUSED)
        assert refused(pay(stale.pk, own, "new"), 409, "HOLD_EXPIRED")
        assert refused(pay(made["hold_id"], own, "new"), 409, "HOLD_NOT_LIVE")
        assert pay(made["hold_id"], own, "used").status_code == 201
        assert Reservation.objects.count() == 1

    def test_lists_ones_own_newest_first_and_by_status(self, seats, visitor):
        first = reservation(visitor.customer, seats[:1])
        second = reservation(visitor.customer, seats[1:2])
        reservation(CustomerFactory(), seats[2:3])
        visitor.post(f"/reservations/{first.pk}/cancel", key="c")

        def listed(query=""):
            data = visitor.get(f"/reservations{query}").json()["data"]
            return [item["reservation_id"] for item in data["items"]], data["total"]

        assert listed() == ([str(second.pk), str(first.pk)], 2)
        assert listed("?status=CANCELLED") == ([str(first.pk)], 1)
        assert listed("?page=2&page_size=1") == ([str(first.pk)], 2)
        assert refused(visitor.get("/reservations?status=PAID"), 400, "VALIDATION_ERROR")


class TestCancelling:
    def test_refunds_once(self, seats, visitor):
        reserved = reservation(visitor.customer, seats[:1])
        path = f"/reservations/{reserved.pk}/cancel"

        answer = visitor.post(path, key="c1")

        assert answer.status_code == 200
        assert answer.json()["data"] == {
            "reservation_id": str(reserved.pk),
            "status": "CANCELLED",
            "refunded_amount": 50_000,
            "balance": 1_000_000,
        }
        assert visitor.post(path, key="c1").content == answer.content
        assert refused(visitor.post(path, key="c2"), 409, "ALREADY_CANCELLED")
        assert refused(visitor.post(path), 400, "IDEMPOTENCY_KEY_REQUIRED")

    def test_a_cancelled_ticket_has_no_qr(self, seats, visitor):
        reserved = reservation(visitor.customer, seats[:1])
        path = f"/tickets/{reserved.tickets.get().pk}/qr.svg"
        assert visitor.get(path).status_code == 200

        visitor.post(f"/reservations/{reserved.pk}/cancel", key="c")

        assert refused(visitor.get(path), 404, "NOT_FOUND")

    def test_is_refused_too_late(self, performance, seats, visitor):
        reserved = reservation(visitor.customer, seats[:1])
        begin_at(
            Performance.objects.filter(pk=performance.pk), timezone.now() + timedelta(hours=23)
        )

        answer = visitor.post(f"/reservations/{reserved.pk}/cancel", key="c")

        assert refused(answer, 409, "CANCELLATION_CLOSED")
        assert SeatClaim.objects.live(at=timezone.now()).count() == 1


@pytest.mark.django_db(transaction=True)
class TestWithAFrozenQueueStore:
    def test_a_live_hold_is_paid_and_nothing_else_waits(
        self, performance, seats, settings, valkey_server
    ):
        server = valkey_server()
        settings.QUEUE_URL = server.url
        visitor = admitted_visitor(performance.concert_id)
        made = held_over_api(visitor, performance, seats[:1])

        server.pause()
        gated = visitor.get(f"/performances/{performance.pk}/seats")
        paid = visitor.post("/reservations", {"hold_id": made["hold_id"]}, key="k")
        server.resume()

        assert refused(gated, 503, "SERVICE_UNAVAILABLE")
        assert "Retry-After" in gated
        assert paid.status_code == 201
        assert Wallet.objects.get(pk=visitor.customer.pk).balance == 950_000


@pytest.mark.django_db(transaction=True)
class TestWithAQueueStoreThatTakesNoWrites:
    def test_no_visitor_is_let_in_and_nothing_is_a_500(self, performance, seats, store, visitor):
        made = held_over_api(visitor, performance, seats[:1])
        store.config_set("min-replicas-to-write", 1)

        try:
            joined = Visitor(CustomerFactory()).post(
                "/queue/tokens", {"concert_id": performance.concert_id}
            )
            gated = visitor.get(f"/performances/{performance.pk}/seats")
            paid = visitor.post("/reservations", {"hold_id": made["hold_id"]}, key="k")
        finally:
            store.config_set("min-replicas-to-write", 0)

        assert refused(joined, 503, "SERVICE_UNAVAILABLE")
        assert refused(gated, 503, "SERVICE_UNAVAILABLE")
        assert paid.status_code == 201
