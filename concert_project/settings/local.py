"""A developer's machine: what `make run` starts, and every `manage.py` beside it.

`make run` writes where its servers listen and the secrets it made into two files of `DATA_DIR`; they are read here, so that
a command in another shell joins the running stack without being told anything. The environment wins over both files.
"""

import fcntl
import os
from pathlib import Path

from dotenv import load_dotenv

_data_dir = Path(os.environ.get("DATA_DIR") or Path(__file__).resolve().parents[2] / ".data")


def _is_stack_running() -> bool:
    """Return whether a `make run` holds the lock of the folder; one that was killed leaves its other files behind."""
    try:
        with (_data_dir / "stack.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


if "DATABASE_URL" not in os.environ:
    if not _is_stack_running():
        raise SystemExit(
            f"No stack is running on {_data_dir}. Start one with `make run`. If yours was started on another folder, name that "
            "here, too: DATA_DIR=/path/to/folder. If your servers are elsewhere, name them in DATABASE_URL, QUEUE_URL, CACHE_URL "
            "and BROKER_URL (docs/operations.md)."
        )
    if not (_data_dir / "endpoints.env").exists():
        raise SystemExit(f"The stack on {_data_dir} is still starting. Try again in a moment.")
for _file in ("endpoints.env", "secrets.env"):
    load_dotenv(_data_dir / _file, interpolate=False)

os.environ.setdefault("LOG_FORMAT", "console")

from concert_project.settings.base import *  # noqa: E402, F403

INSTALLED_APPS += ["dev.demo.apps.DemoConfig"]  # noqa: F405
ALLOWED_HOSTS = ["*"]

# Straight from the packages: a developer collects nothing.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True  # or it serves an edited file with the length of the old one
