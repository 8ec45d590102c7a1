"""What may be changed about a date: not into the past, and not under the feet of those who have tickets without asking."""

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldBooleanSwitchWidget

from apps.concerts.models import Performance


class PerformanceInlineForm(forms.ModelForm):  # type: ignore[type-arg]
    """One line among the dates of a concert, where there is no room to ask."""

    asks_at = "starts_at"
    question = _("Open its page to move it.")

    class Meta:
        model = Performance
        fields = ("concert", "starts_at")

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if "starts_at" in values and "starts_at" in self.changed_data:
            if values["starts_at"] <= timezone.now():
                self.add_error("starts_at", _("A performance cannot begin in the past."))
            elif (sold := self.instance.seats_sold) and not values.get("is_confirmed"):
                self.add_error(self.asks_at, f"{_sold_in_words(sold)} {self.question}")
        return values


class PerformanceForm(PerformanceInlineForm):
    is_confirmed = forms.BooleanField(
        label=_("Move it although tickets are sold"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_("Their holders are not told by themselves."),
    )
    asks_at = "is_confirmed"
    question = _("Confirm that you want to move it.")


def _sold_in_words(sold: int) -> str:
    return ngettext(
        "%(count)s ticket is sold for this date.", "%(count)s tickets are sold for this date.", sold
    ) % {"count": f"{sold:,}"}
