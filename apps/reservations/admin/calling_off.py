"""Pages on which staff call a performance off, or move it although tickets are sold."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSplitDateTimeWidget

from apps.boxoffice.base.jobs.kinds import JobKind
from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.jobs.services import request_job
from apps.boxoffice.base.notices import NoticeForm
from apps.boxoffice.base.previews import AsksBack, Lines
from apps.boxoffice.base.words import at_venue
from apps.concerts.models import (
    ANOTHER_AT_THAT_TIME,
    DATES,
    LENGTH_MAX,
    OUT_OF_DATES,
    Performance,
)
from apps.core.form_fields import MomentField
from apps.core.notices import NOTICE_MAX, NoticeText
from apps.reservations.admin.refunding import ReasonField
from apps.reservations.models import cancellable_until
from apps.reservations.notice_drafts import (
    DEADLINE,
    REASON,
    TIME,
    Fillings,
    calling_off_draft,
    filled_in,
    moving_draft,
)
from apps.reservations.staff_jobs import (
    CallOffPerformance,
    MovePerformance,
    calling_off_in_words,
    second_person_in_words,
)

CHANGE = "concerts.change_performance"


class PerformanceView(AsksBack):
    """A page about a performance that was not called off; what it does is a job."""

    permission_required = (CHANGE,)
    kind: ClassVar[JobKind]
    verb: ClassVar[Any]

    def draft(self) -> NoticeText:
        """Return what ticket holders are told, unless staff write something else."""
        raise NotImplementedError

    def get_initial(self) -> dict[str, Any]:
        draft = self.draft()
        return {**super().get_initial(), "text_ko": draft.ko, "text_en": draft.en}

    @property
    def title(self) -> str:
        performance = self.performance
        return f"{self.verb} · {performance.concert} · {at_venue(performance.starts_at)}"

    @cached_property
    def performance(self) -> Performance:
        return get_object_or_404(
            Performance.objects.select_related("concert"), pk=self.kwargs["pk"]
        )

    def about(self) -> Performance:
        return self.performance

    def back_url(self) -> str:
        return reverse("admin:concerts_performance_change", args=[self.kwargs["pk"]])

    def parameters(self, form: Any) -> dict[str, Any]:
        raise NotImplementedError

    def plan(self, form: Any) -> Lines:
        parameters = self.parameters(form)
        return [
            *self.kind.preview(parameters),
            second_person_in_words(self.kind, parameters),
        ]

    def form_valid(self, form: Any) -> HttpResponse:
        refusal = self.why_refused()
        if refusal:
            form.add_error(None, refusal)
            return self.form_invalid(form)
        return super().form_valid(form)

    def why_refused(self) -> str:
        """Say what stands in the way; nothing if that is not so."""
        if self.performance.is_called_off:
            return gettext("This performance has been called off.")
        waiting = StaffJob.objects.filter(
            kind=self.kind.name,
            status__in=[StaffJob.Status.AWAITING_APPROVAL, StaffJob.Status.RUNNING],
            parameters__performance_id=self.performance.pk,
        )
        if waiting.exists():
            return gettext("This has been asked for already. See the jobs.")
        return ""

    def carry_out(self, form: Any) -> HttpResponse:
        assert self.request.user.pk is not None
        job = request_job(
            kind=self.kind.name,
            parameters=self.parameters(form),
            reason=form.cleaned_data["reason"],
            staff_id=self.request.user.pk,
        )
        if job.status == StaffJob.Status.AWAITING_APPROVAL:
            self.say(messages.SUCCESS, gettext("A second person has to approve this."))
        return redirect("admin:boxoffice_staffjob_change", job.pk)


class ChangeForm(NoticeForm):
    """Why a date is changed, and what its ticket holders are told; the text names what is filled in."""

    reason = ReasonField()
    field_order: Iterable[str] | None = ("reason",)
    names: ClassVar[tuple[str, ...]] = (REASON,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["text_ko"].label = _("Message to ticket holders in Korean")
        self.fields["text_en"].label = _("Message to ticket holders in English")
        self.fields["text_ko"].help_text = _(
            "It is shown beside their tickets. Filled in when you preview: %(names)s."
        ) % {"names": ", ".join(self.names)}

    @property
    def fillings(self) -> Fillings:
        return {REASON: self.cleaned_data["reason"]}

    @property
    def notice(self) -> NoticeText:
        """Return the message as ticket holders read it."""
        return filled_in(self.text, self.fillings)

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if self.errors:
            return values
        words = _("With all that is filled in, it has more than %(max)s characters.")
        for code, text in self.notice._asdict().items():
            if len(text) > NOTICE_MAX:
                self.add_error(f"text_{code}", words % {"max": NOTICE_MAX})
        return values


class CallOffView(PerformanceView):
    verb = _("Call off")
    plan_repeats_facts = True
    form_class = ChangeForm
    carry_out_label = _("Ask to call it off")
    explanation = _(
        "The performance is called off for good: nothing more is sold, holds end, ticket holders are told, and every reservation is cancelled and refunded."
    )
    kind: ClassVar[JobKind] = CallOffPerformance()

    def draft(self) -> NoticeText:
        return calling_off_draft(self.performance)

    def facts(self) -> Lines:
        return [] if self.performance.is_called_off else calling_off_in_words(self.performance)

    def parameters(self, form: Any) -> dict[str, Any]:
        return CallOffPerformance.parameters(self.performance, form.notice)


class MoveForm(ChangeForm):
    """The new times, until when ticket holders may cancel, why, and what they are told."""

    starts_at = MomentField(label=_("Begins at"), widget=UnfoldAdminSplitDateTimeWidget)
    ends_at = MomentField(
        label=_("Ends at"),
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("Leave empty to let it move along."),
    )
    deadline = MomentField(
        label=_("Free cancellation until"),
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_(
            "For those who held their seats before the move, and never earlier than for everybody else. Leave empty for until it begins."
        ),
    )
    reason = ReasonField(
        help_text=_(
            "It is kept with your name in the history. Customers read it where the message has it."
        )
    )
    field_order: Iterable[str] | None = ("starts_at", "ends_at", "deadline", "reason")
    names = (REASON, TIME, DEADLINE)

    def __init__(self, *args: Any, performance: Performance, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.performance = performance

    def clean_starts_at(self) -> datetime:
        starts_at: datetime = self.cleaned_data["starts_at"]
        if starts_at <= timezone.now():
            raise forms.ValidationError(_("A performance cannot begin in the past."))
        if not DATES[0] <= starts_at < DATES[1]:
            raise forms.ValidationError(OUT_OF_DATES)
        if starts_at == self.performance.starts_at:
            raise forms.ValidationError(_("It begins at that time already."))
        others = Performance.objects.of_concert(self.performance.concert_id)
        if others.filter(starts_at=starts_at).exists():
            raise forms.ValidationError(ANOTHER_AT_THAT_TIME)
        return starts_at

    @property
    def fillings(self) -> Fillings:
        values, now = self.cleaned_data, timezone.now()
        until = cancellable_until(
            starts_at=values["starts_at"],
            rescheduled_at=now,
            free_cancellation_until=values["deadline"],
            held_at=now,
        )
        return {**super().fillings, TIME: values["starts_at"], DEADLINE: until}

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        starts_at, ends_at, deadline = (
            values.get(name) for name in ("starts_at", "ends_at", "deadline")
        )
        if starts_at and ends_at and not starts_at < ends_at <= starts_at + LENGTH_MAX:
            words = _("A performance must end after it begins, within seven days.")
            self.add_error("ends_at", words)
        if starts_at and deadline and not timezone.now() < deadline <= starts_at:
            words = _("It must lie ahead, and not after the beginning.")
            self.add_error("deadline", words)
        return values


class MoveView(PerformanceView):
    verb = _("Move")
    form_class = MoveForm
    carry_out_label = _("Move it")
    explanation = _(
        "Ticket holders are told, see the old and the new time, and may cancel for longer. The outside platform is told as well."
    )
    kind: ClassVar[JobKind] = MovePerformance()

    def draft(self) -> NoticeText:
        return moving_draft(self.performance)

    def facts(self) -> Lines:
        return [(gettext("planned for"), at_venue(self.performance.starts_at))]

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "performance": self.performance}

    def parameters(self, form: Any) -> dict[str, Any]:
        values = form.cleaned_data
        return MovePerformance.parameters(
            self.performance,
            {
                "to": values["starts_at"],
                "ends_at": values["ends_at"],
                "deadline": values["deadline"],
            },
            form.notice,
        )


def pages_of_performances(admin_site: Any) -> list[URLPattern]:
    """Return the pages, to which the admin of performances leads: it stands below what they know."""
    about_performances = admin_site.get_model_admin(Performance)
    pages: dict[str, type[PerformanceView]] = {"call_off": CallOffView, "move": MoveView}
    return [
        path(
            f"performances/<int64:pk>/{name.replace('_', '-')}/",
            admin_site.admin_view(page.as_view(model_admin=about_performances)),
            name=f"reservations_performance_{name}",
        )
        for name, page in pages.items()
    ]
