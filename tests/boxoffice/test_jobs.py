"""Test jobs of staff: a second person, rows that are done once, and results that staff read."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from apps.accounts.models import User
from apps.boxoffice.base.jobs.errors import SecondPersonRequired, StaffJobDecided
from apps.boxoffice.base.jobs.kinds import KINDS, JobKind, Parameters, register_kind
from apps.boxoffice.base.jobs.models import StaffJob, StaffJobRow
from apps.boxoffice.base.jobs.services import (
    approve_job,
    reject_job,
    request_job,
    run_job,
    run_jobs,
)
from apps.boxoffice.tasks import run_jobs as run_jobs_task
from apps.core.errors import ServiceUnavailable
from apps.core.identifiers import new_id
from apps.core.transactions import run_in_transaction
from apps.payments.services import adjust_wallet
from tests.boxoffice.sending import send
from tests.boxoffice.staff import administrator, clerk, list_of, logged_in, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory

pytestmark = pytest.mark.django_db(transaction=True)

Status = StaffJob.Status


class TakeMoney(JobKind):
    """Take an amount from each of some wallets; who has less is refused."""

    name = "tests_take_money"
    label = "Take money"
    permission = "payments.add_ledgertransaction"

    def title(self, parameters: Parameters) -> str:
        return f"Take {parameters['amount']} won"

    def preview(self, parameters: Parameters) -> Sequence[tuple[str, str]]:
        return [("Wallets", str(self.total(parameters)))]

    def needs_second_person(self, parameters: Parameters) -> bool:
        return bool(parameters["amount"] > 1_000)

    def total(self, parameters: Parameters) -> int:
        return len(parameters["wallets"])

    def subjects(self, parameters: Parameters, *, after: str, limit: int) -> Sequence[str]:
        left = [wallet for wallet in sorted(parameters["wallets"]) if wallet > int(after or 0)]
        return [str(wallet) for wallet in left[:limit]]

    def apply(self, subject: str, job: StaffJob) -> str:
        adjust_wallet(
            customer_id=int(subject),
            amount=-job.parameters["amount"],
            reason=job.reason,
            staff_id=job.requested_by_id,
        )
        return f"{job.parameters['amount']} taken"


@pytest.fixture(autouse=True)
def kind() -> Iterator[TakeMoney]:
    kind = TakeMoney()
    register_kind(kind)
    yield kind
    del KINDS[kind.name]


@pytest.fixture
def asker() -> User:
    return CustomerFactory(admin=True, name="Ask Er")


@pytest.fixture
def second() -> User:
    return CustomerFactory(admin=True, name="Second Person")


@pytest.fixture
def wallets() -> list[Any]:
    """Three wallets; the second one has less than is taken."""
    return [WalletFactory(balance=balance) for balance in (5_000, 400, 7_000)]


def ask(asker: User, wallets: Sequence[Any], amount: int = 500) -> StaffJob:
    parameters = {"amount": amount, "wallets": [wallet.pk for wallet in wallets]}
    return run_in_transaction(
        lambda: request_job(
            kind="tests_take_money",
            parameters=parameters,
            reason="Fees",
            staff_id=asker.pk,
        )
    )


def balances(wallets: Sequence[Any]) -> list[int]:
    for wallet in wallets:
        wallet.refresh_from_db()
    return [wallet.balance for wallet in wallets]


def outcomes(job: StaffJob) -> list[tuple[str, str]]:
    rows = StaffJobRow.objects.filter(job=job).order_by("pk")
    return list(rows.values_list("outcome", "detail"))


class TestRows:
    def test_each_has_a_result_and_one_refusal_keeps_none_from_being_done(self, asker, wallets):
        job = ask(asker, wallets)

        run_jobs_task()

        job.refresh_from_db()
        assert balances(wallets) == [4_500, 400, 6_500]
        assert [outcome for outcome, _ in outcomes(job)] == ["APPLIED", "REFUSED", "APPLIED"]
        assert outcomes(job)[1][1].startswith("The balance is too low.")
        assert (job.rows_total, job.rows_applied, job.rows_refused) == (3, 2, 1)
        assert job.status == Status.DONE
        assert job.finished_at is not None

    def test_one_that_fails_is_refused_and_undone(self, asker, wallets, kind, monkeypatch):
        def fail(subject: str, job: StaffJob) -> str:
            TakeMoney.apply(kind, subject, job)
            if int(subject) == wallets[0].pk:
                raise ZeroDivisionError
            return "taken"

        monkeypatch.setattr(kind, "apply", fail)
        job = ask(asker, wallets)

        assert run_job(job_id=job.pk)

        assert balances(wallets) == [5_000, 400, 6_500]
        assert outcomes(job)[0] == ("REFUSED", "Failed: ZeroDivisionError")

    @pytest.mark.parametrize("error", [ServiceUnavailable, OperationalError])
    def test_one_that_cannot_be_done_yet_waits_and_keeps_no_other_job_waiting(
        self, asker, wallets, kind, monkeypatch, error
    ):
        def fail(subject: str, job: StaffJob) -> str:
            if int(subject) == wallets[0].pk:
                raise error
            return TakeMoney.apply(kind, subject, job)

        job, other = ask(asker, wallets), ask(asker, wallets[2:])
        with monkeypatch.context() as patch:
            patch.setattr(kind, "apply", fail)
            assert not run_jobs()
        assert outcomes(job) == []
        assert [outcome for outcome, _ in outcomes(other)] == ["APPLIED"]

        run_jobs()

        assert balances(wallets) == [4_500, 400, 6_000]
        assert [outcome for outcome, _ in outcomes(job)] == ["APPLIED", "REFUSED", "APPLIED"]

    def test_a_row_that_waits_too_long_for_a_lock_is_done_later(self, asker, wallets):
        job = ask(asker, wallets)
        rival = connection.copy()
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 100")

        with rival.cursor() as elsewhere:
            elsewhere.execute("BEGIN")
            elsewhere.execute(
                "SELECT FROM payments_wallet WHERE customer_id = %s FOR UPDATE", [wallets[0].pk]
            )
            run_jobs()
            assert outcomes(job) == []
        rival.close()
        run_jobs()
        connection.close()

        assert balances(wallets) == [4_500, 400, 6_500]

    def test_a_process_that_dies_leaves_its_row_to_the_next(
        self, asker, wallets, kind, monkeypatch
    ):
        job = ask(asker, wallets)

        def die(subject: str, job: StaffJob) -> str:
            done = TakeMoney.apply(kind, subject, job)
            if int(subject) == wallets[2].pk:
                raise SystemExit
            return done

        with monkeypatch.context() as patch:
            patch.setattr(kind, "apply", die)
            with pytest.raises(SystemExit):
                run_job(job_id=job.pk)
        assert balances(wallets) == [4_500, 400, 7_000]

        assert not run_jobs()
        assert balances(wallets) == [4_500, 400, 6_500]
        assert len(outcomes(job)) == 3

    def test_wait_for_the_next_run_if_the_time_is_over(self, asker, wallets):
        job = ask(asker, wallets)

        assert run_jobs(seconds=0.0)

        assert balances(wallets) == [5_000, 400, 7_000]
        assert not run_jobs()
        assert len(outcomes(job)) == 3

    def test_are_done_once_by_processes_that_run_at_once(self, asker, race):
        wallets = [WalletFactory(balance=5_000) for _ in range(12)]
        job = ask(asker, wallets)

        race([lambda: run_job(job_id=job.pk)] * 3)

        assert balances(wallets) == [4_500] * 12
        job.refresh_from_db()
        assert (job.rows_applied, job.rows_refused, job.status) == (12, 0, Status.DONE)

    def test_are_told_in_the_language_of_who_asked(self, asker, wallets):
        with translation.override("ko"):
            job = ask(asker, wallets)

        run_jobs()

        assert outcomes(job)[1][1].startswith("잔액이")


class TestSecondPerson:
    def test_must_be_another_one(self, asker, wallets):
        job = ask(asker, wallets, amount=2_000)
        assert not run_jobs()

        with pytest.raises(SecondPersonRequired):
            approve_job(job_id=job.pk, staff_id=asker.pk)

        job.refresh_from_db()
        assert job.status == Status.AWAITING_APPROVAL
        assert balances(wallets) == [5_000, 400, 7_000]

    def test_approves_and_the_rows_are_done(self, asker, second, wallets):
        job = ask(asker, wallets, amount=2_000)

        approve_job(job_id=job.pk, staff_id=second.pk)
        run_jobs()

        job.refresh_from_db()
        assert (job.status, job.decided_by) == (Status.DONE, second)
        assert balances(wallets) == [3_000, 400, 5_000]
        with pytest.raises(StaffJobDecided):
            reject_job(job_id=job.pk, staff_id=second.pk, reason="Too late")

    def test_rejects_and_nothing_is_done(self, asker, second, wallets):
        job = ask(asker, wallets, amount=2_000)

        reject_job(job_id=job.pk, staff_id=second.pk, reason="Wrong amount")
        run_jobs()

        job.refresh_from_db()
        assert (job.status, outcomes(job)) == (Status.REJECTED, [])
        with pytest.raises(StaffJobDecided):
            approve_job(job_id=job.pk, staff_id=second.pk)
        assert balances(wallets) == [5_000, 400, 7_000]

    def test_gives_a_reason_to_reject(self, asker, second, wallets):
        job = ask(asker, wallets, amount=2_000)

        with pytest.raises(ValueError, match="takes a reason"):
            reject_job(job_id=job.pk, staff_id=second.pk, reason=" ")

        job.refresh_from_db()
        assert (job.status, job.decision_reason) == (Status.AWAITING_APPROVAL, "")

    def test_is_not_needed_to_take_it_back(self, asker, wallets):
        job = ask(asker, wallets, amount=2_000)

        reject_job(job_id=job.pk, staff_id=asker.pk, reason="A mistake")

        job.refresh_from_db()
        assert (job.status, job.decided_by) == (Status.REJECTED, None)

    def test_one_of_two_at_once_decides(self, asker, second, wallets, race):
        third = CustomerFactory(admin=True)
        job = ask(asker, wallets, amount=2_000)

        decided = race(
            [
                lambda: approve_job(job_id=job.pk, staff_id=second.pk),
                lambda: reject_job(job_id=job.pk, staff_id=third.pk, reason="No"),
            ]
        )

        assert sum(isinstance(outcome, StaffJobDecided) for outcome in decided) == 1


class TestPages:
    def decide(self, client: Client, job: StaffJob, decision: str, **values: str) -> Any:
        return send(client, f"{list_of(StaffJob)}{job.pk}/{decision}/", values, follow=True)

    def test_a_second_person_sees_what_it_does_and_approves_it(self, asker, second, wallets):
        job = ask(asker, wallets, amount=2_000)
        page = logged_in(second).get(f"{list_of(StaffJob)}{job.pk}/approve/").content.decode()
        for words in ("Take 2000 won", "Wallets: 3", "Fees", "Ask Er"):
            assert words in page

        answer = self.decide(logged_in(second), job, "approve")

        assert "Approved: the job has started." in answer.content.decode()
        assert answer.headers["Refresh"] == "2"
        messages = LogEntry.objects.order_by("pk").values_list("user", "change_message")
        assert list(messages) == [(asker.pk, "Requested. Fees"), (second.pk, "Approved.")]

    def test_an_approval_may_say_why(self, asker, second, wallets):
        job = ask(asker, wallets, amount=2_000)

        page = self.decide(logged_in(second), job, "approve", reason="Checked with the venue")

        job.refresh_from_db()
        assert job.decision_reason == "Checked with the venue"
        assert "Checked with the venue" in page.content.decode()
        [entry] = LogEntry.objects.filter(user=second)
        assert entry.get_change_message() == "Approved. Checked with the venue"

    def test_who_asked_reads_why_the_own_approval_is_refused(self, asker, wallets):
        job = ask(asker, wallets, amount=2_000)

        answer = self.decide(logged_in(asker), job, "approve")

        assert "A second person has to approve it." in answer.content.decode()
        job.refresh_from_db()
        assert job.status == Status.AWAITING_APPROVAL

    def test_a_rejection_needs_a_reason(self, asker, second, wallets):
        job = ask(asker, wallets, amount=2_000)
        self.decide(logged_in(second), job, "reject", reason=" ")
        job.refresh_from_db()
        assert job.status == Status.AWAITING_APPROVAL

        answer = self.decide(logged_in(second), job, "reject", reason="Wrong amount")

        assert "The job was rejected; nothing was done." in answer.content.decode()
        assert "Wrong amount" in logged_in(asker).get(page_of(job)).content.decode()
        [entry] = LogEntry.objects.filter(user=second)
        assert entry.get_change_message() == "Rejected. Wrong amount"
        assert "Refresh" not in answer.headers

    def test_only_who_may_do_it_may_decide(self, asker, wallets):
        job = ask(asker, wallets, amount=2_000)
        url = f"{list_of(StaffJob)}{job.pk}/approve/"

        assert clerk("view_staffjob").get(url).status_code == 403
        assert clerk("view_staffjob", "add_ledgertransaction").get(url).status_code == 200
        assert clerk("add_ledgertransaction").get(url).status_code == 403

    def test_no_other_decision_and_no_other_job_is_known(self, asker, wallets):
        job = ask(asker, wallets, amount=2_000)
        browser = administrator()

        assert browser.get(f"{list_of(StaffJob)}{new_id()}/approve/").status_code == 404
        forgotten = browser.get(f"{list_of(StaffJob)}{job.pk}/forget/", follow=True)
        assert "doesn’t exist" in forgotten.content.decode()

    def test_the_page_shows_results_refused_ones_first(self, asker, wallets):
        job = ask(asker, wallets)
        run_jobs()

        page = administrator().get(page_of(job)).content.decode()

        assert page.index("The balance is too low.") < page.index("500 taken")
        assert "3 / 3" in page
        assert "1 refused" in page

    def test_the_list_takes_a_fixed_number_of_queries(
        self, asker, second, wallets, django_assert_num_queries
    ):
        for _ in range(3):
            ask(asker, wallets)
        browser = logged_in(second)
        browser.get(list_of(StaffJob))

        with django_assert_num_queries(4):
            page = browser.get(list_of(StaffJob)).content.decode()

        assert page.count("Take 500 won") == 3


def test_the_list_asks_no_more_for_more_dates(staff: Client, boss: User) -> None:
    def ask() -> None:
        seats = PerformanceFactory(seats=1).seats
        parameters = {
            "performance_id": seats.get().performance_id,
            "seat_ids": list(seats.values_list("pk", flat=True)),
        }
        with transaction.atomic():
            request_job(kind="release_seats", parameters=parameters, reason="x", staff_id=boss.pk)

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert staff.get(list_of(StaffJob)).status_code == 200
        return len(asked)

    ask()
    queries()
    before = queries()
    ask()

    assert queries() == before
