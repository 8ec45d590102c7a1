"""One of everything that staff have pages for, made the way it comes about."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from apps.accounts.models import User
from apps.boxoffice.base.jobs.kinds import KINDS, SingleStep, register_kind
from apps.boxoffice.base.jobs.models import StaffJob
from apps.concerts.halls import plan_of, save_template
from apps.core.notices import NoticeText
from apps.ops.models import JobProgress
from apps.outbox.draining import drain
from apps.outbox.models import DeliveryReplay, Receiver
from apps.queue.models import WaitingRoom
from apps.queue.services import notify_visitors, set_capacity
from apps.reservations.services import notify_holders
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory, keep_back
from tests.factories.jobs import job_of_staff
from tests.factories.reservations import hold, reservation
from tests.factories.visitors import admitted_visitor

Everything = dict[type[Model], Model]


def a_sale_and_a_cancellation() -> None:
    performance = PerformanceFactory(seats=4, concert__seats_per_customer=2)
    first, second, third, fourth = performance.seats.order_by("pk")
    hall = plan_of(performance.pk)
    with transaction.atomic():
        save_template(name=f"Hall {performance.pk}", venue="Harbour Hall", seats=hall)
    keep_back(fourth, allocated_by=CustomerFactory(staff=True))
    visitor = admitted_visitor(performance.concert_id)
    hold(CustomerFactory(), [third])
    reservation(visitor.customer, [first])
    cancelled = reservation(visitor.customer, [second])
    visitor.post(f"/reservations/{cancelled.pk}/cancel", key="c")
    drain(consumer="ranking")
    visitor.delete("/queue/tokens/me")
    told: dict[str, Any] = {
        "text": NoticeText(ko="안내"),
        "staff_id": CustomerFactory(staff=True).pk,
    }
    notify_visitors(concert_id=performance.concert_id, **told)
    notify_holders(performance_id=performance.pk, **told)


class Step(SingleStep):
    """Something that a second person has to approve."""

    name = "tests_step"
    label = "Step"
    permission = "payments.add_ledgertransaction"

    def title(self, parameters: Any) -> str:
        return "A step"

    def apply(self, subject: str, job: StaffJob) -> str:
        return "done"


def one_of_each() -> Everything:
    """Return an object for each kind of page; the account is a customer's, the job awaits approval, the group is no role."""
    a_sale_and_a_cancellation()
    staff = CustomerFactory(staff=True)
    Receiver.objects.create(consumer="external_sync")
    DeliveryReplay.objects.create(chosen="all", actor="root")
    JobProgress.objects.create(name="purge")
    ushers = Group.objects.create(name="Ushers")
    job_of_staff(staff)
    waiting = job(staff)
    room = WaitingRoom.objects.get()
    set_capacity(concert_id=room.concert_id, capacity=77, staff_id=staff.pk, reason="Rain")
    customer = CustomerFactory()
    made: dict[type[Model], Any] = {
        model: model._default_manager.order_by("pk").first() for model in admin.site._registry
    }
    return {**made, User: customer, StaffJob: waiting, Group: ushers}


def job(staff: Any) -> StaffJob:
    """Return a job that awaits approval."""
    if Step.name not in KINDS:
        register_kind(Step())
    return StaffJob.objects.create(
        kind=Step.name,
        reason="Because",
        status=StaffJob.Status.AWAITING_APPROVAL,
        requested_by=staff,
        requested_at=timezone.now(),
        language="en",
    )
