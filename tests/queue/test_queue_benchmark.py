"""The benchmark at small sizes: what it reports, what it refuses, and that its rooms are real ones."""

import io
import json
import sys
from collections.abc import Generator
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command

from dev.bench.queue_benchmark import BenchmarkFailed, fill_room, measure, policy_of, room_keys
from dev.bench.queue_benchmark_report import Bounds
from dev.demo.management.commands.queue_benchmark import TITLES
from tests.queue.rooms import CONCERT

STORES = ["node"]  # the benchmark measures a server of its own
# Costs depend on the machine; how often a script is called does not.
ANY_COST = Bounds(ratio=1e9, bytes_per_visitor=1e9, longest_script_ms=1e9)
SMALL = ("--waiting", "500", "--waiting", "50", "--operations", "100", "--repeats", "2")


def run(*arguments: str, bounds: Bounds = ANY_COST) -> str:
    output = io.StringIO()
    call_command("queue_benchmark", *arguments, bounds=bounds, stdout=output)
    return output.getvalue()


class TestFillRoom:
    def test_leaves_behind_what_joins_do(self, room, store, clock):
        first_at, size = clock.now, 1_000
        filled_policy = policy_of(CONCERT, capacity=10)
        store.delete(*room_keys(CONCERT).values())
        room.configure(filled_policy, epoch="e", was_stored=False)
        for customer in range(1, size + 1):
            clock.set(first_at + customer - 1)
            room.join(customer)
        joined = contents(store)
        store.delete(*room_keys(CONCERT).values())
        room.configure(filled_policy, epoch="e", was_stored=False)

        done = list(fill_room(store, CONCERT, size, first_at=first_at))

        assert done[-1] == size
        assert joined.keys() == {"room", "waiting", "seen"}
        assert contents(store) == joined

    def test_the_room_goes_on_as_if_they_had_joined(self, room, store, clock):
        room.configure(policy_of(CONCERT, capacity=2), epoch="e", was_stored=False)

        list(fill_room(store, CONCERT, 50, first_at=clock.now))

        assert room.join(1_000).position == 51
        assert room.join(7).position == 7
        assert room.tick() == 2
        assert store.zrange(room_keys(CONCERT)["active"], 0, -1) == [b"1", b"2"]


def contents(store: redis.Redis) -> dict[str, Any]:
    """Everything in the room's keys, and how the server stores it."""
    found: dict[str, Any] = {}
    for name, key in room_keys(CONCERT).items():
        if store.exists(key):
            is_hash = store.type(key) == b"hash"
            members: Any = (
                store.hgetall(key) if is_hash else store.zrange(key, 0, -1, withscores=True)
            )
            found[name] = store.object("encoding", key), members
    return found


