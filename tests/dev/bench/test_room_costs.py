"""The costs of waiting rooms at small sizes: what is measured, and what is refused."""

from collections.abc import Generator

import pytest
import redis

from dev.bench.page import TITLES
from dev.bench.room_costs import RoomFailed, measure, room_keys
from tests.conftest import StartValkey


class TestMeasure:
    @pytest.fixture
    def client(self, valkey_server: StartValkey) -> Generator[redis.Redis]:
        with redis.Redis.from_url(valkey_server().url) as client:
            yield client

    def test_measures_every_kind_of_call_in_every_size(self, client: redis.Redis) -> None:
        found = measure(client, [500, 50], operations=100, repeats=2)

        small, large = found["rooms"]
        assert (small["waiting"], large["waiting"]) == (50, 500)
        for room in (small, large):
            assert room["operations"].keys() == found["ratios"].keys() == TITLES.keys()
            assert 0 < room["bytes_per_visitor"] < 300
            for row in room["operations"].values():
                assert 0 < row["client_p50"] <= row["client_p99"]
                assert 0 < row["server_p50"] <= row["server_p99"] <= row["server_longest"]
                assert row["visitors_per_second"] > 0
                assert row["server_per_visitor"] > 0
        assert {name: row["visitors"] for name, row in large["operations"].items()} == {
            **dict.fromkeys(("join", "join_early", "status", "status_busy", "gate", "board"), 100),
            **dict.fromkeys(("admit", "finish", "restore", "replay"), 100),
            "purge": 250 + 100,
            "close": 1,
        }
        assert client.dbsize() == 0

    def test_a_join_and_a_status_take_one_round_trip(self, client: redis.Redis) -> None:
        found = measure(client, [50], operations=1_000, repeats=1)

        operations = found["rooms"][0]["operations"]
        for name in ("join", "join_early", "status", "gate"):
            assert operations[name]["round_trips"] == 1
        assert found["ratios"] == {}  # one size has nothing to be compared with

    def test_refuses_a_server_that_is_in_use(self, client: redis.Redis) -> None:
        client.set("kept", 1)

        with pytest.raises(RoomFailed, match="holds keys already"):
            measure(client, [50], operations=10, repeats=1)

        assert client.keys() == [b"kept"]

    def test_notices_visitors_who_are_not_there(self, client: redis.Redis) -> None:
        def lose_the_room(what: str, done: int, total: int) -> None:
            if what == "measure":
                client.delete(room_keys(1)["room"])

        with pytest.raises(RoomFailed, match="a visitor is not WAITING"):
            measure(client, [50], operations=10, repeats=1, on_progress=lose_the_room)

        assert client.dbsize() == 0

    def test_notices_absentees_who_are_not_dropped(self, client: redis.Redis) -> None:
        def come_back(what: str, done: int, total: int) -> None:
            if what == "vanish 50":
                client.zadd(room_keys(1)["seen"], {"49": 4_000_000_000_000_000})

        with pytest.raises(RoomFailed, match="24 of 25 absentees were dropped"):
            measure(client, [50], operations=10, repeats=1, on_progress=come_back)

    def test_moves_the_ends_on_while_it_purges(self, client: redis.Redis) -> None:
        """As the tick does for the exit log, so that the stream does not grow with the crowd."""
        pending = []

        def look(what: str, done: int, total: int) -> None:
            if what == "purge 2,000":
                pending.append(client.xlen(room_keys(1)["exits"]))

        found = measure(client, [2_000], operations=50, repeats=1, on_progress=look)

        assert found["rooms"][0]["operations"]["purge"]["visitors"] == 1_000 + 50
        assert len(pending) >= 2
        assert set(pending) == {0}
