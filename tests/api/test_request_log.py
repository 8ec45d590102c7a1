"""Each request is one line of the log, whole, with its id; many lines are one write."""

import json
import os
import threading
import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from apps.api import request_log
from apps.api.request_log import LineWriter


class Pipe:
    """A pipe that remembers how it was written to and read."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def lines(self, expected: int, seconds: float = 5.0) -> list[bytes]:
        """Read until there are `expected` lines, or the time is over."""
        os.set_blocking(self.reader, False)
        read, deadline = b"", time.monotonic() + seconds
        while read.count(b"\n") < expected and time.monotonic() < deadline:
            try:
                read += os.read(self.reader, 1_000_000)
            except BlockingIOError:
                time.sleep(0.01)
        return read.splitlines()

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    opened = Pipe()
    yield opened
    opened.close()


class TestLineWriter:
    def test_writes_by_itself_after_a_moment(self, pipe: Pipe) -> None:
        writer = LineWriter(lambda: pipe.writer)

        writer.write(b"one")
        writer.write(b"two")

        assert pipe.lines(2) == [b"one", b"two"]

    def test_starts_again_after_a_pause(self, pipe: Pipe) -> None:
        writer = LineWriter(lambda: pipe.writer)
        writer.write(b"one")
        assert pipe.lines(1) == [b"one"]

        writer.write(b"two")

        assert pipe.lines(1) == [b"two"]

    def test_loses_and_mixes_no_line_of_many_threads(self, pipe: Pipe) -> None:
        writer = LineWriter(lambda: pipe.writer)
        wanted = [
            [b"%d:%d " % (thread, number) + b"x" * 100 for number in range(300)]
            for thread in range(8)
        ]

        def write(lines: list[bytes]) -> None:
            for line in lines:
                writer.write(line)

        threads = [threading.Thread(target=write, args=[lines]) for lines in wanted]
        for thread in threads:
            thread.start()
        found = pipe.lines(8 * 300, seconds=20)

        assert sorted(found) == sorted(chain(*wanted))

    def test_makes_one_write_of_what_came_meanwhile(
        self, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writer, writes = LineWriter(lambda: pipe.writer), []
        write = os.write

        def note(descriptor: int, data: Any) -> int:
            writes.append(len(data))
            return write(descriptor, data)

        monkeypatch.setattr(os, "write", note)
        for _ in range(100):
            writer.write(b"x" * 99)
        writer.flush()

        assert len(pipe.lines(100)) == 100
        assert len(writes) <= 4
        assert max(writes) <= request_log.WRITE_BYTES

    def test_writes_in_a_forked_process_too(self, pipe: Pipe) -> None:
        writer = LineWriter(lambda: pipe.writer)
        writer.write(b"parent")
        assert pipe.lines(1) == [b"parent"]

        child = os.fork()
        if child == 0:
            writer.write(b"child")
            time.sleep(5 * request_log.WRITE_SECONDS)
            os._exit(0)
        os.waitpid(child, 0)

        assert pipe.lines(1) == [b"child"]

    def test_keeps_a_bounded_number_of_lines(
        self, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(request_log, "LINES_MAX", 5)
        monkeypatch.setattr(LineWriter, "_start_if_needed", lambda self: None)
        writer = LineWriter(lambda: pipe.writer)

        for _ in range(6):
            writer.write(b"x")

        assert len(pipe.lines(6)) == 6


@pytest.fixture
def log(pipe: Pipe, monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> Pipe:
    """The log of requests, in JSON and from level INFO."""
    settings.LOG_FORMAT = "json"
    monkeypatch.setattr(request_log, "_writer", LineWriter(lambda: pipe.writer))
    return pipe


@pytest.mark.django_db
class TestLine:
    def test_tells_what_was_asked_and_answered(self, log: Pipe, caplog: Any) -> None:
        caplog.set_level("INFO", logger=request_log.NAME)

        Client().get("/api/v1/concerts?q=x", headers={"X-Request-ID": "r-1"})

        [line] = map(json.loads, log.lines(1))
        assert line.pop("timestamp").endswith("Z")
        assert 0 < line.pop("seconds") < 60
        assert line == {
            "code": 200,
            "request": "GET /api/v1/concerts?q=x",
            "event": "request_finished",
            "request_id": "r-1",
            "level": "info",
            "logger": "encore.requests",
        }

    @pytest.mark.parametrize("path", ["/api/v1/nothing", "/nothing"])
    def test_of_a_refusal_is_a_warning(self, log: Pipe, caplog: Any, path: str) -> None:
        caplog.set_level("INFO", logger=request_log.NAME)

        Client().get(path)

        [line] = map(json.loads, log.lines(1))
        assert (line["code"], line["level"]) == (404, "warning")

    def test_is_left_out_below_the_level(self, log: Pipe, caplog: Any) -> None:
        caplog.set_level("WARNING", logger=request_log.NAME)

        Client().get("/livez")

        assert log.lines(1, seconds=0.5) == []
