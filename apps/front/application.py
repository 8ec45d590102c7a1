"""The WSGI application in front of Django's."""

import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog
from django.db import close_old_connections

from apps.api.middleware import usable_request_id
from apps.api.request_log import log_request
from apps.core.errors import DomainError
from apps.front.answers import STATUS_LINES, Answer, Header, HeadersLearned
from apps.front.calls import Call, Circumstances, Reception
from apps.front.routes import Route, find_route
from apps.front.sales import SALES

logger = structlog.get_logger(__name__)

CONNECTION_SECONDS = 1.0

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class Front:
    """Answers usual calls of the crowd; hands all others to Django as they came.

    The first call of a kind in a process is Django's, too: its answer teaches the headers of those that follow. So what settings
    and middleware say holds here without being said a second time.
    """

    def __init__(self, django: WSGIApplication) -> None:
        self._django = django
        self._reception = Reception()
        self._headers = HeadersLearned()
        self._of_thread = threading.local()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        sale = SALES.get((method, path))
        found = (sale, 0) if sale else find_route(method, path)
        if found is None or not found[0].is_usual(environ):
            return self._django(environ, start_response)
        circumstances = self._reception.circumstances_of(environ)
        if circumstances is None:
            return self._django(environ, start_response)

        route, number = found
        if self._headers.of(_kind(route, circumstances, 200)) is None:
            return self._teach(route, circumstances, environ, start_response)
        began_at = time.perf_counter()
        request_id = usable_request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        answer = route.answer_at_hand and route.answer_at_hand(environ, number)
        if not answer:
            answer = self._answer(route, number, Call(environ, circumstances.language), request_id)
        headers = answer and self._headers.of(_kind(route, circumstances, answer.status))
        if not answer or not headers:
            # Whatever was logged and whatever Django will log are of one request.
            environ["HTTP_X_REQUEST_ID"] = request_id
            return self._teach(route, circumstances, environ, start_response)
        start_response(
            STATUS_LINES[answer.status],
            [
                *headers,
                *answer.headers,
                ("Content-Length", str(len(answer.body))),
                ("X-Request-ID", request_id),
            ],
        )
        log_request(
            request_id=request_id,
            method=method,
            path=path,
            status=answer.status,
            seconds=time.perf_counter() - began_at,
        )
        return [answer.body]

    def _answer(self, route: Route, number: int, call: Call, request_id: str) -> Answer | None:
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            self._close_old_connections()
            return route.answer(call, number)
        except DomainError:
            return None
        except Exception:
            # Django is asked next, and says what there is to say to the caller.
            logger.warning("front_failed", route=route.name, exc_info=True)
            close_old_connections()
            return None
        finally:
            structlog.contextvars.unbind_contextvars("request_id")

    def _close_old_connections(self) -> None:
        """Do what Django does before and after each request, often enough: it is about minutes, and about failures."""
        now = time.monotonic()
        if now - getattr(self._of_thread, "looked_at", 0.0) >= CONNECTION_SECONDS:
            self._of_thread.looked_at = now
            close_old_connections()

    def _teach(
        self,
        route: Route,
        circumstances: Circumstances,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        """Let Django answer, and learn the headers of what the front may answer itself."""

        def start_and_learn(
            status: str, headers: list[Header], exc_info: ExceptionInfo | None = None
        ) -> Any:
            code = int(status[:3])
            if code in STATUS_LINES:
                self._headers.learn(_kind(route, circumstances, code), headers)
            return start_response(status, headers, exc_info)

        return self._django(environ, start_and_learn)


def _kind(
    route: Route, circumstances: Circumstances, status: int
) -> tuple[str, int, Circumstances]:
    """Answers with the same headers: a place is told alike whether it is new or not."""
    return route.name, status if status >= 300 else 200, circumstances
