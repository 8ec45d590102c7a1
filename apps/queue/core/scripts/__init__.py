"""Loads the Lua scripts and runs them with one round trip each.

Each is told the run id of the server it runs on by a client that knows it, else the empty string: then it asks the server where it
needs it. A script is `clock` + `common.lua` + its own files. It is called by its digest; a server that does not have it yet (new,
restarted, a cluster node seen for the first time) gets the source once, with the same call, so it works on one server and on
a cluster alike.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from redis.exceptions import NoScriptError

# With this line the server refuses a script as a whole when its memory is full, instead of half-way.
SHEBANG = "#!lua\n"
SERVER_CLOCK = Path(__file__).with_name("clock.lua").read_text()


class ScriptClient(Protocol):
    """The commands that the core needs of a redis-py client; both the plain and the cluster client have it.

    A client whose connections know the id of the server process at their other end has an attribute `run_id`: what to pass for it.
    """

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any: ...

    def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any: ...

    def xrange(self, name: Any, min: Any = ..., max: Any = ..., count: int | None = ...) -> Any: ...

    def xdel(self, name: Any, *ids: Any) -> Any: ...


@cache
def source(name: str, clock: str = SERVER_CLOCK, count: str = "") -> str:
    """Return a script; with Lua that defines `count`, one that counts the call first."""
    folder = Path(__file__).parent
    names = ("common", "counted", name) if count else ("common", name)
    parts = [(folder / f"{part}.lua").read_text() for part in names]
    return SHEBANG + clock + count + "\n".join(parts)


@cache
def _digest(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def run(client: ScriptClient, script: str, keys: Sequence[str], *arguments: object) -> Any:
    run_id = getattr(client, "run_id", "")
    try:
        return client.evalsha(_digest(script), len(keys), *keys, run_id, *arguments)
    except NoScriptError:
        return client.eval(script, len(keys), *keys, run_id, *arguments)
