"""Fields of forms that take what pages print."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from apps.shared.typed_numbers import NoWholeNumber, read_whole_number


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
