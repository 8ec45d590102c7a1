"""On what a result was measured: the machine, the commit, and the versions of everything that took part."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil

from dev.bench.generators import k6_version, wrk_version
from dev.bench.stack import BenchStack

PACKAGES = ("django", "djangorestframework", "granian", "celery", "psycopg", "redis", "hiredis")


def describe(stack: BenchStack) -> dict[str, Any]:
    import redis

    with redis.Redis.from_url(stack.valkey.url) as client:
        store: Any = client.info("server")
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
            "postgres": stack.postgres.version(),
            "valkey": store.get("valkey_version", store["redis_version"]),
            "k6": k6_version(),
            "wrk": wrk_version(),
        },
    }


def commit_of(tree: Path) -> tuple[str, bool]:
    """Return the commit, short, and whether files differ from it; without a repository "unknown"."""
    try:
        commit = _git(tree, "rev-parse", "--short=9", "HEAD")
        return commit, bool(_git(tree, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown", False


def load_average() -> list[float]:
    return [round(average, 2) for average in os.getloadavg()]


def _git(tree: Path, *arguments: str) -> str:
    command = ["git", "-C", str(tree), *arguments]
    return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
