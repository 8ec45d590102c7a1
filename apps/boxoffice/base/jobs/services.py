"""Every write to the jobs of staff."""

import time
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone
from django.utils.translation import get_language, gettext, override

from apps.boxoffice.base.jobs.errors import (
    SecondPersonRequired,
    StaffJobDecided,
    StaffJobNotFound,
)
from apps.boxoffice.base.jobs.kinds import KINDS, JobKind, Parameters
from apps.boxoffice.base.jobs.models import DETAIL_MAX, StaffJob, StaffJobRow
from apps.boxoffice.base.jobs.signals import StaffJobStarted, staff_job_started
from apps.core.codes import CODES
from apps.core.errors import DomainError, ServiceUnavailable
from apps.core.history import note
from apps.core.transactions import (
    database_now,
    requires_transaction,
    run_in_transaction,
    send_on_commit,
    use_case,
)

logger = structlog.get_logger(__name__)

Status = StaffJob.Status
Outcome = StaffJobRow.Outcome

READ_AHEAD = 200  # rows
RUN_SECONDS = 20.0  # of one run, after which another job may have its turn
# What is wrong with a server or with a lock that was waited for, and not with the row.
_NOT_NOW = (ServiceUnavailable, OperationalError, InterfaceError)


@requires_transaction
def request_job(*, kind: str, parameters: Parameters, reason: str, staff_id: int) -> StaffJob:
    """Ask for a job: it starts after the commit, or waits until a second person approves it. The caller has checked the permission."""
    described = KINDS[kind]
    waits = described.needs_second_person(parameters)
    job = StaffJob.objects.create(
        kind=kind,
        parameters=dict(described.with_names(parameters)),
        reason=reason,
        status=Status.AWAITING_APPROVAL if waits else Status.RUNNING,
        requested_by_id=staff_id,
        requested_at=database_now(),
        language=get_language() or settings.LANGUAGE_CODE,
        rows_total=described.total(parameters),
    )
    note([job], f"{gettext('Requested.')} {reason}".strip(), staff_id=staff_id)
    if not waits:
        send_on_commit(staff_job_started, StaffJobStarted(job.pk))
    return job


@requires_transaction
def note_as_done(*, kind: str, parameters: Parameters, reason: str, staff_id: int) -> StaffJob:
    """Record a job that needs no second person and is done in the transaction that is open, so that what is done in parts adds up."""
    now = database_now()
    return StaffJob.objects.create(
        kind=kind,
        parameters=dict(KINDS[kind].with_names(parameters)),
        reason=reason,
        status=Status.DONE,
        requested_by_id=staff_id,
        requested_at=now,
        finished_at=now,
        language=get_language() or settings.LANGUAGE_CODE,
        rows_total=1,
        rows_applied=1,
    )


def done_alone(*, kind: str, staff_id: int, within: timedelta) -> list[Parameters]:
    """Return the parameters of the jobs of a kind that an account has done lately without a second person."""
    since = timezone.now() - within
    own = StaffJob.objects.filter(requested_by=staff_id, decided_by=None, status=Status.DONE)
    return list(own.filter(kind=kind, requested_at__gt=since).values_list("parameters", flat=True))


@use_case
def approve_job(*, job_id: UUID, staff_id: int, reason: str = "") -> StaffJob:
    """Let a job begin. The caller has checked the permission.

    :raises StaffJobNotFound: there is none.
    :raises StaffJobDecided: it was approved or rejected before.
    :raises SecondPersonRequired: it was asked for by this account.
    """
    job = _decide(job_id, staff_id, Status.RUNNING, reason)
    # Counted anew: what it is about may have changed since it was asked for.
    job.rows_total = KINDS[job.kind].total(job.parameters)
    job.save(update_fields=["rows_total"])
    note([job], f"{gettext('Approved.')} {reason}".strip(), staff_id=staff_id)
    send_on_commit(staff_job_started, StaffJobStarted(job.pk))
    return job


@use_case
def reject_job(*, job_id: UUID, staff_id: int, reason: str) -> StaffJob:
    """End a job before it began, which takes a `reason`. Who asked for it may take it back, too, which keeps no second name.

    :raises StaffJobNotFound: there is none.
    :raises StaffJobDecided: it was approved or rejected before.
    """
    if not reason.strip():
        raise ValueError("Rejecting a job takes a reason.")
    job = _decide(job_id, staff_id, Status.REJECTED, reason)
    note([job], f"{gettext('Rejected.')} {reason}".strip(), staff_id=staff_id)
    return job


def _decide(job_id: UUID, staff_id: int, status: Status, reason: str) -> StaffJob:
    job = StaffJob.objects.select_for_update(no_key=True).filter(pk=job_id).first()
    if job is None:
        raise StaffJobNotFound
    if job.status != Status.AWAITING_APPROVAL:
        raise StaffJobDecided
    is_own = job.requested_by_id == staff_id
    if is_own and status != Status.REJECTED:
        raise SecondPersonRequired
    now = database_now()
    job.status, job.decision_reason = status, reason.strip()
    if not is_own:
        job.decided_by_id, job.decided_at = staff_id, now
    if status == Status.REJECTED:
        job.finished_at = now
    job.save(update_fields=["status", "decision_reason", "decided_by", "decided_at", "finished_at"])
    return job


