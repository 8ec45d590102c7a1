import re

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.accounts.models import AccessToken, User
from apps.accounts.services import token_digest

# RFC 6750, bounded: nothing longer was ever issued.
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,128}=*)", re.IGNORECASE | re.ASCII)


class AccessTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access_token>`, at the cost of one query.

    A call without the header is anonymous; one with a header that names no live login is refused, even where a login is not
    needed, so that nobody takes an ended login for a working one.
    """

    def authenticate(self, request: Request) -> tuple[User, AccessToken] | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        bearer = _BEARER.fullmatch(header.strip())
        if bearer is None:
            raise AuthenticationFailed
        token = (
            AccessToken.objects.live(at=timezone.now())
            .filter(token_hash=token_digest(bearer[1]), user__is_active=True)
            .select_related("user")
            .first()
        )
        if token is None:
            raise AuthenticationFailed
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
