from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import JSONRenderer

from apps.api.responses import SUCCESS


def as_problem(body: Mapping[str, Any], status: int) -> dict[str, Any]:
    """Return the same refusal as a problem document (RFC 9457)."""
    return {
        "type": f"urn:encore:problem:{body['code'].lower().replace('_', '-')}",
        "title": body["message"],
        "status": status,
        "code": body["code"],
        **body["data"],
    }


class ProblemJSONRenderer(JSONRenderer):
    """Chosen by `Accept: application/problem+json`; successes stay what they are."""

    media_type = "application/problem+json"
    format = "problem"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        if data["code"] != SUCCESS:
            assert renderer_context is not None
            data = as_problem(data, renderer_context["response"].status_code)
        return super().render(data, accepted_media_type, renderer_context)
