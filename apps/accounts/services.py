import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import uuid4

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.ended_logins import end_login_copies
from apps.accounts.errors import EmailTaken, InvalidCredentials, StaffAccount
from apps.accounts.models import (
    WALK_UP_DOMAIN,
    AccessToken,
    User,
    normalized_email,
    token_digest,
)
from apps.core.deletion import Deletion, delete_rows, rows_by_key
from apps.core.transactions import requires_transaction, use_case

TOKEN_BYTES = 32
BULK_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """The only place where a token is seen in the clear."""

    user_id: int
    token: str
    expires_at: datetime


def refuse_staff(account: User | AnonymousUser) -> None:
    """
    :raises StaffAccount: it is one, and what follows is for customers.
    """
    if account.is_staff:
        raise StaffAccount


@requires_transaction
def open_walk_up(*, name: str) -> User:
    """Keep a customer of the counter who has no account: nobody can log in as them, and nothing is ever sent there."""
    user = User(email=f"{uuid4().hex}@{WALK_UP_DOMAIN}", name=name)
    user.set_unusable_password()
    user.save(force_insert=True)
    return user


def register_customer(*, email: str, password: str, name: str) -> User:
    """Open an account; the address is kept in lower case.

    :raises EmailTaken: there is an account with this address.
    """
    email = normalized_email(email)
    if User.objects.filter(email=email).exists():
        raise EmailTaken
    user = User(email=email, name=name)
    # Slow on purpose, so not inside the transaction.
    user.set_password(password)
    return _insert_customer(user)


@use_case
def _insert_customer(user: User) -> User:
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        if User.objects.filter(email=user.email).exists():
            raise EmailTaken from None
        raise
    return user


def log_in(*, email: str, password: str) -> IssuedToken:
    """Exchange an address and a password for an access token that lives `ACCESS_TOKEN_LIFETIME`.

    An unknown address costs as much time as a wrong password.

    :raises InvalidCredentials: no active account has this address and this password.
    """
    user = authenticate(username=email, password=password)
    if not isinstance(user, User):
        raise InvalidCredentials
    return _open_session(user)


@use_case
def _open_session(user: User) -> IssuedToken:
    """Issue a token, unless the account has got another password or lost its rights since the password was compared.

    :raises InvalidCredentials: it has.
    """
    now = timezone.now()
    unchanged = User.objects.filter(pk=user.pk, password=user.password, is_active=True)
    if not unchanged.update(last_login=now):
        raise InvalidCredentials
    [issued] = _issue(user_ids=[user.pk], now=now)
    return issued


@use_case
def issue_access_tokens(*, user_ids: Sequence[int]) -> list[IssuedToken]:
    """Tokens for many customers at once, without their passwords: for load tests and drills."""
    return _issue(user_ids=user_ids, now=timezone.now())


def _issue(*, user_ids: Sequence[int], now: datetime) -> list[IssuedToken]:
    expires_at = now + settings.ACCESS_TOKEN_LIFETIME
    issued = [
        IssuedToken(
            user_id=user_id, token=secrets.token_urlsafe(TOKEN_BYTES), expires_at=expires_at
        )
        for user_id in user_ids
    ]
    AccessToken.objects.bulk_create(
        [
            AccessToken(
                user_id=login.user_id,
                token_hash=token_digest(login.token),
                created_at=now,
                expires_at=login.expires_at,
            )
            for login in issued
        ],
        batch_size=BULK_BATCH,
    )
    return issued


@use_case
def log_out(*, access_token_id: int) -> None:
    """Kill one access token. What is dead stays as it is."""
    _revoke([access_token_id])


@use_case
def revoke_access_tokens(*, access_token_ids: Sequence[int]) -> int:
    """Kill these access tokens and say how many were alive."""
    return _revoke(access_token_ids)


def _revoke(access_token_ids: Sequence[int]) -> int:
    now = timezone.now()
    revoked = AccessToken.objects.live(at=now).filter(pk__in=access_token_ids)
    _end_copies_on_commit(revoked)
    return revoked.update(revoked_at=now)


@requires_transaction
def end_login_copies_of(*, user_id: int) -> None:
    """Make the deactivation of an account felt as soon as it is committed, also where its logins are known by a copy."""
    _end_copies_on_commit(AccessToken.objects.live(at=timezone.now()).filter(user=user_id))


@requires_transaction
def delete_accounts(*, ids: Sequence[int], expected: int | None = None) -> Deletion:
    """Delete accounts that have done nothing, with their logins. A call that is at work with one of them at this moment is refused.

    :raises DeletionRefused: something refers to one of them, or they are too many, or not as many as `expected`.
    """
    _end_copies_on_commit(AccessToken.objects.live(at=timezone.now()).filter(user__in=ids))
    return delete_rows(rows_by_key(User, ids), expected=expected)


def _end_copies_on_commit(tokens: QuerySet[AccessToken]) -> None:
    hashes = list(tokens.values_list("token_hash", flat=True))
    if hashes:
        transaction.on_commit(partial(end_login_copies, hashes))
