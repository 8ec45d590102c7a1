"""Two concerts with a room each, and customers who are in both: what is done in one room does not show in the other."""

import pytest

from apps.concerts.models import Concert
from apps.queue import services
from apps.queue.live import live_room, token_signer
from apps.queue.models import QueueExit
from tests.factories.queue import WaitingRoomFactory
from tests.queue.rooms import Visitor

pytestmark = pytest.mark.django_db

STORES = ["node"]


@pytest.fixture
def other_concert() -> Concert:
    concert: Concert = WaitingRoomFactory(capacity=2).concert
    return concert


@pytest.fixture
def others(other_concert: Concert, visitors: list[Visitor]) -> list[Visitor]:
    """Two of the five, in the other order, behind a stranger."""
    Visitor(other_concert).join()
    return [Visitor(other_concert, visitors[place].customer).join() for place in (4, 0)]


def slot_of(visitor: Visitor) -> int:
    return token_signer().read(visitor.token).slot


class TestPreviousToken:
    def test_of_another_concert_brings_no_place_there(
        self, concert: Concert, other_concert: Concert, visitors: list[Visitor]
    ) -> None:
        Visitor(other_concert).join()
        own, first = Visitor(other_concert, visitors[0].customer), visitors[0]
        own.token = first.token

        joined = services.join_queue(
            customer_id=own.customer.pk, concert_id=other_concert.pk, previous_token=first.token
        )

        assert (joined.concert_id, joined.is_new, joined.position) == (other_concert.pk, True, 2)
        claims = token_signer().read(joined.token)
        assert (claims.concert_id, claims.customer_id) == (other_concert.pk, own.customer.pk)
        assert claims.slot > slot_of(visitors[4])
        assert first.poll().position == 1
        assert live_room(other_concert.pk).visit_of(own.customer.pk) == (claims.slot, 1)

    def test_of_another_concert_is_ignored_whoever_is_in_there(
        self, others: list[Visitor], visitors: list[Visitor], other_concert: Concert
    ) -> None:
        again = others[0].join().poll()
        mixed_up = services.join_queue(
            customer_id=others[0].customer.pk,
            concert_id=other_concert.pk,
            previous_token=visitors[4].token,
        )

        assert (mixed_up.position, mixed_up.is_new) == (again.position, False) == (2, False)
        assert not QueueExit.objects.exists()


class TestEnd:
    def test_of_one_visit_leaves_the_other(
        self, visitors: list[Visitor], others: list[Visitor]
    ) -> None:
        left = services.leave_queue(token=visitors[0].token)

        assert (left.token, left.expired_reason) == (visitors[0].token, "LEFT")
        assert visitors[0].standing == "LEFT"
        assert others[1].standing == "WAITING"
        assert [visitor.poll().position for visitor in visitors[1:]] == [1, 2, 3, 4]
        assert [visitor.poll().position for visitor in others] == [2, 3]
        [end] = QueueExit.objects.all()
        assert (end.concert_id, end.customer_id, end.slot, end.generation) == (
            visitors[0].concert.pk,
            visitors[0].customer.pk,
            slot_of(visitors[0]),
            1,
        )

    def test_on_record_is_asked_for_by_all_that_names_a_visit(
        self, visitors: list[Visitor], others: list[Visitor]
    ) -> None:
        visitors[0].leave()
        mine = {
            "concert_id": visitors[0].concert.pk,
            "customer_id": visitors[0].customer.pk,
            "slot": slot_of(visitors[0]),
            "generation": 1,
        }

        assert services.visit_is_over(**mine)
        for name, value in (
            ("concert_id", others[0].concert.pk),
            ("customer_id", visitors[1].customer.pk),
            ("slot", mine["slot"] + 1),
            ("generation", 2),
        ):
            assert not services.visit_is_over(**mine | {name: value})

    def test_of_a_room_leaves_the_other(
        self, visitors: list[Visitor], others: list[Visitor], concert: Concert
    ) -> None:
        services.close_room(concert_id=concert.pk, staff_id=None)
        live_room(concert.pk).drop()

        assert [visitor.poll().position for visitor in others] == [2, 3]
        assert services.admit_now(others[0].concert.pk) == 2
