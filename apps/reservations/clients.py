"""The outside data platform, told by signed messages (Standard Webhooks 1.0)."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import structlog
from django.conf import settings
from standardwebhooks import Webhook

HTTP_TIMEOUT = httpx.Timeout(settings.WEBHOOK_TIMEOUT, connect=min(settings.WEBHOOK_TIMEOUT, 2.0))


def post_message(
    *, message_id: UUID, type: str, occurred_at: datetime, data: dict[str, Any]
) -> httpx.Response:
    """POST one message to `WEBHOOK_URL`, signed with every secret of `WEBHOOK_SECRETS`; redirects are not followed.

    `message_id` is what the receiver recognizes a repetition by.

    :raises httpx.TransportError: no answer came.
    """
    body = json.dumps({"type": type, "timestamp": occurred_at.isoformat(), "data": data})
    sent_at = datetime.now(UTC)
    signatures = [
        Webhook(secret).sign(str(message_id), sent_at, body) for secret in settings.WEBHOOK_SECRETS
    ]
    headers = {
        "content-type": "application/json",
        "webhook-id": str(message_id),
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id:
        headers["x-request-id"] = request_id
    return httpx.post(
        settings.WEBHOOK_URL,
        content=body,
        headers=headers,
        timeout=HTTP_TIMEOUT,
        follow_redirects=False,
    )
