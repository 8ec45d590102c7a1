import os
import subprocess
import sys

import pytest

from dev.bench.cpu import cpu_between, cpu_seconds

# Burns for 0.3 s of processor time in a child that ends, then waits to be told to end itself.
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.3: pass"])
print("done", flush=True)
sys.stdin.read()
"""


class TestCpuSeconds:
    def test_counts_children_that_have_ended(self) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as parent:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "done\n"

            seconds = cpu_seconds({"group": [parent.pid]})["group"]

            parent.communicate("")
        assert 0.25 <= seconds < 3  # the counters tick every 10 ms

    def test_counts_what_has_ended_here_for_the_generator(self) -> None:
        before = cpu_seconds({})["generator"]

        subprocess.run(
            [sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass"], check=True
        )

        assert cpu_seconds({})["generator"] - before >= 0.15

    def test_a_process_that_is_gone_has_used_nothing(self) -> None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()

        assert cpu_seconds({"group": [gone.pid]})["group"] == 0

    def test_adds_up_the_processes_of_a_group(self) -> None:
        one = cpu_seconds({"group": [os.getpid()]})["group"]
        two = cpu_seconds({"group": [os.getpid(), os.getpid()]})["group"]

        assert two >= 2 * one


class TestCpuBetween:
    def test_is_milliseconds_for_one_unit(self) -> None:
        spent = cpu_between({"web": 1.0}, {"web": 3.0}, units=100)

        assert spent["web"] == pytest.approx(20)

    def test_the_service_is_neither_generator_nor_receiver_nor_floor(self) -> None:
        names = ("web", "postgres", "generator", "receiver", "floors")

        spent = cpu_between(dict.fromkeys(names, 0.0), dict.fromkeys(names, 1.0), units=1_000)

        assert spent["service"] == pytest.approx(2)
