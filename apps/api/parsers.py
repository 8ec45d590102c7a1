import json
from collections.abc import Mapping
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class BoundedJSONParser(JSONParser):
    """JSON of at most `MAX_BODY_BYTES`, in UTF-8 whatever charset the caller names (RFC 8259 knows no other).

    NaN and nesting beyond the interpreter's patience are refused.
    """

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = stream.read(settings.MAX_BODY_BYTES + 1)
        if len(body) > settings.MAX_BODY_BYTES:
            raise RequestDataTooBig
        declared = (parser_context or {})["request"].META.get("CONTENT_LENGTH") or len(body)
        if len(body) != int(declared):
            raise ParseError  # cut off on its way here
        try:
            return json.loads(body.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ParseError from error
