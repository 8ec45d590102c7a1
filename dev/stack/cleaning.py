"""Remove what `make run` has made in a data folder, and nothing else.

    python dev/stack/cleaning.py

`DATA_DIR` names the folder, as it does for `make run`. What lies beside the files of the stack stays, and so does the folder then.
Only the standard library, so that it also works without `.venv`.
"""

import fcntl
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = "stack.lock"  # the first file that a stack makes, and the last that goes
# Where the PostgreSQL of root lives when other users may not enter the data folder; see `dev.stack.servers`.
ROOT_HOME = Path("/var/lib/encore")
MADE = (
    *("celerybeat-schedule*", "demo_logins.json", "endpoints.*", "heartbeats", "logs", "postgres"),
    *("secrets.*", "static", "valkey", LOCK),
)


def main() -> int:
    """Return 1 if the folder is none of a stack, or of one that runs."""
    named = Path(os.environ.get("DATA_DIR") or ROOT / ".data")
    folder = named.resolve()
    if not folder.exists():
        return 0
    try:
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clean(folder)
    except BlockingIOError:
        return _refuse(f"A stack runs on {folder}. Stop it first.")
    except (FileNotFoundError, NotADirectoryError):
        return _refuse(
            f"{folder} is no folder of `make run`: it has no {LOCK}. Nothing is removed."
        )
    except OSError as error:
        return _refuse(f"Not everything could be removed: {error}.")
    if folder.exists():
        print(f"{folder} stays: it holds more than `make run` has made.")
    elif named.is_symlink():
        named.unlink()
    return 0


def clean(folder: Path) -> None:
    """Remove the files of a stack, and the folder if it is empty then."""
    postgres = folder / "postgres"
    if postgres.is_symlink() and postgres.resolve().parent == ROOT_HOME:
        shutil.rmtree(postgres.resolve(), ignore_errors=True)
    for path in [path for pattern in MADE for path in folder.glob(pattern)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    with suppress(OSError):
        folder.rmdir()


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
