"""Pages of the admin that say what a form would do before they do it."""

import hashlib
from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.generic import FormView

from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.pages import StaffPage

PLANNED = "_planned"

Lines = Sequence[tuple[str, object]]  # labels and values


class AsksBack(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """A view whose form is sent twice: first to see what it would do, then to do that.

    If the form or what it would do is another by then, that is shown anew.
    """

    template_name = "admin/boxoffice/asks_back.html"
    carry_out_label: Any
    explanation: Any = ""
    plan_repeats_facts = False

    def facts(self) -> Lines:
        """Return what is known before the form is filled in."""
        return ()

    def plan(self, form: Any) -> Lines:
        """Return what a valid form would do."""
        raise NotImplementedError

    def carry_out(self, form: Any) -> HttpResponse:
        """Do it, and redirect; any other answer refuses."""
        raise NotImplementedError

    def back_url(self) -> str:
        raise NotImplementedError

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        is_told_by_plan = self.plan_repeats_facts and "plan" in kwargs
        context: dict[str, Any] = super().get_context_data(
            facts=() if is_told_by_plan else self.facts(),
            carry_out_label=self.carry_out_label,
            explanation=self.explanation,
            back_url=self.back_url(),
            **kwargs,
        )
        return context

    def form_valid(self, form: Any) -> HttpResponse:
        lines = [(str(label), str(value)) for label, value in self.plan(form)]
        digest = hashlib.sha256(repr((form.cleaned_data, lines)).encode()).hexdigest()[:16]
        shown = self.request.POST.get(PLANNED, "")
        if shown == digest:
            return self.carry_out(form)
        context = self.get_context_data(
            form=form,
            plan=lines,
            planned=digest,
            warning=_("This has changed since it was shown. Check it again.") if shown else "",
        )
        response: HttpResponse = self.render_to_response(context)
        return response
