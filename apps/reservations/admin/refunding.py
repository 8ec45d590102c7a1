"""Pages on which staff give back seats and money: of one reservation, and of a selection."""

from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from apps.boxoffice.base.jobs.services import request_job
from apps.boxoffice.base.previews import AsksBack, Lines
from apps.boxoffice.base.read_only import lead_to
from apps.boxoffice.base.words import at_venue, in_won
from apps.concerts.models import STAFF_REASON_MAX
from apps.core.codes import CODES
from apps.core.errors import DomainError
from apps.core.form_fields import WonField
from apps.core.texts import TypedLine
from apps.reservations.errors import ReservationNotFound
from apps.reservations.models import Reservation
from apps.reservations.refund_plans import RefundPlan, refund_plan
from apps.reservations.services import give_back
from apps.reservations.staff_jobs import (
    SELECTION_MAX,
    CancelReservations,
    RefundReservation,
    second_person_in_words,
)

CANCEL, REFUND = "reservations.cancel_reservation", "payments.refund"


class ReasonField(TypedLine):
    def __init__(self, **options: Any) -> None:
        options.setdefault(
            "help_text", _("Customers read it. It is kept with your name in the history.")
        )
        super().__init__(
            label=_("Reason"),
            max_length=STAFF_REASON_MAX,
            widget=UnfoldAdminTextInputWidget,
            **options,
        )


class RefundForm(forms.Form):
    """Seats to cancel, money beyond their price, and why. Without `may_cancel` money alone."""

    reason = ReasonField()

    def __init__(self, *args: Any, plan: RefundPlan, may_cancel: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, forms.Field] = {}
        if plan.left and may_cancel:
            fields["seats"] = forms.TypedMultipleChoiceField(
                label=_("Seats to cancel"),
                coerce=int,
                required=False,
                choices=[
                    (ticket.seat_id, f"{ticket.seat} ({ticket.seat.grade}), {in_won(ticket.price)}")
                    for ticket in plan.left
                ],
                widget=UnfoldAdminCheckboxSelectMultipleWidget,
                help_text=_("Their price is refunded, and they are free to be sold again."),
            )
        fields["extra"] = WonField(
            label=_("Refund beyond that, in won"),
            required=False,
            min_value=1,
            max_value=max(plan.reservation.refundable_amount, 1),
            widget=UnfoldAdminTextInputWidget,
            help_text=_("Money that is given back while the seats stay booked. May be empty."),
        )
        self.fields = {**fields, **self.fields}

    def clean(self) -> dict[str, Any]:
        seats, extra = self.cleaned_data.get("seats"), self.cleaned_data.get("extra")
        if not self.errors and not seats and not extra:
            raise forms.ValidationError(_("Choose seats, or enter an amount."))
        return self.cleaned_data


class RefundView(AsksBack):
    """Gives back seats and money of one reservation, at once or after a second person has approved it."""

    permission_required = (CANCEL,)  # or the other one
    form_class = RefundForm
    carry_out_label = _("Carry out")
    explanation = _(
        "Cancelled seats are refunded and free at once. In all, no more can be refunded than was paid."
    )
    kind: ClassVar = RefundReservation()

    def has_permission(self) -> bool:
        return any(self.request.user.has_perm(name) for name in (CANCEL, REFUND))

    @property
    def title(self) -> str:
        return gettext("Cancel or refund") + f" · {self.reservation.customer.name}"

    @cached_property
    def nothing(self) -> RefundPlan:
        try:
            return refund_plan(reservation_id=self.kwargs["pk"])
        except ReservationNotFound as error:
            raise Http404 from error

    @property
    def reservation(self) -> Reservation:
        return self.nothing.reservation

    def about(self) -> Reservation:
        return self.reservation

    def back_url(self) -> str:
        return reverse("admin:reservations_reservation_change", args=[self.kwargs["pk"]])

    def facts(self) -> Lines:
        reservation = self.reservation
        performance = reservation.performance
        to_house = reservation.refundable_amount - reservation.refundable_to_customer
        return [
            (gettext("customer"), reservation.customer.shown_as),
            (gettext("date"), f"{performance.concert} · {at_venue(performance.starts_at)}"),
            (gettext("paid"), in_won(reservation.total_price)),
            (gettext("refunded so far"), in_won(reservation.refunded_amount)),
            (gettext("can be refunded"), in_won(reservation.refundable_amount)),
            *([(gettext("of that, to the house"), in_won(to_house))] if to_house else []),
        ]

    def get_form_kwargs(self) -> dict[str, Any]:
        return {
            **super().get_form_kwargs(),
            "plan": self.nothing,
            "may_cancel": self.request.user.has_perm(CANCEL),
        }

    def planned(self, form: RefundForm) -> RefundPlan:
        return self.nothing.choosing(
            seat_ids=form.cleaned_data.get("seats") or (),
            extra=form.cleaned_data.get("extra") or 0,
        )

    def form_valid(self, form: Any) -> HttpResponse:
        plan = self.planned(form)
        if not plan.is_possible:
            words = gettext("%(amount)s is more than can be refunded: %(left)s.")
            left = in_won(plan.reservation.refundable_amount)
            form.add_error("extra", words % {"amount": in_won(plan.amount), "left": left})
            return self.form_invalid(form)
        return super().form_valid(form)

    def plan(self, form: RefundForm) -> Lines:
        parameters = self.kind.parameters(self.planned(form))
        return [
            *self.kind.preview(parameters),
            second_person_in_words(self.kind, parameters),
        ]

    def carry_out(self, form: RefundForm) -> HttpResponse:
        assert self.request.user.pk is not None
        parameters = self.kind.parameters(self.planned(form))
        by: dict[str, Any] = {
            "reason": form.cleaned_data["reason"],
            "staff_id": self.request.user.pk,
        }
        if self.kind.needs_second_person(parameters):
            job = request_job(kind=self.kind.name, parameters=parameters, **by)
            self.say(messages.SUCCESS, gettext("A second person has to approve this."))
            return redirect("admin:boxoffice_staffjob_change", job.pk)
        try:
            with transaction.atomic():
                given = give_back.step(
                    reservation_id=self.reservation.pk,
                    seat_ids=parameters["seat_ids"],
                    amount=parameters["extra"],
                    refunded_before=parameters["refunded_before"],
                    **by,
                )
        except DomainError as refusal:
            form.add_error(None, str(refusal.message or CODES[refusal.code].message))
            return self.form_invalid(form)
        self.say(messages.SUCCESS, given.in_words)
        return redirect(self.back_url())


