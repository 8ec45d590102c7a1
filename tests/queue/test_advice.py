"""Test when visitors are told to ask again: in time for their turn, and all together no more often than the rooms can answer."""

from collections import Counter

import pytest

from apps.concerts.models import Concert
from apps.queue.core.tokens import TokenClaims
from apps.queue.live import live_room
from tests.factories.accounts import CustomerFactory, bearer
from tests.factories.queue import WaitingRoomFactory
from tests.queue.rooms import CONCERT, TestedRoom, claims

# What docs/waiting-room.md promises for N waiting: those near the head, and one more for every 40 of the N.
POLLS_NEAR_THE_HEAD, SPACING_FAR_BEHIND = 3_100, 40


def advice_to(room: TestedRoom, mine: TokenClaims) -> int:
    return room.touch(mine).poll_after_seconds or 0


class TestAtTheStart:
    """It is not known yet how long a visit takes."""

    def test_visitors_who_may_be_next_come_back_within_seconds(self, room):
        room.set_policy(version=2, capacity=200)
        claims_of_all = room.join_all(*range(2_000))

        advice = [advice_to(room, mine) for mine in claims_of_all]

        assert set(advice[:350]) == {1}
        assert max(advice[:600]) <= 3
        assert max(advice) <= 12

    @pytest.mark.parametrize("capacity", [3, 200, 10_000])
    def test_a_crowd_does_not_ask_more_often_than_promised(self, room, store, clock, capacity):
        """Worst is a room that has just opened its doors: visits are supposed to be shortest."""
        crowd = 100_000
        room.set_policy(version=2, capacity=capacity)
        for first in range(1, crowd + 1, 10_000):
            members = {str(n): clock.now + n for n in range(first, first + 10_000)}
            store.zadd(f"{{queue:{CONCERT}}}:waiting", members)

        polls, position = 0.0, 1
        while position < crowd:
            step = max(1, position // 20)  # positions between two samples are told about the same
            mine = TokenClaims(CONCERT, position, clock.now + position, generation=1, issued_at=0)
            polls += step / advice_to(room, mine)
            position += step

        assert polls <= POLLS_NEAR_THE_HEAD + crowd / SPACING_FAR_BEHIND

    def test_a_limit_per_minute_is_the_earliest_there_may_be(self, room):
        room.set_policy(version=2, capacity=10_000, per_minute=60)
        claims_of_all = room.join_all(*range(100))

        # Six may come in at once, then one a second.
        assert advice_to(room, claims_of_all[7]) == 1
        assert 16 <= advice_to(room, claims_of_all[35]) <= 20


@pytest.mark.slow
class TestOnceVisitsAreKnown:
    def play(
        self, room: TestedRoom, *, visits: list[int], seconds: int, crowd: int = 400
    ) -> tuple[float, Counter[str]]:
        """A crowd polls as advised and buys soon after seeing that its turn has come; one who leaves joins anew.

        The time is divided into parts of equal length, and `visits` are the mean seconds of a visit in each.

        Returns the mean share of slots whose visitors know of it, in the second half, and how many polled and left in all.
        """
        capacity = room.glance().capacity
        claims_of_all = {mine.customer_id: mine for mine in room.join_all(*range(crowd))}
        comes_at = dict.fromkeys(claims_of_all, 1)
        leaves_at: dict[int, int] = {}
        in_use, counted = 0.0, Counter[str]()
        for second in range(seconds):
            for who in [who for who, at in leaves_at.items() if at <= second]:
                mine = claims_of_all[who]
                room.end(mine)
                del leaves_at[who]
                [claims_of_all[who]] = room.join_all(who)
                comes_at[who] = second + advice_to(room, claims_of_all[who])
                counted["left"] += 1
            room.tick()
            for who in [who for who, at in comes_at.items() if at <= second]:
                visit = room.touch(claims_of_all[who])
                counted["polled"] += 1
                claims_of_all[who] = claims(who, visit)
                if visit.admitted_at:
                    del comes_at[who]
                    mean = visits[second * len(visits) // seconds]
                    leaves_at[who] = second + mean // 2 + who % (mean + 1)
                else:
                    comes_at[who] = second + (visit.poll_after_seconds or 0)
            if second >= seconds // 2:
                in_use += len(leaves_at) / capacity / (seconds - seconds // 2)
            room.clock.advance(seconds=1)
        return in_use, counted

    @pytest.mark.parametrize(("visit", "in_use"), [(4, 0.7), (20, 0.9)])
    def test_slots_are_not_empty_for_want_of_visitors_who_know(self, room, visit, in_use):
        room.set_policy(version=2, capacity=40)

        share, counted = self.play(room, visits=[visit], seconds=80)

        assert share >= in_use
        # So many polls for each turn, those of the crowd that still waits included.
        assert counted["polled"] <= 14 * (counted["left"] + 40)

    @pytest.mark.parametrize(("visits", "mean"), [([40], 40), ([40, 40, 40, 5], 5)])
    def test_the_wait_is_foretold_from_as_many_departures_as_there_are_slots(
        self, room, visits, mean
    ):
        """Also when a crowd that knows what it wants has come after one that took its time."""
        room.set_policy(version=2, capacity=60)
        self.play(room, visits=visits, seconds=200, crowd=120)

        newcomer = room.join(1_000)

        assert newcomer.position is not None
        assert newcomer.wait_seconds is not None
        # A second passes between admission and seeing it.
        assert newcomer.wait_seconds == pytest.approx(newcomer.position * (mean + 1) / 60, rel=0.3)

    def test_long_visits_let_the_crowd_rest(self, room):
        room.set_policy(version=2, capacity=3)
        *_, last = room.join_all(*range(60))
        at_first = advice_to(room, last)
        room.set_policy(version=3, capacity=30)
        room.tick()
        room.pass_time(seconds=50)

        assert at_first <= 26
        assert advice_to(room, last) >= 27


@pytest.mark.django_db
def test_the_api_says_so_as_well(client):
    concert: Concert = WaitingRoomFactory(capacity=100).concert
    customers = CustomerFactory.create_batch(2)

    def join(number: int) -> tuple[int, str]:
        answer = client.post(
            "/api/v1/queue/tokens",
            {"concert_id": concert.pk},
            "application/json",
            headers=bearer(customers[number]),
        )
        return answer.json()["data"]["poll_after_seconds"], answer.headers["Retry-After"]

    first = join(0)
    for stranger in range(1_000_001, 1_000_150):
        live_room(concert.pk).join(stranger)
    second = join(1)

    assert first == second == (1, "1")
