from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.password_validation import (
    password_validators_help_text_html,
    validate_password,
)
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.utils.functional import lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User, validate_ascii
from apps.accounts.serializers import PASSWORD_MAX_LENGTH
from apps.concerts.models import SEATS_PER_CUSTOMER_MAX, Grade, SeatKind
from apps.core.form_fields import WholeNumberField, WonField
from apps.core.texts import TypedLine
from apps.storefront.wording import won


class RegistrationForm(forms.Form):
    name = TypedLine(
        label=_("Name"),
        max_length=100,
        widget=forms.TextInput({"autocomplete": "name"}),
    )
    email = forms.EmailField(
        label=_("Email address"),
        max_length=254,
        validators=[validate_ascii],
        widget=forms.EmailInput({"autocomplete": "email"}),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=PASSWORD_MAX_LENGTH,
        strip=False,
        help_text=password_validators_help_text_html(),
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "password" in cleaned:
            customer = User(email=cleaned.get("email", ""), name=cleaned.get("name", ""))
            try:
                validate_password(cleaned["password"], user=customer)
            except ValidationError as weak:
                self.add_error("password", weak)
        return cleaned


class LoginForm(forms.Form):
    email = forms.CharField(
        label=_("Email address"),
        max_length=254,
        widget=forms.EmailInput({"autocomplete": "username"}),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=PASSWORD_MAX_LENGTH,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "current-password"}),
    )


class KeyedForm(forms.Form):
    """A form whose effect happens once: it brings the key that was made when its page was."""

    key = forms.UUIDField(widget=forms.HiddenInput)


def _too_much() -> str:
    return gettext("At most %(limit)s at a time.") % {"limit": won(settings.CHARGE_LIMIT)}


class TopUpForm(KeyedForm):
    amount = WonField(
        min_value=1, validators=[MaxValueValidator(settings.CHARGE_LIMIT, lazy(_too_much, str)())]
    )


class SeatsForm(KeyedForm):
    """Take any numbers: the service knows which of them are seats."""

    seats = SimpleArrayField(
        forms.IntegerField(min_value=1, max_value=2**63 - 1),
        max_length=SEATS_PER_CUSTOMER_MAX,
        widget=forms.MultipleHiddenInput,
    )


class BestAvailableForm(KeyedForm):
    quantity = WholeNumberField(min_value=1, max_value=SEATS_PER_CUSTOMER_MAX)
    grade = forms.ChoiceField(choices=[("", ""), *Grade.choices], required=False)
    kind = forms.ChoiceField(
        choices=[("", ""), (SeatKind.WHEELCHAIR, SeatKind.WHEELCHAIR.label)], required=False
    )
