"""The live rooms and the tokens to them, as this installation is configured."""

from functools import cache
from types import TracebackType

from django.conf import settings

from apps.core.errors import ServiceUnavailable
from apps.core.lean_store import script_client
from apps.core.store import StoreUnavailable
from apps.queue.core.room import Room
from apps.queue.core.tokens import TokenSigner

RETRY_AFTER_SECONDS = 2


def live_room(concert_id: int) -> Room:
    return Room(script_client(settings.QUEUE_URL), concert_id)


@cache
def _signer(keys: tuple[tuple[str, bytes], ...]) -> TokenSigner:
    return TokenSigner(keys)


def token_signer() -> TokenSigner:
    return _signer(tuple(settings.QUEUE_TOKEN_KEYS))


class _StoreNeeded:
    """A context manager without the costs of a generator: every call of the crowd enters it."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, StoreUnavailable):
            raise ServiceUnavailable(retry_after=RETRY_AFTER_SECONDS) from error


_store_needed = _StoreNeeded()


def store_needed() -> _StoreNeeded:
    """
    :raises ServiceUnavailable: the store inside does not answer.
    """
    return _store_needed
