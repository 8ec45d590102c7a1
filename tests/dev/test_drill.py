"""The whole drill, against a stack of its own: a short one, and one that is interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import httpx
import psutil
import pytest

from dev import api
from dev.api import Api, Kind
from dev.drill.acts import Act, Form, What
from dev.drill.history import Attempt, Call, History
from dev.drill.options import SECONDS
from dev.drill.plan import make_plan
from dev.drill.report import Row, seconds_of_sales
from tests.dev.tools import ROOT, run
from tests.servers import new_folder

DRILL_TIMEOUT = 240.0
SHORT = ("--customers=4", "--seconds=3", "--faults=web-before-commit,beat-killed")


def start(*arguments, temporary=None):
    return subprocess.Popen(
        [sys.executable, "-m", "dev.drill", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary or new_folder())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
class TestDrill:
    def test_kills_and_finds_everything_as_it_was_promised(self, tmp_path):
        temporary = new_folder()

        drill = start(*SHORT, f"--json={tmp_path / 'drill.json'}", temporary=temporary)
        output, errors = drill.communicate(timeout=DRILL_TIMEOUT)

        assert drill.returncode == 0, output + errors
        assert "| fault " in output
        assert "2 faults" in output
        assert ": 0 breaches." in output
        figures = json.loads((tmp_path / "drill.json").read_text())
        killed, beat = sorted(figures["faults"], key=lambda row: row["name"], reverse=True)
        assert (killed["name"], beat["name"]) == ("web-before-commit", "beat-killed")
        assert killed["unknown"] >= 3  # each kill has cut a payment off
        assert killed["had_happened"] + killed["had_not"] == killed["unknown"]
        for row in (killed, beat):
            assert row["sales"] > 0
            assert row["recovery"] > 0
            assert row["internal_errors"] == 0
        assert killed["acts"] or beat["acts"]
        assert list(temporary.iterdir()) == []

    def test_leaves_nothing_behind_when_it_is_ended(self):
        temporary = new_folder()
        drill = start(*SHORT, temporary=temporary)
        deadline = time.monotonic() + 60
        while not list(temporary.glob("*/endpoints.env")) and time.monotonic() < deadline:
            time.sleep(0.05)
        processes = psutil.Process(drill.pid).children(recursive=True)

        drill.send_signal(signal.SIGTERM)
        _output, errors = drill.communicate(timeout=60)

        assert drill.returncode == 130, errors
        assert len(processes) > 3
        assert not [process for process in processes if process.is_running()]


class TestOptions:
    def test_the_plan_is_printed_with_no_stack(self):
        output = run("dev.drill", "--plan", "--faults=broker-frozen").stdout

        [fault] = make_plan(seed=1, names=["broker-frozen"], seconds=SECONDS)
        assert f"{fault.name}  " in output
        assert f"{fault.begins_after:.2f} s" in output


class TestSlowSales:
    def call(self, *attempts):
        return Call(phase="x", user_id=1, request=api.pay("a-hold"), attempts=list(attempts))

    def attempt(self, sent_at, seconds, *, status=201, **changes):
        code = "SUCCESS" if status == 201 else "HOLD_EXPIRED"
        body = f'{{"code": "{code}", "data": {{}}}}'.encode()
        return Attempt(sent_at, seconds, status, body=body, **changes)

    def test_are_those_under_way_while_the_broker_was_frozen(self):
        calls = [
            self.call(self.attempt(8.0, 1.0)),  # over before
            self.call(self.attempt(9.0, 2.5)),
            self.call(self.attempt(11.0, 0.5)),
            self.call(self.attempt(12.0, 3.0, status=409)),  # no sale
            self.call(self.attempt(12.0, 0.1, is_replay=True)),  # sold before
            self.call(self.attempt(21.0, 5.0)),  # begun after
        ]

        assert seconds_of_sales(calls, within=(10.0, 20.0)) == [2.5, 0.5]
        assert seconds_of_sales(calls) == [1.0, 2.5, 0.5, 5.0]


class TestHistory:
    def test_knows_which_calls_under_way_have_had_no_answer_yet(self):
        history, seen = History(), []
        call = Call(phase="x", user_id=1, request=api.pay("a-hold"))

        def answer(_request):
            seen.append((history.under_way(Kind.CONFIRM), history.first_under_way(Kind.CONFIRM)))
            return httpx.Response(201)

        with httpx.Client(base_url="http://drill", transport=httpx.MockTransport(answer)) as client:
            for _ in range(2):  # the second time as a reload of the page would
                history.send(call, Api(client))

        assert seen == [([call], [call]), ([call], [])]


class TestRow:
    def test_counts_how_unknown_calls_settled(self):
        lost = Attempt(0.0, 0.1, None)
        done = Attempt(1.0, 0.2, 201, body=b'{"code": "SUCCESS", "data": {}}')
        replayed = Attempt(1.0, 0.2, 201, body=done.body, is_replay=True)
        charge = partial(Call, phase="x", user_id=1, request=api.charge(1_000))
        calls = [
            charge(attempts=attempts)
            for attempts in ([lost, replayed], [lost, done], [done], [lost])
        ]

        row = Row.of(
            name="x", title="X", calls=calls, recovery=1.5, revived={}, breaches=["one breach"]
        )

        assert (row.calls, row.unknown, row.had_happened, row.had_not) == (4, 3, 1, 2)

    def test_counts_acts_of_staff_and_not_the_pages_that_they_load(self):
        act = partial(Act, "POST", "/admin/x/", what=What.PAUSE, reason="drill:x:2:1")
        of_staff = partial(Call, phase="x", user_id=2)
        refused = Attempt(1.0, 0.2, 409, body=b'{"code": "FORM_REFUSED", "data": null}')
        done = Attempt(1.0, 0.2, 200, body=b'{"code": "SUCCESS", "data": {}}')
        lost = Attempt(0.0, 0.1, None)
        calls = [
            of_staff(request=Form("GET", "/admin/x/"), attempts=[done]),
            of_staff(request=act(), attempts=[done]),
            of_staff(request=act(), attempts=[lost, replace(done, is_replay=True)]),
            of_staff(request=act(), attempts=[refused]),
        ]

        row = Row.of(name="x", title="X", calls=calls, recovery=1.5, revived={}, breaches=[])

        assert (row.calls, row.acts, row.acts_refused, row.acts_unknown) == (0, {"pause": 2}, 1, 1)
        assert (row.refused, row.unknown, row.had_happened) == ({}, 1, 1)
