"""Jobs of staff: what was asked for and by whom, how far it has come, and the page on which a second person decides."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.boxoffice.base.columns import Badge, column
from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.jobs.errors import SecondPersonRequired, StaffJobDecided
from apps.boxoffice.base.jobs.kinds import KINDS
from apps.boxoffice.base.jobs.models import REASON_MAX, StaffJob, StaffJobRow
from apps.boxoffice.base.jobs.progress import progress_of
from apps.boxoffice.base.jobs.services import approve_job, reject_job
from apps.boxoffice.base.lists import NameFilter
from apps.boxoffice.base.lookups import Days, Ids, people_lookup
from apps.boxoffice.base.pages import StaffPage
from apps.boxoffice.base.read_only import ReadOnlyAdmin, lead_to
from apps.boxoffice.base.words import NOTHING, at_venue, person
from apps.core.errors import NotFound
from apps.core.texts import TypedLine

ROWS_SHOWN = 100
LINK = "text-primary-600 underline"
RELOAD_SECONDS = 2

Status = StaffJob.Status


class KindFilter(NameFilter):
    title = _("kind")
    parameter_name = "kind"

    def names(self) -> list[str]:
        return sorted(KINDS)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, str(KINDS[name].label)) for name in self.names()]


@admin.register(StaffJob)
class StaffJobAdmin(ReadOnlyAdmin):
    list_display = ("title", "state", "progress", "asked_by", "requested_at", "decided_name")
    list_filter = ("status", KindFilter)
    list_select_related = ("requested_by", "decided_by")
    lookups = (Ids(("id",)), people_lookup("requested_by"), Days("requested_at"))
    ordering = ("-requested_at", "id")
    page_select_related = ("requested_by", "decided_by")
    actions_detail = ("approve", "reject")
    fields = (
        "title",
        "state",
        "reason",
        "preview",
        "progress_bar",
        "who",
        "requested_at",
        "decided_who",
        "decided_at",
        "decision_reason",
        "finished_at",
        "results",
    )
    readonly_fields = fields

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(DecisionView.as_view(model_admin=self))
        own = [
            path(
                f"<uuid:pk>/{decision}/",
                page,
                {"decision": decision},
                name=f"boxoffice_staffjob_{decision}",
            )
            for decision in DECISIONS
        ]
        return [*own, *super().get_urls()]

    def title_of(self, obj: StaffJob) -> str:
        return str(obj)

    def change_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the job; while it runs, the browser loads the page anew by itself."""
        response: HttpResponse = super().change_view(request, *args, **kwargs)
        if getattr(request, "job_is_running", False):
            response.headers["Refresh"] = str(RELOAD_SECONDS)
        return response

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        job = super().get_object(request, object_id, from_field)
        request.job_is_running = job is not None and job.status == Status.RUNNING  # type: ignore[attr-defined]
        return job

    @display(description=_("job"))
    def title(self, job: StaffJob) -> str:
        return str(job)

    @display(
        description=_("state"),
        label={
            Status.AWAITING_APPROVAL.value: "warning",
            Status.RUNNING.value: "info",
            Status.DONE.value: "success",
            Status.REJECTED.value: "danger",
        },
    )
    def state(self, job: StaffJob) -> Badge:
        return Badge(job.status, job.get_status_display())

    @display(description=_("progress"))
    def progress(self, job: StaffJob) -> str:
        words = f"{job.rows_done:,} / {job.rows_total:,}"
        if job.rows_refused:
            words += f" · {gettext('%(count)s refused') % {'count': f'{job.rows_refused:,}'}}"
        return words

    @display(description=_("progress"))
    def progress_bar(self, job: StaffJob) -> SafeString:
        """Draw the rows that are done, and as much of the one at work as it has told."""
        words, value = self.progress(job), float(job.rows_done)
        row = progress_of(job.pk) if job.status == Status.RUNNING else None
        if row is not None:
            done, total = row
            value += min(done / total, 1)
            told = gettext("%(done)s of %(total)s in the row at work")
            words += f" · {told % {'done': f'{done:,}', 'total': f'{total:,}'}}"
        return format_html(
            '<progress class="w-full" max="{}" value="{}" aria-label="{}"></progress> {}',
            max(job.rows_total, job.rows_done, 1),
            f"{value:.3g}",
            gettext("progress"),
            words,
        )

    asked_by = column(_("requested by"), "requested_by.name", str)
    who = column(_("requested by"), "requested_by", person)
    decided_who = column(_("approved or rejected by"), "decided_by", person)

    @display(description=_("decided by"))
    def decided_name(self, job: StaffJob) -> str:
        return job.decided_by.name if job.decided_by else NOTHING

    @display(description=_("what it does"))
    def preview(self, job: StaffJob) -> SafeString | str:
        return preview_of(job)

    @display(description=_("results"))
    def results(self, job: StaffJob) -> SafeString | str:
        """List what was refused first, then what was done last."""
        rows = StaffJobRow.objects.filter(job=job).order_by("-outcome", "-pk")[:ROWS_SHOWN]
        lines = [(row.subject, row.get_outcome_display(), row.detail) for row in rows]
        text = format_html_join(mark_safe("<br>"), "{} · {} · {}", lines) or NOTHING
        if job.rows_done <= len(lines):
            return text
        url = f"{reverse('admin:boxoffice_staffjobrow_changelist')}?{urlencode({'q': str(job.pk)})}"
        return format_html('{}<br><a class="{}" href="{}">{}</a>', text, LINK, url, gettext("All"))

    def has_decide_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Offer the buttons to those whose decision the service would take."""
        if object_id is None:
            return True
        try:
            job = StaffJob.objects.awaiting_approval().filter(pk=UUID(object_id)).first()
        except ValueError:
            return False
        return job is not None and may_decide(request, job)

    @action(description=_("Approve"), permissions=["decide"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:boxoffice_staffjob_approve", object_id)

    @action(description=_("Reject"), permissions=["decide"])
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:boxoffice_staffjob_reject", object_id)


@admin.register(StaffJobRow)
class StaffJobRowAdmin(ReadOnlyAdmin):
    list_display = ("job", "subject", "outcome", "detail")
    list_filter = ("outcome",)
    list_select_related = ("job",)
    lookups = (Ids(("job",), label=_("id of a job")),)
    ordering = ("-job", "id")
    page_select_related = ("job",)
    fields = ("job_link", "subject", "outcome", "detail")

    job_link = column(_("job"), "job")

    def title_of(self, obj: StaffJobRow) -> str:
        return f"{obj.job} · {obj.subject}"


def preview_of(job: StaffJob) -> SafeString | str:
    kind = KINDS.get(job.kind)
    try:
        lines = kind.preview(job.parameters) if kind else ()
    except NotFound:
        return gettext("What it is about has been deleted.")
    return format_html_join(mark_safe("<br>"), "{}: {}", lines) or NOTHING


def may_decide(request: HttpRequest, job: StaffJob) -> bool:
    kind = KINDS.get(job.kind)
    return kind is not None and request.user.has_perm(kind.permission)


class DecisionForm(forms.Form):
    """Why a job is approved, which need not be said, or rejected."""

    reason = TypedLine(
        label=_("Reason"),
        max_length=REASON_MAX,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Shown on the job, and kept with your name in its history."),
    )

    def __init__(self, *args: Any, is_approval: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = not is_approval


DECISIONS = ("approve", "reject")


class DecisionView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """Shows what a job will do, and lets a second person approve or reject it."""

    permission_required = ("boxoffice.view_staffjob",)
    template_name = "admin/boxoffice/decide.html"
    form_class = DecisionForm

    @cached_property
    def job(self) -> StaffJob:
        return get_object_or_404(
            StaffJob.objects.select_related("requested_by"), pk=self.kwargs["pk"]
        )

    def has_permission(self) -> bool:
        """Ask for the right that the kind of the job names, too."""
        return super().has_permission() and may_decide(self.request, self.job)

    @property
    def title(self) -> str:
        words = gettext("Approve") if self.is_approval else gettext("Reject")
        return f"{words} · {self.job}"

    @property
    def decision(self) -> str:
        decision: str = self.kwargs["decision"]
        return decision

    def about(self) -> StaffJob:
        return self.job

    @property
    def is_approval(self) -> bool:
        return self.decision == "approve"

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "is_approval": self.is_approval}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        lines = [
            (gettext("requested by"), person(self.job.requested_by)),
            (gettext("requested at"), at_venue(self.job.requested_at)),
            (gettext("reason"), self.job.reason),
            (gettext("what it does"), preview_of(self.job)),
        ]
        context: dict[str, Any] = super().get_context_data(
            lines=lines, is_approval=self.is_approval, **kwargs
        )
        return context

    def form_valid(self, form: forms.Form) -> HttpResponse:
        assert self.request.user.pk is not None
        decided: dict[str, Any] = {
            "job_id": self.job.pk,
            "staff_id": self.request.user.pk,
            "reason": form.cleaned_data["reason"],
        }
        try:
            if self.is_approval:
                approve_job.step(**decided)
                self.say(messages.SUCCESS, gettext("Approved: the job has started."))
            else:
                reject_job.step(**decided)
                self.say(messages.SUCCESS, gettext("The job was rejected; nothing was done."))
        except (SecondPersonRequired, StaffJobDecided) as refusal:
            form.add_error(None, str(refusal.reason))
            return self.form_invalid(form)
        return redirect("admin:boxoffice_staffjob_change", self.job.pk)


def job_page(job: StaffJob) -> str:
    """Return the address of a job's page, where whoever asked for it is led."""
    return reverse("admin:boxoffice_staffjob_change", args=[job.pk])
