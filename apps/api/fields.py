"""Serializer fields that take a JSON value for what it is and coerce nothing."""

import re
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apps.core.texts import normalized, refuse_hidden, refuse_lines

BIGINT_MAX = 2**63 - 1
_CANONICAL_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_canonical_uuid(value: object) -> bool:
    return isinstance(value, str) and _CANONICAL_UUID.fullmatch(value) is not None


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer. `"1"`, `1.0` and `true` are refused."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("min_value", -BIGINT_MAX - 1)
        kwargs.setdefault("max_value", BIGINT_MAX)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return data


class StrictCharField(serializers.CharField):
    """A JSON string, without NUL characters and lone surrogates (DRF's own validators)."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class TypedCharField(StrictCharField):
    """A line that people type: composed, and without hidden characters."""

    default_validators = (refuse_hidden, refuse_lines)

    def to_internal_value(self, data: Any) -> str:
        return normalized(super().to_internal_value(data))


class StrictUUIDField(serializers.UUIDField):
    """A UUID in its canonical text form."""

    def to_internal_value(self, data: Any) -> Any:
        if not is_canonical_uuid(data):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class StrictChoiceField(serializers.ChoiceField):
    """One of some strings. The refusal does not repeat what was sent, which may be anything."""

    default_error_messages = {"invalid_choice": _("This is not one of the choices.")}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            self.fail("invalid_choice")
        return data
