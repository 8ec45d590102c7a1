"""A developer's machine: what `make run` starts, and every `manage.py` beside it.

`make run` writes where its servers listen and the secrets it made into two files of `DATA_DIR`; they are read here, so that
a command in another shell joins the running stack without being told anything. The environment wins over both files.
"""

import os
from pathlib import Path

from dotenv import load_dotenv

_data_dir = Path(os.environ.get("DATA_DIR", Path(__file__).resolve().parents[2] / ".data"))
for _file in ("endpoints.env", "secrets.env"):
    load_dotenv(_data_dir / _file, interpolate=False)

if "DATABASE_URL" not in os.environ:
    raise SystemExit(
        f"No stack is running: {_data_dir}/endpoints.env does not exist. Start one with `make run`, "
        "or name your servers in DATABASE_URL, QUEUE_URL, CACHE_URL and BROKER_URL (docs/operations.md)."
    )

os.environ.setdefault("LOG_FORMAT", "console")

from concert_project.settings.base import *  # noqa: E402, F403

DEMO_ALLOWED = True
ALLOWED_HOSTS = ["*"]

# Straight from the packages: whoever develops collects nothing.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True  # or it serves an edited file with the length of the old one
