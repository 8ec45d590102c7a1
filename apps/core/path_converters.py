"""Path converters that every app's `urls.py` may use."""

from django.urls import register_converter
from django.urls.converters import IntConverter

BIGINT_MAX = 2**63 - 1


class BigIntConverter(IntConverter):
    """A positive id that fits PostgreSQL's bigint; anything longer names nothing and is a 404."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        number = int(value)
        if number > BIGINT_MAX:
            raise ValueError(value)
        return number


register_converter(BigIntConverter, "int64")
