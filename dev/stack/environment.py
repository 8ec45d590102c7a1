"""Environment of the processes of a stack: secrets that are made once, and where servers listen."""

import base64
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values


def new_secrets() -> dict[str, str]:
    """Return fresh values for every secret that the settings ask for."""
    queue_token_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    webhook_secret = base64.b64encode(secrets.token_bytes(32)).decode()
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "QUEUE_TOKEN_KEYS": f"k1:{queue_token_key}",
        "WEBHOOK_SECRETS": f"whsec_{webhook_secret}",
    }


def settings_without_servers() -> dict[str, str]:
    """Return what the settings ask for, leading nowhere: for commands that bring their own servers."""
    nowhere = dict.fromkeys(("QUEUE_URL", "CACHE_URL", "BROKER_URL"), "redis://127.0.0.1:1/0")
    return {**new_secrets(), **nowhere, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of `path`, none if it does not exist."""
    return {key: value for key, value in dotenv_values(path, interpolate=False).items() if value}


def remove(path: Path) -> None:
    """Remove whatever is there, a folder with all of it; what is not there is removed already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def write_env_file(path: Path, values: Mapping[str, str], *, comment: str) -> None:
    """Replace `path` in one step; only its owner may read it."""
    unfinished = path.with_suffix(".unfinished")
    remove(unfinished)
    lines = [f"# {comment}", *(f"{key}={value}" for key, value in values.items())]
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
    unfinished.replace(path)


def stack_secrets(data_dir: Path) -> dict[str, str]:
    """Return the secrets of the stack in `data_dir`, made on its first start.

    The passwords of the embedded servers are among them: loopback is shared by every user of a
    machine, and a superuser of PostgreSQL can start programs as its owner.
    """
    path = data_dir / "secrets.env"
    known = read_env_file(path)
    wanted = {
        **new_secrets(),
        "EMBEDDED_POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        "EMBEDDED_APPLICATION_PASSWORD": secrets.token_urlsafe(24),
        "EMBEDDED_VALKEY_PASSWORD": secrets.token_urlsafe(24),
    }
    if wanted.keys() - known.keys():
        known = {**wanted, **known}
        write_env_file(path, known, comment="Made by `make run` for this machine; keep it private.")
    return known
