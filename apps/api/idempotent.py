import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.http import HttpResponse
from django.utils.functional import Promise, cached_property

from apps.api.idempotency import StoredAnswer, idempotent, stored_answer
from apps.api.operations import Operation
from apps.api.responses import SUCCESS, as_json, envelope
from apps.api.views import ApiView
from apps.core.errors import IdempotencyKeyRequired
from apps.core.transactions import Steps

T = TypeVar("T")

# In the environment of a call whose effect was tried before Django saw it, and may have been had: the exception that ended it.
FAILURE = "encore.failure"

_USABLE_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")


def usable_key(key: str) -> bool:
    return _USABLE_KEY.fullmatch(key) is not None


def fingerprint_of(method: str, path: str, body: Any) -> str:
    """Return what is the same for equal requests only, whatever the order of the fields; `body` is JSON that was read."""
    asked = json.dumps([method, path, body], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


class IdempotentView(ApiView):
    """A view whose effect happens once for each `Idempotency-Key`, under the name of `idempotent_as`."""

    idempotent_as: ClassVar[Operation]

    def once(
        self,
        decide: Callable[[], Steps[T]] | None = None,
        *,
        effect: Callable[[], T] | None = None,
        render: Callable[[T], tuple[int, str | Promise, Any]],
        required: bool = True,
        admit: Callable[[], object] = lambda: None,
    ) -> HttpResponse:
        """Have an effect in its own transaction and answer with `render(result)`: status, message and data.

        `decide` and `effect` are as for `idempotent`. Without `required`, a call that brings no key simply runs. `admit` may refuse;
        it is called before anything is said about the key or another call with it.

        :raises IdempotencyKeyRequired: no key, or one that is not 1 to 255 printable characters.
        """
        failure: Exception | None = self.request.META.pop(FAILURE, None)
        if failure is not None:
            raise failure
        key = self.key(required=required, admit=admit)

        def rendered(result: T) -> tuple[int, bytes]:
            status, message, data = render(result)
            return status, as_json(envelope(SUCCESS, message, data))

        answer = idempotent(
            customer_id=self.customer_id,
            operation=self.idempotent_as,
            key=key,
            fingerprint=self._fingerprint if key else "",
            decide=decide,
            effect=effect,
            render=rendered,
            admit=admit,
        )
        return _as_response(answer)

    def replay(self, key: str) -> HttpResponse | None:
        """The answer that a call with this key was given before; None if there was none.

        For views that would refuse today what they did then.
        """
        answer = stored_answer(
            customer_id=self.customer_id,
            operation=self.idempotent_as,
            key=key,
            fingerprint=self._fingerprint,
        )
        return _as_response(answer) if answer else None

    def key(
        self, *, required: bool = False, admit: Callable[[], object] = lambda: None
    ) -> str | None:
        """
        :raises IdempotencyKeyRequired: it is missing, or not 1 to 255 printable characters.
        """
        key = self.request.headers.get("Idempotency-Key")
        if required if key is None else not usable_key(key):
            admit()
            raise IdempotencyKeyRequired
        return key

    @cached_property
    def _fingerprint(self) -> str:
        request = self.request
        return fingerprint_of(request.method or "", request.path_info, request.data)


def _as_response(answer: StoredAnswer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status, content_type="application/json")
    if answer.is_replay:
        response["Idempotent-Replayed"] = "true"
    return response
