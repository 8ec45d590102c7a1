"""Profile: py-spy looks at the processes of the service while a scenario is played once more."""

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
END_TIMEOUT = 60.0

Cost = dict[str, Any]


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
                # Only threads that hold the interpreter: one that waits for a server costs nothing here.
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


def top_costs(folded: Iterable[str], *, count: int = TOP) -> dict[str, list[Cost]]:
    """Return the `functions` and the `packages` with the most samples of their own, as `name`, `samples` and `share` of all.

    `folded` are lines of "outermost;...;innermost samples"; a frame is "function (file:line)", and lines of one function count
    together. A package is the folder that a function's file lies in, two levels deep at most.
    """
    functions: Counter[str] = Counter()
    packages: Counter[str] = Counter()
    for line in folded:
        stack, _, samples = line.rstrip().rpartition(" ")
        frame = stack.rpartition(";")[2]
        if frame and not frame.startswith(
            "process "
        ):  # that is no frame: the stack could not be read
            name, file = _parts(frame)
            functions[f"{name} ({file})" if file else name] += int(samples)
            packages[_package(file)] += int(samples)
    return {"functions": _top(functions, count), "packages": _top(packages, count)}


def _parts(frame: str) -> tuple[str, str]:
    """Return function and file, without the line number and what stands before the package's folder."""
    name, _, place = frame.partition(" (")
    place = place.rstrip(")")
    return name, (place.rpartition(":")[0] or place).rpartition("site-packages/")[2]


def _package(file: str) -> str:
    folders = file.split("/")[:-1]
    return "/".join(folders[:2]) or "Python itself"


def _top(samples: Counter[str], count: int) -> list[Cost]:
    total = samples.total()
    return [
        {"name": name, "samples": number, "share": round(number / total, 4)}
        for name, number in samples.most_common(count)
    ]


def as_text(costs: Mapping[str, Iterable[Cost]]) -> str:
    lines = []
    for kind, rows in costs.items():
        lines += [f"  share  samples  {kind}, by own time"]
        lines += [f"{row['share']:7.1%}  {row['samples']:>7,}  {row['name']}" for row in rows]
        lines += [""]
    return "\n".join(lines)