class SelectionForm(forms.Form):
    reason = ReasonField()


class SelectionView(AsksBack):
    """Cancels the reservations that `?ids=` names, each with a result of its own, in the background."""

    title = _("Cancel the selected reservations")
    permission_required = (CANCEL,)
    form_class = SelectionForm
    carry_out_label = _("Cancel them")
    explanation = _(
        "Every seat of these reservations is given back and refunded. If one of them cannot be cancelled, the others are all the same."
    )
    kind: ClassVar = CancelReservations()

    @cached_property
    def reservation_ids(self) -> list[str]:
        return ids_in_address(self.request.GET.get("ids", ""))

    def back_url(self) -> str:
        return reverse("admin:reservations_reservation_changelist")

    def plan(self, form: SelectionForm) -> Lines:
        parameters = self.kind.parameters(self.reservation_ids)
        return [
            *self.kind.preview(parameters),
            second_person_in_words(self.kind, parameters),
        ]

    def form_valid(self, form: Any) -> HttpResponse:
        if not self.kind.parameters(self.reservation_ids)["sold"]["reservations"]:
            form.add_error(None, gettext("None of these reservations can be cancelled any more."))
            return self.form_invalid(form)
        return super().form_valid(form)

    def carry_out(self, form: SelectionForm) -> HttpResponse:
        assert self.request.user.pk is not None
        job = request_job(
            kind=self.kind.name,
            parameters=self.kind.parameters(self.reservation_ids),
            reason=form.cleaned_data["reason"],
            staff_id=self.request.user.pk,
        )
        return redirect("admin:boxoffice_staffjob_change", job.pk)


def ids_in_address(text: str) -> list[str]:
    """Return the ids that an address names, as texts; what cannot be one is passed over."""
    found = []
    for part in text.split(".")[:SELECTION_MAX]:
        try:
            found.append(str(UUID(part)))
        except ValueError:
            continue
    return found


class GivesBack:
    """Mixin for the admin of reservations, with the ways to these pages; stands before it."""

    admin_site: Any

    actions = ("cancel_selected",)
    actions_detail: tuple[str, ...] = ("give_back",)

    def get_urls(self) -> list[URLPattern]:
        pages = {"<uuid:pk>/refund/": RefundView, "cancel-selected/": SelectionView}
        own = [
            path(
                route,
                self.admin_site.admin_view(page.as_view(model_admin=self)),
                name=f"reservations_reservation_{name}",
            )
            for name, (route, page) in zip(
                ("refund", "cancel_selected"), pages.items(), strict=True
            )
        ]
        return [*own, *super().get_urls()]  # type: ignore[misc]

    def has_give_back_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return any(request.user.has_perm(name) for name in (CANCEL, REFUND))

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm(CANCEL)

    @action(description=_("Cancel or refund"), permissions=["give_back"], icon="undo")
    def give_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return lead_to("admin:reservations_reservation_refund", object_id)

    @action(description=_("Cancel and refund"), permissions=["cancel"])
    def cancel_selected(
        self, request: HttpRequest, queryset: QuerySet[Reservation]
    ) -> HttpResponse | None:
        chosen = list(queryset.order_by("pk").values_list("pk", flat=True)[: SELECTION_MAX + 1])
        if len(chosen) > SELECTION_MAX:
            words = gettext("Choose no more than %(count)s reservations at a time.")
            messages.warning(request, words % {"count": SELECTION_MAX})
            return None
        ids = ".".join(pk.hex for pk in chosen)
        return redirect(f"{reverse('admin:reservations_reservation_cancel_selected')}?ids={ids}")
