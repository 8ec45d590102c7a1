"""Passes with which pages fetch their figures again, so that fifty members of staff who look every other second ask for no login.

A page that was opened with a login and the right to see it carries a pass: who it is for and what that account may see, signed, and good with
the session cookie of its browser only. Beyond its first seconds it counts for nothing but the name: what the account may see *now* is read
every few seconds for all who look, in one query (`readings/house.py`), so a right that is taken away ends the figures at once.
"""

import hashlib
import time

import redis
from django.conf import settings
from django.core import signing
from django.http import HttpRequest

from apps.accounts.models import User
from apps.boxoffice.rights import Rights, rights_of
from apps.core.lean_store import script_client

HEADER = "X-Figures-Pass"
PASS_SECONDS = 3_600  # then the login is asked for again
# Believe a pass for so long without a reading of rights: above the time between two of them.
BELIEVED_SECONDS = 40.0
_SALT = "apps.boxoffice.passes"
_VIEWERS = "boxoffice:viewers"


def issue_pass(request: HttpRequest) -> str:
    """Return a pass for the account that is logged in, and have its rights looked after."""
    user = request.user
    assert isinstance(user, User)
    now = time.time()
    try:
        client = script_client(settings.CACHE_URL)
        client.execute_command("ZADD", _VIEWERS, now + PASS_SECONDS, user.pk)
    except redis.RedisError:
        pass  # the login is asked for again as soon as the pass is no longer believed
    return signing.dumps([user.pk, now, *rights_of(user)], salt=_salt(request))


def rights_by_pass(request: HttpRequest, known: dict[str, list[bool]] | None) -> Rights | None:
    """Return what the bearer of a pass may see; None if the login has to be asked.

    `known` are rights as they were read last, by id of the account.
    """
    try:
        user_id, issued_at, *rights = signing.loads(
            request.headers.get(HEADER, ""), salt=_salt(request), max_age=PASS_SECONDS
        )
    except signing.BadSignature:
        return None
    if known is not None and (now := known.get(str(user_id))) is not None:
        return Rights(*now)
    return Rights(*rights) if time.time() - issued_at < BELIEVED_SECONDS else None


def viewers() -> list[int]:
    """Return the ids of the accounts that have a pass; none while the store is away."""
    client = script_client(settings.CACHE_URL)
    try:
        client.execute_command("ZREMRANGEBYSCORE", _VIEWERS, "-inf", time.time())
        return [int(user_id) for user_id in client.execute_command("ZRANGE", _VIEWERS, 0, -1)]
    except redis.RedisError:
        return []


def _salt(request: HttpRequest) -> str:
    session = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    return f"{_SALT}:{hashlib.sha256(session.encode()).hexdigest()}"