class TestQueueBenchmark:
    def test_measures_every_size_and_says_so_in_words_and_figures(self, tmp_path):
        output = run(*SMALL, "--json", str(tmp_path / "costs.json"))

        figures = json.loads((tmp_path / "costs.json").read_text())
        small, large = figures["rooms"]
        assert (small["waiting"], large["waiting"]) == (50, 500)
        for room in (small, large):
            operations = room["operations"]
            assert operations.keys() == TITLES.keys()
            assert 0 < room["bytes_per_visitor"] < 300
            for costs in operations.values():
                assert 0 < costs["client_p50"] <= costs["client_p99"]
                assert 0 < costs["server_p50"] <= costs["server_p99"] <= costs["server_longest"]
                assert costs["visitors_per_second"] > 0
                assert costs["server_per_visitor"] > 0
        assert {name: costs["visitors"] for name, costs in large["operations"].items()} == {
            **dict.fromkeys(("join", "join_early", "status", "status_busy", "gate", "board"), 100),
            **dict.fromkeys(("admit", "finish", "restore", "replay"), 100),
            "purge": 250 + 100,
            "close": 1,
        }
        assert figures["ratios"].keys() == TITLES.keys()
        assert figures["append_only"] is True
        assert figures["holds"] is True
        assert [figure["what"] for figure in figures["bounds"]] == [
            "status, largest : smallest room",
            "tick per admission, largest : smallest room",
            "memory of a waiting visitor",
            "longest script",
            "round trips per join and status",
        ]
        assert "50 waiting" in output
        assert "500 : 50 waiting" in output
        assert "Every bound holds." in output

    def test_a_join_and_a_status_take_one_round_trip(self, tmp_path):
        run("--waiting", "50", "--repeats", "1", "--json", str(tmp_path / "costs.json"))

        [room] = json.loads((tmp_path / "costs.json").read_text())["rooms"]
        trips = {name: costs["round_trips"] for name, costs in room["operations"].items()}
        assert (trips["join"], trips["join_early"]) == (1, 1)
        assert (trips["status"], trips["gate"]) == (1, 1)

    def test_fails_when_a_bound_is_broken(self, tmp_path):
        bounds = Bounds(ratio=1e9, bytes_per_visitor=1, longest_script_ms=1e9)

        with pytest.raises(CommandError, match=r"^Above the bound: memory of a waiting visitor\.$"):
            run(*SMALL, "--json", str(tmp_path / "costs.json"), bounds=bounds)

        figures = json.loads((tmp_path / "costs.json").read_text())
        assert figures["holds"] is False
        assert [figure["what"] for figure in figures["bounds"] if not figure["holds"]] == [
            "memory of a waiting visitor"
        ]

    @pytest.mark.parametrize(
        ("bounds", "broken"),
        [
            (Bounds(ratio=0, bytes_per_visitor=1e9, longest_script_ms=1e9), "tick per admission"),
            (Bounds(ratio=1e9, bytes_per_visitor=1e9, longest_script_ms=0), "longest script"),
            (
                Bounds(ratio=1e9, bytes_per_visitor=1e9, longest_script_ms=1e9, round_trips=0),
                "round trips",
            ),
        ],
    )
    def test_every_bound_counts(self, bounds, broken):
        with pytest.raises(CommandError, match=broken):
            run(*SMALL, bounds=bounds)

    def test_one_size_has_nothing_to_be_compared_with(self, valkey_server, tmp_path):
        server = valkey_server()

        run("--waiting", "50", "--server", server.url, "--json", str(tmp_path / "costs.json"))

        figures = json.loads((tmp_path / "costs.json").read_text())
        assert figures["ratios"] == {}
        assert figures["append_only"] is False
        assert len(figures["bounds"]) == 3
        with redis.Redis.from_url(server.url) as client:
            assert client.dbsize() == 0

    def test_refuses_a_server_that_is_in_use(self, room, store):
        room.join(1)
        before = store.dbsize(), contents(store)

        with pytest.raises(CommandError, match="holds keys already"):
            run("--waiting", "50", "--server", settings.QUEUE_URL)

        assert (store.dbsize(), contents(store)) == before

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--waiting", "49"), "not a whole number from 50"),
            (("--waiting", "many"), "not a whole number"),
            (("--waiting", "1e6"), "not a whole number"),
            (("--operations", "0"), "not a whole number from 10"),
            (("--repeats", "-1"), "not a whole number from 1"),
            (("--server", "http://127.0.0.1:8000"), "is no address such as redis:"),
            (("--server", "redis://127.0.0.1:1/0"), "cannot be used"),
            (("--json", "/nowhere/costs.json"), "Cannot write to /nowhere/costs.json"),
        ],
    )
    def test_refuses_what_it_cannot_do(self, arguments, message):
        with pytest.raises(CommandError, match=message):
            run("--waiting", "50", *arguments)

    def test_without_the_embedded_server_asks_for_one(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "dev.stack.servers", None)

        with pytest.raises(CommandError, match="name one with --server"):
            run("--waiting", "50")


class TestMeasure:
    @pytest.fixture
    def client(self, valkey_server) -> Generator[redis.Redis]:
        with redis.Redis.from_url(valkey_server().url) as client:
            yield client

    def test_notices_visitors_who_are_not_there(self, client):
        def lose_the_room(what: str, done: int, total: int) -> None:
            if what == "measure":
                client.delete(room_keys(1)["room"])

        with pytest.raises(BenchmarkFailed, match="a visitor is not WAITING"):
            measure(client, [50], operations=10, repeats=1, on_progress=lose_the_room)

        assert client.dbsize() == 0

    def test_notices_absentees_who_are_not_dropped(self, client):
        def come_back(what: str, done: int, total: int) -> None:
            if what == "vanish 50":
                client.zadd(room_keys(1)["seen"], {"49": 4_000_000_000_000_000})

        with pytest.raises(BenchmarkFailed, match="24 of 25 absentees were dropped"):
            measure(client, [50], operations=10, repeats=1, on_progress=come_back)

    def test_moves_the_ends_on_while_it_purges(self, client):
        """As the tick does for the exit log, so that the stream does not grow with the crowd."""
        pending = []

        def look(what: str, done: int, total: int) -> None:
            if what == "purge 2,000":
                pending.append(client.xlen(room_keys(1)["exits"]))

        report = measure(client, [2_000], operations=50, repeats=1, on_progress=look)

        assert report.rooms[0].operations["purge"].visitors == 1_000 + 50
        assert len(pending) >= 2
        assert set(pending) == {0}
