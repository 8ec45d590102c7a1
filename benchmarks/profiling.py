"""Where the time goes: py-spy looks at the processes of the service while a scenario is played once more."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SAMPLES_PER_SECOND = 200
TOP = 25
START_TIMEOUT, END_TIMEOUT = 10.0, 60.0


class ProfilerFailed(Exception):
    """py-spy is not allowed to look at other processes, or something else went wrong. The message is for people."""


@contextmanager
def profiled(groups: Mapping[str, int], files: Mapping[str, Path]) -> Iterator[None]:
    """Record the process tree of each group until the block ends, as folded stacks.

    :raises ProfilerFailed: a recorder ended too early.
    """
    program = str(Path(sys.executable).parent / "py-spy")
    recorders = {
        name: subprocess.Popen(
            [
                # Only threads that hold the interpreter: whoever waits for a server costs nothing here.
                *(program, "record", "--subprocesses", "--gil", "--pid", str(root)),
                *("--rate", str(SAMPLES_PER_SECOND), "--format", "raw"),
                *("--output", str(files[name])),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, root in groups.items()
    }
    try:
        yield
    finally:
        problems = [_finish(name, recorder) for name, recorder in recorders.items()]
    if any(problems):
        raise ProfilerFailed("; ".join(filter(None, problems)))


def _finish(name: str, recorder: "subprocess.Popen[str]") -> str:
    recorder.send_signal(signal.SIGINT)
    try:
        _, errors = recorder.communicate(timeout=END_TIMEOUT)
    except subprocess.TimeoutExpired:
        recorder.kill()
        recorder.communicate()
        return f"{name}: py-spy did not end"
    return f"{name}: {errors.strip()[-300:]}" if recorder.returncode else ""


def top_functions(folded: Iterable[str], *, count: int = TOP) -> list[dict[str, Any]]:
    """Return the functions with the most samples of their own, as `function`, `samples` and `share` of all.

    `folded` are lines of "outermost;...;innermost samples"; a frame is "function (file:line)", and lines of one function count
    together.
    """
    own: Counter[str] = Counter()
    for line in folded:
        stack, _, samples = line.rstrip().rpartition(" ")
        frame = stack.rpartition(";")[2]
        if frame and not frame.startswith(
            "process "
        ):  # that is the process itself: the stack could not be read
            own[_function(frame)] += int(samples)
    total = own.total()
    return [
        {"function": function, "samples": samples, "share": round(samples / total, 4)}
        for function, samples in own.most_common(count)
    ]


def _function(frame: str) -> str:
    """Without the line number, and without what stands before the package's folder."""
    name, _, place = frame.partition(" (")
    file = place.rstrip(")").rpartition(":")[0] or place.rstrip(")")
    return f"{name} ({file.rpartition('site-packages/')[2]})" if file else name


def as_text(rows: Iterable[Mapping[str, Any]]) -> str:
    lines = [f"{row['share']:7.1%}  {row['samples']:>7,}  {row['function']}" for row in rows]
    return "\n".join(["  share  samples  function, by own time", *lines]) + "\n"