def run_jobs(*, seconds: float = RUN_SECONDS) -> bool:
    """Work on the jobs that are running, the oldest first; returns whether there is more to do than fitted into the time.

    Several may run at once: each row is done by the one that has its job's lock.
    """
    ends_at = time.monotonic() + seconds
    for job_id in StaffJob.objects.running().order_by("pk").values_list("pk", flat=True)[:100]:
        is_done = run_job(job_id=job_id, seconds=ends_at - time.monotonic())
        # One that waits for something else does so until the next tick of the clock, and lets the others have their turn.
        if not is_done and time.monotonic() >= ends_at:
            return True
    return False


def run_job(*, job_id: UUID, seconds: float = RUN_SECONDS) -> bool:
    """Do rows of a job until there are none left, or the time is over, or a row cannot be done yet; returns whether the job is done."""
    ends_at = time.monotonic() + seconds
    job = StaffJob.objects.filter(pk=job_id).first()
    if job is None or job.kind not in KINDS:
        return True
    with override(job.language):
        return _run(KINDS[job.kind], job_id, job.parameters, ends_at)


def _run(kind: JobKind, job_id: UUID, parameters: Parameters, ends_at: float) -> bool:
    while True:
        reached = StaffJob.objects.values_list("reached", flat=True).get(pk=job_id)
        subjects = kind.subjects(parameters, after=reached, limit=READ_AHEAD)
        for subject in subjects:
            if time.monotonic() >= ends_at:
                return False
            try:
                if not _do_row(kind, job_id, subject):
                    return True
            except _NOT_NOW as error:
                logger.warning(
                    "staff_job_row_postponed",
                    job_id=str(job_id),
                    subject=subject,
                    error=type(error).__name__,
                )
                return False
        if not subjects:
            return run_in_transaction(lambda: _finish(kind, job_id))


def _do_row(kind: JobKind, job_id: UUID, subject: str) -> bool:
    """Do one row with its result; returns False if the job is not running any more.

    :raises ServiceUnavailable, OperationalError, InterfaceError: it may be done later, and has no result yet.
    """
    try:
        return run_in_transaction(lambda: _apply(kind, job_id, subject))
    except _NOT_NOW:
        raise
    except (
        Exception
    ) as error:  # whatever is wrong with one row keeps none of the others from being done
        logger.exception("staff_job_row_failed", job_id=str(job_id), subject=subject)
        words = gettext("Failed: %(error)s") % {"error": type(error).__name__}
        return run_in_transaction(lambda: _refuse(job_id, subject, words))


def _locked(job_id: UUID) -> StaffJob | None:
    return StaffJob.objects.select_for_update(no_key=True).running().filter(pk=job_id).first()


def _apply(kind: JobKind, job_id: UUID, subject: str) -> bool:
    job = _locked(job_id)
    if job is None:
        return False
    if _has_result(job, subject):
        return True
    try:
        with transaction.atomic():
            detail = kind.apply(subject, job)
    except ServiceUnavailable:
        raise
    except DomainError as refusal:
        words = refusal.message or getattr(refusal, "reason", None) or CODES[refusal.code].message
        _keep(job, subject, Outcome.REFUSED, str(words))
    else:
        _keep(job, subject, Outcome.APPLIED, detail)
    return True


def _refuse(job_id: UUID, subject: str, words: str) -> bool:
    job = _locked(job_id)
    if job is not None and not _has_result(job, subject):
        _keep(job, subject, Outcome.REFUSED, words)
    return job is not None


def _has_result(job: StaffJob, subject: str) -> bool:
    """Tell whether another process has done this row since it was read."""
    return StaffJobRow.objects.filter(job=job, subject=subject).exists()


def _keep(job: StaffJob, subject: str, outcome: Outcome, detail: str) -> None:
    StaffJobRow.objects.create(
        job=job, subject=subject, outcome=outcome, detail=detail[:DETAIL_MAX]
    )
    job.reached = subject
    if outcome == Outcome.APPLIED:
        job.rows_applied += 1
    else:
        job.rows_refused += 1
    job.save(update_fields=["reached", "rows_applied", "rows_refused"])


def _finish(kind: JobKind, job_id: UUID) -> bool:
    job = _locked(job_id)
    if job is None:
        return True
    if kind.subjects(job.parameters, after=job.reached, limit=1):
        return False
    job.status, job.finished_at = Status.DONE, database_now()
    job.save(update_fields=["status", "finished_at"])
    logger.info(
        "staff_job_done",
        job_id=str(job_id),
        kind=kind.name,
        applied=job.rows_applied,
        refused=job.rows_refused,
    )
    return True
