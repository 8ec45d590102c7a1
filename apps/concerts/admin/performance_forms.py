"""Forms that change a date: not into the past, and not under the feet of those who have tickets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from apps.boxoffice.base.read_only import note_action
from apps.concerts.models import (
    ANOTHER_AT_THAT_TIME,
    DATES,
    OUT_OF_DATES,
    USUAL_LENGTH,
    Performance,
)
from apps.concerts.scheduling import move_in_words, reschedule_performance
from apps.concerts.selectors.seats import count_sold_seats


class PerformanceInlineForm(forms.ModelForm):  # type: ignore[type-arg]
    """One line among the dates of a concert, where there is no room to ask."""

    question = _("Open its page to move it.")

    class Meta:
        model = Performance
        fields = ("concert", "starts_at", "ends_at")

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.is_called_off and self.changed_data:
            self.add_error(None, _("This performance has been called off."))
        elif "starts_at" in values and "starts_at" in self.changed_data:
            if values["starts_at"] <= timezone.now():
                self.add_error("starts_at", _("A performance cannot begin in the past."))
            elif self.instance.pk and (sold := count_sold_seats(self.instance.pk)):
                self.add_error("starts_at", f"{_sold_in_words(sold)} {self.question}")
            elif self._is_taken(values["starts_at"]):
                self.add_error("starts_at", ANOTHER_AT_THAT_TIME)
        self._fill_in_the_end(values)
        return values

    def _is_taken(self, starts_at: datetime) -> bool:
        others = Performance.objects.filter(starts_at=starts_at).exclude(pk=self.instance.pk)
        return others.of_concert(self.instance.concert_id).exists()

    def _fill_in_the_end(self, values: dict[str, Any]) -> None:
        """Let the end move along with the beginning, unless it was typed as well; an empty one is the usual one."""
        starts_at, ends_at = values.get("starts_at"), values.get("ends_at")
        if starts_at is None or "ends_at" in self.errors:
            return
        if starts_at >= DATES[1]:
            self.add_error("starts_at", OUT_OF_DATES)
        elif ends_at is None:
            values["ends_at"] = starts_at + USUAL_LENGTH
        elif (
            self.instance.pk
            and "starts_at" in self.changed_data
            and "ends_at" not in self.changed_data
        ):
            values["ends_at"] = starts_at + (self.instance.ends_at - self.instance.starts_at)


class PerformanceForm(PerformanceInlineForm):
    question = _("Use “Move” above: it says what that means for those who have tickets.")


def save_times(
    request: HttpRequest, performance: Performance, changed_fields: Sequence[str]
) -> None:
    """Save those of the times that a form has changed, and all that follows from it.

    The histories of the performance and of its concert say from when to when it was moved.
    """
    before = Performance.objects.get(pk=performance.pk)
    times = {
        name: getattr(performance, name) if name in changed_fields else None
        for name in ("starts_at", "ends_at")
    }
    after = reschedule_performance(performance_id=performance.pk, **times)
    if (before.starts_at, before.ends_at) != (after.starts_at, after.ends_at):
        note_action(request, [after, after.concert], move_in_words(before, after))


def _sold_in_words(sold: int) -> str:
    return ngettext(
        "%(count)s ticket is sold for this date.", "%(count)s tickets are sold for this date.", sold
    ) % {"count": f"{sold:,}"}
