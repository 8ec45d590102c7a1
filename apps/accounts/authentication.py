import re

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.accounts.models import AccessToken, User, token_digest
from apps.accounts.selectors import live_login

# RFC 6750, bounded: nothing longer was ever issued.
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,128}=*)", re.IGNORECASE | re.ASCII)


def bearer_token(header: str) -> str | None:
    """Return the token of an `Authorization` header; None if it has none that we could have issued."""
    bearer = _BEARER.fullmatch(header.strip())
    return bearer[1] if bearer else None


class AccessTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access_token>`, at the cost of one prepared statement.

    A call without the header is anonymous; one with a header that names no live login is refused, even where a login is not
    needed, so that no client takes an ended login for a working one.
    """

    def authenticate(self, request: Request) -> tuple[User, AccessToken] | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        bearer = bearer_token(header)
        token = live_login(token_digest(bearer)) if bearer else None
        if token is None:
            raise AuthenticationFailed
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
