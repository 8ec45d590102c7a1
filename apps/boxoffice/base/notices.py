"""The pages on which staff write a notice, look at it as its readers will, send it, and take it back."""

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.pages import StaffPage
from apps.core.codes import CODES
from apps.core.errors import DomainError
from apps.core.notices import NOTICE_MAX, NoticeText
from apps.core.texts import TypedNote

TEXT_SHOWN = 80  # characters, in lists
READERS = (("ko", _("Korean")), ("en", _("English")))


class NoticeForm(forms.Form):
    """A text in Korean, in English, or both."""

    text_ko = TypedNote(
        label=_("Text in Korean"),
        max_length=NOTICE_MAX,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "lang": "ko"}),
    )
    text_en = TypedNote(
        label=_("Text in English"),
        max_length=NOTICE_MAX,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "lang": "en"}),
        help_text=_("If you leave one of them empty, everybody reads the other one."),
    )

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and not any(self.text):
            raise ValidationError(_("Enter a text in at least one language."))
        return values

    @property
    def text(self) -> NoticeText:
        return NoticeText(en=self.cleaned_data["text_en"], ko=self.cleaned_data["text_ko"])


class NoticeView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """Write a notice. It is shown as its readers will see it, with how many they are, before it can be sent."""

    template_name = "admin/notice.html"
    form_class: type[NoticeForm] = NoticeForm
    explanation: ClassVar[Any]
    back: ClassVar[Any]

    @cached_property
    def readers(self) -> list[tuple[Any, Any]]:
        """Say who will read it: a label and a value for each line."""
        raise NotImplementedError

    def send(self, form: Any) -> None:
        """Send it, in the transaction of the form.

        :raises DomainError: it is refused.
        """
        raise NotImplementedError

    def back_url(self) -> str:
        raise NotImplementedError

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(
            explanation=self.explanation,
            readers=self.readers,
            back=self.back,
            back_url=self.back_url(),
            **kwargs,
        )
        return context

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.readers  # noqa: B018  (now: it may ask the store, which no transaction waits for)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        if "send" not in self.request.POST:
            preview = [(code, name, form.text.in_language(code)) for code, name in READERS]
            return self.render_to_response(self.get_context_data(form=form, preview=preview))
        try:
            self.send(form)
        except DomainError as refusal:
            form.add_error(None, CODES[refusal.code].message)
            return self.form_invalid(form)
        self.say(messages.SUCCESS, gettext("The notice is shown from now on."))
        return redirect(self.back_url())


class TakingBackView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """Ask before a notice is shown no longer."""

    title = _("Take back")
    template_name = "admin/take_back.html"
    form_class = forms.Form

    def take_back(self) -> bool:
        """Take it back; returns False if that was done before."""
        raise NotImplementedError

    @property
    def change_page(self) -> str:
        opts = self.model_admin.opts
        return f"admin:{opts.app_label}_{opts.model_name}_change"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(change_page=self.change_page, **kwargs)
        return context

    def form_valid(self, form: forms.Form) -> HttpResponse:
        if self.take_back():
            self.say(messages.SUCCESS, gettext("The notice is shown no longer."))
        else:
            self.say(messages.WARNING, gettext("The notice was not shown any more."))
        return redirect(self.change_page, self.kwargs["pk"])
