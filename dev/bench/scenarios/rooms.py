"""Measure what waiting rooms of two sizes cost, script by script, on a Valkey of their own."""

import redis

from dev.bench.bench import Bench, Outcome, ScenarioFailed
from dev.bench.room_costs import RoomFailed, measure
from dev.stack.servers import ValkeyServer, free_port

TIMEOUT = 120.0  # seconds; reading the memory of a large key takes a while


def room(bench: Bench) -> Outcome:
    """Compare a small room with a large one; see `room_costs` for how."""
    folder = bench.folder / "room"
    server = ValkeyServer(
        directory=folder,
        log_path=bench.folder / "room.log",
        port=free_port(),
        append_only=True,
        options={"auto-aof-rewrite-min-size": "1gb"},
    )
    begun, shown = "", 0

    def show(what: str, done: int, total: int) -> None:
        nonlocal begun, shown
        if what != begun:
            bench.begin(what, steps=total)
            begun, shown = what, 0
        bench.advance(done - shown)
        shown = done

    try:
        server.start()
        with redis.Redis.from_url(server.url, socket_timeout=TIMEOUT) as client:
            found = measure(
                client,
                bench.form.rooms,
                operations=bench.form.room_operations,
                repeats=bench.form.room_repeats,
                on_progress=show,
            )
    except (RoomFailed, redis.RedisError) as error:
        raise ScenarioFailed(str(error)) from error
    finally:
        server.stop()
    operations = [row for size in found["rooms"] for row in size["operations"].values()]
    trips = [
        size["operations"][name]["round_trips"]
        for size in found["rooms"]
        for name in ("join", "status")
    ]
    longest = max(row["server_longest"] for row in operations)
    figures = {
        "room_status_large_of_small": round(found["ratios"]["status"]["client"], 3),
        "room_admit_large_of_small": round(found["ratios"]["admit"]["client"], 3),
        "room_visitor_bytes": round(max(size["bytes_per_visitor"] for size in found["rooms"])),
        "room_longest_script_ms": round(longest / 1_000, 3),
        "room_round_trips": max(trips),
    }
    return Outcome(figures, found)
