"""Fields of forms that take what pages print."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from apps.core.typed_numbers import NoWholeNumber, plain, read_whole_number


class WholeNumberField(forms.IntegerField):
    """A number of things, typed with or without separators of thousands."""

    widget = forms.TextInput
    is_money = False
    default_error_messages = {
        "separators": _(
            "Enter a whole number. Commas may stand between thousands only, as in 100,000."
        ),
    }

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        try:
            return read_whole_number(str(value), is_money=self.is_money)
        except NoWholeNumber as error:
            code = "separators" if error.has_odd_separators else "invalid"
            raise ValidationError(self.error_messages[code], code=code) from error

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        attributes = super().widget_attrs(widget)
        # The keyboard of a phone that has figures only has no minus.
        if isinstance(self.min_value, int) and self.min_value >= 0:
            attributes["inputmode"] = "numeric"
        return attributes | {"autocomplete": "off"}


class WonField(WholeNumberField):
    """An amount of money, with or without the won sign."""

    is_money = True


# As Django prints months in English: Nov. 29, 2026, and Sept. 1, 2026.
_SHORT_MONTH = re.compile(r"\b([A-Za-z]{3})t?\.")
_CLOCK = re.compile(
    r"(?P<before>오전 ?|오후 ?)?(?P<hour>1[0-2]|0?[1-9])(?::(?P<minute>[0-5][0-9]))?(?P<after> ?오전| ?오후| ?[ap]\.?m\.?)?",
    re.IGNORECASE,
)
_HOURS_WITH_NAMES = {"midnight": "00:00", "noon": "12:00", "자정": "00:00", "정오": "12:00"}


class MomentField(forms.SplitDateTimeField):
    """A day and a time, typed as the inputs show them or as lists and pages print them in the language of the form."""

    def get_bound_field(self, form: Any, field_name: str) -> Any:
        """Name both inputs to a screen reader: the label beside them belongs to none of them."""
        bound = super().get_bound_field(form, field_name)
        day, clock = self.widget.widgets
        day.attrs.setdefault("aria-label", _("%(field)s, day") % {"field": bound.label})
        clock.attrs.setdefault("aria-label", _("%(field)s, time of day") % {"field": bound.label})
        return bound

    def clean(self, value: Any) -> Any:
        return super().clean(_as_inputs_show(value))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(initial, _as_inputs_show(data))


def _as_inputs_show(value: Any) -> Any:
    match value:
        case [str(day), str(time)]:
            return [_SHORT_MONTH.sub(r"\1", plain(day)), _by_24_hours(plain(time))]
        case _:
            return value


def _by_24_hours(time: str) -> str:
    """Return a time with its half of the day as one without; any other as it is."""
    found = _CLOCK.fullmatch(time)
    halves = (
        [half.strip().lower() for half in (found["before"], found["after"]) if half]
        if found
        else []
    )
    if found is None or len(halves) != 1:
        return _HOURS_WITH_NAMES.get(time.lower(), time)
    is_afternoon = halves[0].startswith(("p", "오후"))
    hour = int(found["hour"]) % 12 + 12 * is_afternoon
    return f"{hour:02}:{found['minute'] or '00'}"
