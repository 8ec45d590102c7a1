"""Answer an orchestrator and a monitoring system."""

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from apps.core.store import connect


@never_cache
@require_safe
def livez(request: HttpRequest) -> JsonResponse:
    """Answer that the process serves requests, whatever it depends on."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """503 without the database. A dead store is named, but what can be done without it goes on."""
    checks = answering_servers()
    ready = checks["database"]
    body = {"status": "ok" if ready else "unavailable"}
    body |= {name: "ok" if answers else "unavailable" for name, answers in checks.items()}
    return JsonResponse(body, status=200 if ready else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def answering_servers() -> dict[str, bool]:
    """Tell which servers answer at this moment."""
    return {
        "database": _database_answers(),
        "queue_store": _store_answers(settings.QUEUE_URL),
        "broker": _store_answers(settings.BROKER_URL),
        "cache": _store_answers(settings.CACHE_URL),
    }


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        return False
    return True


def _store_answers(url: str) -> bool:
    try:
        with connect(url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
