"""Generators against an application that answers as told, and what is read from their output."""

import json
import threading
from collections.abc import Generator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dev.bench.bench import ScenarioFailed, Target, refuse_unless_done
from dev.bench.generators import (
    Call,
    GeneratorFailed,
    Load,
    read_k6,
    read_pgbench,
    read_wrk,
    run_k6,
    run_wrk,
    wrk_path,
)


class Application(BaseHTTPRequestHandler):
    """Answers `/404` with that status, and everything else with 200."""

    protocol_version = "HTTP/1.1"
    seen: set[tuple[str, str, str]] = set()

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = (self.headers.get("Authorization", ""), self.headers.get("Queue-Token", ""))
        self.seen.add((self.command, *headers))
        self.send_response(404 if self.path == "/404" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def base_url() -> Generator[str]:
    Application.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


CALLS = [Call("/", login="abc", visit="q1"), Call("/", "POST", body='{"concert_id": 1}')]
SENT = {("GET", "Bearer abc", "q1"), ("POST", "", "")}


class TestWrk:
    def test_plays_the_calls_and_counts_them(self, base_url: str, tmp_path: Path) -> None:
        def play() -> Load:
            return run_wrk(base_url, CALLS, folder=tmp_path, seconds=1, connections=2, count=True)

        if wrk_path() is None:  # then k6 makes the load
            with pytest.raises(GeneratorFailed):
                play()
            return
        load = play()

        assert Application.seen == SENT
        assert load.requests > 10
        assert load.statuses.keys() == {"200"}
        assert 0 < load.p50 <= load.p95 <= load.p99
        assert load.rate == pytest.approx(load.requests / load.seconds)

    def test_reads_what_the_script_prints(self) -> None:
        output = (
            "Running 1s test\n"
            'RESULT {"requests": 200, "seconds": 2.0, "p50": 1.5, "p95": 2.5, "p99": 9.0, '
            '"refused": 3, "broken": 0, "is_exhausted": true, "statuses": {"200": 197, "404": 3}}\n'
        )

        load = read_wrk(output)

        assert (load.rate, load.p50, load.p99) == (100, 1.5, 9)
        assert load.is_exhausted
        assert load.statuses == {"200": 197, "404": 3}

    def test_refuses_output_without_a_result(self) -> None:
        with pytest.raises(GeneratorFailed):
            read_wrk("unable to connect to 127.0.0.1:1 Connection refused")


class TestK6:
    def plan(self, base_url: str, tmp_path: Path, paths: list[str]) -> dict[str, object]:
        calls = tmp_path / "calls.json"
        calls.write_text(json.dumps([asdict(call) for call in [*CALLS, *map(Call, paths)]]))
        return {
            "base": base_url,
            "steps": ["call"],
            "calls": str(calls),
            "expected": [200],
            "users": 2,
            "duration": "1s",
            "once": False,
        }

    def test_plays_the_calls_and_counts_them(self, base_url: str, tmp_path: Path) -> None:
        crowd = run_k6("calls.js", self.plan(base_url, tmp_path, []), folder=tmp_path, timeout=10)

        assert Application.seen == SENT
        assert crowd.done("call") == crowd.requests > 10
        assert crowd.refusals == {}

    def test_counts_refusals_apart(self, base_url: str, tmp_path: Path) -> None:
        crowd = run_k6(
            "calls.js", self.plan(base_url, tmp_path, ["/404"]), folder=tmp_path, timeout=10
        )

        assert crowd.refusals["OTHER"] > 0
        assert crowd.requests == crowd.done("call") + crowd.refusals["OTHER"]

    def test_reads_steps_refusals_and_counters(self) -> None:
        times = {"count": 4, "avg": 2, "med": 1.5, "p(95)": 3, "p(99)": 4, "max": 5}
        report = {
            "state": {"testRunDurationMs": 2_500},
            "metrics": {
                "step_hold": {"values": times},
                "step_pay": {"values": {**times, "count": 0}},
                "refused_SEAT_ALREADY_HELD": {"values": {"count": 7}},
                "refused_NOT_FOUND": {"values": {"count": 0}},
                "counted_expired": {"values": {"count": 0}},
                "http_reqs": {"values": {"count": 11}},
            },
        }

        crowd = read_k6(report)

        assert crowd.seconds == 2.5
        assert (crowd.done("hold"), crowd.done("pay")) == (4, 0)
        assert crowd.refusals == {"SEAT_ALREADY_HELD": 7}
        assert crowd.counters == {"expired": 0}


class TestPgbench:
    def test_reads_the_rate(self) -> None:
        report = "number of failed transactions: 0 (0.000%)\ntps = 428.5 (without initial connection time)\n"

        assert read_pgbench(report) == 428.5

    @pytest.mark.parametrize(
        "report",
        [
            "",
            "number of failed transactions: 2 (0.1%)\ntps = 428.5 (without ...)\n",
            "pgbench: error: client 0 script 0 aborted in command 6\ntps = 428.5 (without ...)\n",
        ],
    )
    def test_refuses_a_run_in_which_something_failed(self, report: str) -> None:
        with pytest.raises(GeneratorFailed):
            read_pgbench(report)


class TestWorkDone:
    target = Target("http://127.0.0.1", lambda: CALLS, expected=201)

    def load(self, **values: object) -> Load:
        plain: dict[str, object] = {"requests": 100, "seconds": 1, "p50": 1, "p95": 1, "p99": 1}
        return Load(**{**plain, **values})  # type: ignore[arg-type]

    def test_is_what_was_answered_as_expected(self) -> None:
        refuse_unless_done(self.load(statuses={"201": 100}), self.target, CALLS)

    @pytest.mark.parametrize(
        "values",
        [
            {"statuses": {"201": 99, "429": 1}},
            {"statuses": {"200": 100}},
            {"refused": 1},
            {"broken": 1},
            {"requests": 0},
            {"is_exhausted": True},
        ],
    )
    def test_anything_else_fails_the_scenario(self, values: dict[str, object]) -> None:
        with pytest.raises(ScenarioFailed):
            refuse_unless_done(self.load(**values), self.target, CALLS)
