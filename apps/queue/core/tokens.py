"""Queue tokens: a place in one waiting room, signed so that only this service can have written it.

    q1.<key id>.<payload>.<signature>

The payload is base64url of decimal numbers joined by colons, the signature base64url of an HMAC-SHA256 (RFC 2104) over all
that stands before it. Keys are rotated by putting a new one in front: the first signs, all verify. Tokens are read strictly:
there is one way to write the claims, so an altered token never passes as the same one.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

VERSION = "q1"
LONGEST = 512
_PAYLOAD = re.compile(r"(?:0|[1-9][0-9]{0,18})(?::(?:0|[1-9][0-9]{0,18})){6}")


class InvalidToken(Exception):
    """Not a token, or not one that a key of ours has signed."""


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """Hold what a token says. Times are microseconds by the store's clock.

    `slot` is 0 for a place that was drawn by lottery: it stays secret, and the room can draw it again. `lease_until` and
    `admitted_at` are 0 until the visitor has been ACTIVE.
    """

    concert_id: int
    customer_id: int
    slot: int
    generation: int
    issued_at: int
    lease_until: int = 0
    admitted_at: int = 0


_NUMBERS = attrgetter(*(field.name for field in fields(TokenClaims)))


class TokenSigner:
    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        """`keys` are pairs of a key id and a secret, the one to sign with first."""
        # Begun once for each key; a signature goes on from a copy.
        self._keys = {key_id: hmac.new(secret, digestmod="sha256") for key_id, secret in keys}
        self._signing_key_id = keys[0][0]

    def issue(self, claims: TokenClaims) -> str:
        payload = _encode(":".join(map(str, _NUMBERS(claims))).encode())
        signed = f"{VERSION}.{self._signing_key_id}.{payload}"
        return f"{signed}.{self._signature(self._signing_key_id, signed)}"

    def read(self, token: str) -> TokenClaims:
        """
        :raises InvalidToken: forged, altered, or signed by a key that is no longer known.
        """
        signed, _, signature = token.rpartition(".")
        parts = signed.split(".")
        if len(token) > LONGEST or len(parts) != 3 or not token.isascii():
            raise InvalidToken
        version, key_id, payload = parts
        if version != VERSION or key_id not in self._keys:
            raise InvalidToken
        if not hmac.compare_digest(self._signature(key_id, signed), signature):
            raise InvalidToken
        try:
            text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode("ascii")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InvalidToken from error
        if not _PAYLOAD.fullmatch(text):
            raise InvalidToken
        return TokenClaims(*map(int, text.split(":")))

    def is_current(self, token: str) -> bool:
        """Return whether the key that signs today has signed it."""
        return token.split(".", 2)[1] == self._signing_key_id

    def _signature(self, key_id: str, signed: str) -> str:
        mac = self._keys[key_id].copy()
        mac.update(signed.encode())
        return _encode(mac.digest())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
