import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpResponse
from django.utils.functional import Promise, cached_property

from apps.shared.api.responses import SUCCESS, as_json, envelope
from apps.shared.api.views import ApiView
from apps.shared.errors import IdempotencyKeyRequired
from apps.shared.idempotency import StoredAnswer, run_once, stored_answer
from apps.shared.transactions import Decision

T = TypeVar("T")

_USABLE_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")


class IdempotentView(ApiView):
    """A view whose effect happens once for each `Idempotency-Key`."""

    def once(
        self,
        decide: Callable[[], Decision[T]] | None = None,
        *,
        effect: Callable[[], T] | None = None,
        render: Callable[[T], tuple[int, str | Promise, Any]],
        required: bool = True,
    ) -> HttpResponse:
        """Have an effect in its own transaction and answer with `render(result)`: status, message and data.

        `decide` and `effect` are as for `run_once`. Without `required`, a call that brings no key simply runs.

        :raises IdempotencyKeyRequired: no key, or one that is not 1 to 255 printable characters.
        """
        key = self._key()
        if key is None and required:
            raise IdempotencyKeyRequired

        def rendered(result: T) -> tuple[int, bytes]:
            status, message, data = render(result)
            return status, as_json(envelope(SUCCESS, message, data))

        answer = run_once(
            customer_id=self.customer_id,
            endpoint=type(self).__name__,
            key=key,
            fingerprint=self._fingerprint if key else "",
            decide=decide,
            effect=effect,
            render=rendered,
        )
        return _as_response(answer)

    def replay(self) -> HttpResponse | None:
        """The answer that a call with this key was given before; None if there was none.

        For views that would refuse today what they did then.
        """
        key = self._key()
        if key is None:
            return None
        answer = stored_answer(
            customer_id=self.customer_id,
            endpoint=type(self).__name__,
            key=key,
            fingerprint=self._fingerprint,
        )
        return _as_response(answer) if answer else None

    def _key(self) -> str | None:
        """:raises IdempotencyKeyRequired: it is not 1 to 255 printable characters."""
        key = self.request.headers.get("Idempotency-Key")
        if key is not None and not _USABLE_KEY.fullmatch(key):
            raise IdempotencyKeyRequired
        return key

    @cached_property
    def _fingerprint(self) -> str:
        asked = [self.request.method, self.request.path_info, self.request.data]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _as_response(answer: StoredAnswer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status, content_type="application/json")
    if answer.is_replay:
        response["Idempotent-Replayed"] = "true"
    return response
