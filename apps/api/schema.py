"""OpenAPI for views that answer with the envelope.

`@operation` says of a view method what cannot be read from its code; `EnvelopeAutoSchema` adds what follows from the rest:
the envelope, the codes of every refusal, the headers, login and limits. `share_parts` moves what many operations answer alike into
the components.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

from django.utils.functional import Promise
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.permissions import AllowAny

from apps.api.pagination import PAGE_PARAMETERS
from apps.api.responses import SUCCESS
from apps.api.views import ApiView
from apps.core.codes import CODES, ErrorCode
from apps.core.errors import DomainError

EXAMPLE = "Example"  # of a request or a success, which is one operation's own

SerializerClass = type[serializers.BaseSerializer[Any]]
Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(frozen=True)
class OperationDescription:
    summary: str
    description: str = ""
    request: SerializerClass | None = None
    response: SerializerClass | None = None
    status: int | tuple[int, ...] = 200
    errors: Sequence[type[DomainError] | str] = ()
    message: str | Promise = ""
    paginated: bool = False
    queue_token: bool = False
    idempotency_key: Literal["required", "optional"] | None = None
    query: Sequence[OpenApiParameter] = ()
    examples: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()
    media_type: str = "application/json"
    conditional: bool = False

    @property
    def statuses(self) -> tuple[int, ...]:
        return (self.status,) if isinstance(self.status, int) else self.status

    @property
    def error_codes(self) -> list[str]:
        return [error if isinstance(error, str) else error.code for error in self.errors]


def operation(summary: str, **attributes: Any) -> Callable[[Method], Method]:
    """Describe one view method; the keywords are the fields of `OperationDescription`.

    `errors` are its business refusals (classes or codes), `examples` may have a `request` and a `response` (the `data` of the
    envelope), `conditional` says that it answers 304 to a matching `If-None-Match`.
    """

    def decorate(method: Method) -> Method:
        method.operation = OperationDescription(summary, **attributes)  # type: ignore[attr-defined]
        return method

    return decorate


class EnvelopeAutoSchema(AutoSchema):
    @property
    def operation(self) -> OperationDescription:
        described: OperationDescription = getattr(self.view, self.method.lower()).operation
        return described

    def get_operation_id(self) -> str:
        return re.sub(r"\W+", "_", self.operation.summary.lower()).strip("_")

    def get_summary(self) -> str:
        return self.operation.summary

    def get_description(self) -> str:  # type: ignore[override]
        return self.operation.description

    def get_tags(self) -> list[str]:
        return list(self.operation.tags) or super().get_tags()

    def get_request_serializer(self) -> Any:
        return self.operation.request

    def get_override_parameters(self) -> list[Any]:
        described = self.operation
        parameters = [*described.query]
        if described.paginated:
            parameters += PAGE_PARAMETERS
        if described.queue_token:
            parameters.append(QUEUE_TOKEN_HEADER)
        if described.idempotency_key:
            parameters.append(_idempotency_key_header(described.idempotency_key == "required"))
        if described.conditional:
            parameters.append(IF_NONE_MATCH_HEADER)
        return parameters + RESPONSE_HEADERS

    def get_examples(self) -> list[OpenApiExample]:
        example = self.operation.examples.get("request")
        return [OpenApiExample(EXAMPLE, example, request_only=True)] if example else []

    def get_response_serializers(self) -> Any:
        described = self.operation
        responses: dict[Any, Any] = {
            (status, described.media_type): OpenApiResponse(
                self._success_schema(),
                str(described.message or described.summary),
                self._examples(),
            )
            for status in described.statuses
        }
        if described.conditional:
            responses[304] = OpenApiResponse(None, "Not modified.")
        by_status: dict[int, list[ErrorCode]] = {}
        for code in self._codes():
            by_status.setdefault(CODES[code].status, []).append(CODES[code])
        for status, entries in sorted(by_status.items()):
            description = ", ".join(f"`{entry.code}`" for entry in entries)
            responses[status, "application/json"] = OpenApiResponse(
                self._refusal_schema(entries), description, [_envelope_example(e) for e in entries]
            )
            responses[status, "application/problem+json"] = OpenApiResponse(
                self._problem_schema(entries), description
            )
        return responses

    def _refusal_schema(self, entries: Sequence[ErrorCode]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["code", "message", "data"],
            "properties": {
                "code": _code_schema(entries),
                "message": {"type": "string"},
                "data": self._component("RefusalDetails", _DETAILS_SCHEMA),
            },
        }

    def _problem_schema(self, entries: Sequence[ErrorCode]) -> dict[str, Any]:
        problem = self._component("Problem", _PROBLEM_SCHEMA)
        return {"allOf": [problem, {"properties": {"code": _code_schema(entries)}}]}

    def _component(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a reference to a schema that many answers share."""
        component = ResolvedComponent(  # type: ignore[no-untyped-call]
            name, ResolvedComponent.SCHEMA, schema, object=name
        )
        self.registry.register_on_missing(component)
        ref: dict[str, Any] = component.ref
        return ref

    def _success_schema(self) -> Any:
        described = self.operation
        if described.media_type != "application/json":
            return {"type": "string"}
        return _answer_serializer(described.response, described.paginated)  # type: ignore[arg-type]

    def _examples(self) -> list[OpenApiExample]:
        data = self.operation.examples.get("response")
        if data is None:
            return []
        value = {"code": SUCCESS, "message": str(self.operation.message), "data": data}
        return [OpenApiExample(EXAMPLE, value, response_only=True)]

    def _codes(self) -> list[str]:
        """Return the codes of the operation, then those that any operation of its kind may give."""
        described = self.operation
        codes = described.error_codes
        has_query = any(
            parameter.location == OpenApiParameter.QUERY for parameter in described.query
        )
        has_input = described.request or has_query or described.paginated
        has_body = self.method in ("POST", "PUT", "PATCH", "DELETE")
        if has_input:
            codes.append("VALIDATION_ERROR")
        if has_body:
            codes += ["MALFORMED_REQUEST", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"]
        if described.queue_token:
            codes += ["QUEUE_TOKEN_REQUIRED", "QUEUE_TOKEN_INVALID"]
        if described.idempotency_key:
            codes += ["IDEMPOTENCY_KEY_REQUIRED", "IDEMPOTENCY_KEY_IN_USE"]
            codes += ["IDEMPOTENCY_KEY_REUSED"]
        if not any(isinstance(permission, AllowAny) for permission in self.view.get_permissions()):
            codes.append("AUTHENTICATION_REQUIRED")
        if cast(ApiView, self.view).rate_limit_of(self.method):
            codes.append("RATE_LIMITED")
        if "{" in self.path:
            codes.append("NOT_FOUND")  # what is no id at all names no path
        codes += ["NOT_ACCEPTABLE", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE"]
        return list(dict.fromkeys(codes))


def share_parts(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """Move each refusal, header and example that stands in several answers into the components, and refer to it.

    A hook of drf-spectacular for the finished document. Everything in a refusal follows from its codes, so these name the
    component; a header and the example of a code have one name everywhere.
    """
    answers = [
        (operation["responses"], status)
        for methods in result["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
    ]
    refusals = [
        (responses, status, _name_of_codes(responses[status]["description"]))
        for responses, status in answers
        if int(status) >= 400
    ]
    shared = {"responses": _share("responses", refusals)}
    written = [responses[status] for responses, status in answers] + [*shared["responses"].values()]
    parts = {
        "headers": [answer.get("headers", {}) for answer in written],
        "examples": [
            content.get("examples", {})
            for answer in written
            for content in answer.get("content", {}).values()
        ],
    }
    for kind, holders in parts.items():
        uses = [(holder, name, name) for holder in holders for name in holder if name != EXAMPLE]
        shared[kind] = _share(kind, uses)
    result["components"] = shared | result["components"]
    return result


def _share(kind: str, uses: Sequence[tuple[dict[str, Any], str, str]]) -> dict[str, Any]:
    """Put references in the place of parts that are used more than once; return these parts by name.

    A use is the dictionary that has the part, its key there, and the name it gets.
    """
    count = Counter(name for _holder, _key, name in uses)
    shared: dict[str, Any] = {}
    for holder, key, name in uses:
        if count[name] > 1:
            assert shared.setdefault(name, holder[key]) == holder[key], name
            holder[key] = {"$ref": f"#/components/{kind}/{name}"}
    return dict(sorted(shared.items()))


def _name_of_codes(description: str) -> str:
    return "Or".join(code.title().replace("_", "") for code in re.findall(r"\w+", description))


@functools.cache
def _answer_serializer(data: SerializerClass | None, paginated: bool) -> SerializerClass:
    """Return the envelope around `data`, or around a page of it."""
    name = data.__name__.removesuffix("Serializer") if data else "Empty"
    fields: dict[str, Any] = {
        "code": serializers.ChoiceField([SUCCESS]),
        "message": serializers.CharField(),
    }
    if data is None:
        fields["data"] = serializers.JSONField(allow_null=True)
    elif paginated:
        name += "Page"
        page_fields: dict[str, Any] = {
            "items": data(many=True),
            "page": serializers.IntegerField(),
            "page_size": serializers.IntegerField(),
            "total": serializers.IntegerField(),
        }
        fields["data"] = type(f"{name}Serializer", (serializers.Serializer,), page_fields)()
    else:
        fields["data"] = data()
    return type(f"{name}AnswerSerializer", (serializers.Serializer,), fields)


def _code_schema(entries: Sequence[ErrorCode]) -> dict[str, Any]:
    return {"type": "string", "enum": [entry.code for entry in entries]}


_DETAILS_SCHEMA = {
    "type": "object",
    "required": ["retryable", "request_id"],
    "properties": {"retryable": {"type": "boolean"}, "request_id": {"type": "string"}},
}
_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "code", "retryable", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        **_DETAILS_SCHEMA["properties"],  # type: ignore[dict-item]
    },
}


def _envelope_example(entry: ErrorCode) -> OpenApiExample:
    data: dict[str, Any] = {"retryable": entry.retryable, "request_id": "0b54f2f8"}
    if entry.code == "VALIDATION_ERROR":
        data["errors"] = {"field": ["This field is required."]}
    if entry.code == "INSUFFICIENT_BALANCE":
        data |= {"balance": 10_000, "required": 50_000}
    value = {"code": entry.code, "message": str(entry.message), "data": data}
    return OpenApiExample(entry.code, value)


def _header(name: str, description: str, **attributes: Any) -> OpenApiParameter:
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, description=description, **attributes
    )


QUEUE_TOKEN_HEADER = _header(
    "Queue-Token", "The place in the waiting room, as `POST /queue/tokens` gave it.", required=True
)
IF_NONE_MATCH_HEADER = _header("If-None-Match", "The `ETag` of the answer you have.")
_RETRY_STATUSES = [202, 403, 409, 429, 503]
RESPONSE_HEADERS = [
    _header("X-Request-ID", "The id under which this call is logged.", response=True),
    _header("Retry-After", "Seconds after which to try again.", response=_RETRY_STATUSES),
]


def _idempotency_key_header(required: bool) -> OpenApiParameter:
    return OpenApiParameter(
        "Idempotency-Key",
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
        },
        OpenApiParameter.HEADER,
        required=required,
        description="A new one for each intent; repeat it to repeat the call safely.",
    )
