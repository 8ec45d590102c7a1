"""Tools of `dev` as programs of their own, which know nothing of the servers of the tests."""

import os
import subprocess
import sys
from pathlib import Path

from dev.stack.throwaway import KEPT

ROOT = Path(__file__).resolve().parents[2]


def run(module: str, *arguments: str, timeout: float = 400.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={name: os.environ[name] for name in KEPT if name in os.environ},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
