"""The locks of every use case, read from the SQL it emits, are those of `docs/locking.md` in that order."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from traceback import walk_stack
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.api.idempotency import idempotent
from apps.boxoffice.base.jobs.kinds import Parameters, SingleStep, register_kind
from apps.boxoffice.base.jobs.models import StaffJob
from apps.boxoffice.base.jobs.services import approve_job, reject_job, request_job, run_job
from apps.concerts import corrections, inventory
from apps.concerts import services as concerts
from apps.concerts.copying import add_dates, duplicate_concert
from apps.concerts.layouts import DEFAULT_LAYOUT, build_seats
from apps.concerts.models import Concert, Grade, Performance, Seat, SeatKind
from apps.concerts.publication import publish_concert, withdraw_concert
from apps.concerts.scheduling import call_off_performance, reschedule_performance
from apps.concerts.seat_changes import change_seats, existing_seats
from apps.core.database import Statement, load_statements
from apps.core.notices import NoticeText
from apps.core.transactions import Steps, run_in_transaction
from apps.ops.purging import purge
from apps.ops.retention import EVENTS
from apps.outbox.draining import drain
from apps.outbox.models import EventDelivery, OutboxEvent, Receiver
from apps.outbox.receiver_health import note_success
from apps.payments.counter import PaidBy
from apps.payments.services import adjust_wallet, charge_wallet
from apps.queue import services as queue
from apps.reservations import services as reservations
from apps.reservations.models import Hold
from tests.boxoffice.sending import shown_by
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import (
    ConcertFactory,
    PerformanceFactory,
    category_of,
    keep_back,
)
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, overdue_hold, reservation
from tests.outbox.deliveries import make_due
from tests.protections import (
    LOCK_OF_THE_WALLET,
    ORDER_OF_THE_SEATS_OF_A_HOLD,
    statements,
    without,
)

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
TABLES = {
    "concerts_seat": "seats",
    "reservations_hold": "holds",
    "payments_wallet": "wallet",
    "concerts_concert": "concert",
    "concerts_performance": "performance",
    "queue_waitingroom": "waiting room",
    "outbox_eventdelivery": "delivery",
    "outbox_receiver": "receiver",
    "ops_jobprogress": "progress",
    "boxoffice_staffjob": "job",
    "old": "what is old",
}
ADVISORY = {
    "lock_key": "idempotency key",
    "lock_customer": "customer",
    "lock_customer_of_hold": "customer",
    "lock_best_seats": "best seats",
    "lock_giver": "giver",
}
FILES = {
    name: path.relative_to(ROOT).as_posix()
    for path in (ROOT / "apps").rglob("*.sql")
    for name in load_statements(path)
}
MODE = r"tries|waits|NOWAIT|SKIP LOCKED"


# --- What the page says -----------------------------------------------------------------------------------------------


def documented() -> tuple[list[str], dict[str, list[tuple[str, str]]]]:
    """The kinds in their order, and for each use case its pairs of kind and mode."""
    page = (ROOT / "docs" / "locking.md").read_text()
    table = page.partition("<!-- locks:")[2].partition("<!-- end of locks -->")[0]
    heading, _, *rows = [line.split("|")[1:-1] for line in table.splitlines() if line[:1] == "|"]
    kinds = [cell.strip() for cell in heading[1:-1]]
    locks: dict[str, list[tuple[str, str]]] = {}
    for first, *cells, others in rows:
        taken = [
            (kind, mode)
            for kind, cell in zip(kinds, cells, strict=True)
            for mode in re.findall(MODE, cell)
        ]
        taken += [(kind.strip(), mode) for kind, mode in re.findall(rf"([a-z ]+) ({MODE})", others)]
        locks |= dict.fromkeys(re.findall(r"`(\w+)`", first), taken)
    return kinds, locks


KINDS, DOCUMENTED = documented()


# --- What the code does -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lock:
    kind: str
    mode: str
    ids: list[Any]
    is_ordered: bool  # by the statement itself: what rows come in by chance is no order


@dataclass
class Recorder:
    """An execute wrapper that understands locks."""

    locks: list[Lock] = field(default_factory=list)
    unlocked_writes: list[str] = field(default_factory=list)
    places: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        lock = self._advisory(sql) or self._row_lock(sql, context["cursor"].cursor)
        if lock:
            # Its lock ends with the statement that took it.
            changes_it_itself = re.search(
                "UPDATE (queue_waitingroom|outbox_eventdelivery|outbox_receiver)", sql
            )
            assert connection.in_atomic_block or changes_it_itself
            self.locks.append(lock)
            self.places |= set(_places_on_the_stack())
            if isinstance(sql, Statement):
                self.places.add((FILES[sql.name], sql.name))
        written = {TABLES.get(table) for table in re.findall(r'(?<!KEY )UPDATE "?(\w+)', sql)}
        needed = written & {"seats", "holds", "wallet"}
        if needed - {lock.kind for lock in self.locks}:
            self.unlocked_writes.append(sql)
        return result

    @staticmethod
    def _advisory(sql: str) -> Lock | None:
        if "advisory" not in sql:
            return None
        assert isinstance(sql, Statement)
        mode = "tries" if "pg_try_advisory_xact_lock" in sql else "waits"
        assert mode == "tries" or "pg_advisory_xact_lock" in sql
        return Lock(ADVISORY[sql.name], mode, [], True)

    @staticmethod
    def _row_lock(sql: str, cursor: Any) -> Lock | None:
        found = list(
            re.finditer(
                r'FOR (NO KEY UPDATE|UPDATE|SHARE)(?: OF "?(\w+)"?)?(?: (NOWAIT|SKIP LOCKED))?',
                sql,
            )
        )
        if not found:
            return None
        [(strength, alias, mode)] = {
            match.groups() for match in found
        }  # locks of one kind in one mode
        assert strength != "UPDATE" or alias == "old", (
            f"keys are locked, too: {sql}"
        )  # a purge deletes rows
        tables = re.findall(r'(?:FROM|JOIN) "?(\w+)"?(?: (\w+))?', sql[: found[0].start()])
        table = next(table for table, other in tables if alias in (None, table, other))
        kind = TABLES["old"] if alias == "old" else TABLES[table]
        rows = cursor.fetchall()  # in a pipeline, too, this waits for them
        if rows:
            cursor.scroll(0, mode="absolute")  # for whom they are meant
        keys = ("customer_id",) if kind == "wallet" else ("id", "pk")
        places = [place for place, column in enumerate(cursor.description) if column.name in keys]
        ids = [row[places[0]] for row in rows if places]
        return Lock(kind, mode or "waits", ids, "ORDER BY" in sql)

    @property
    def sequence(self) -> list[tuple[str, str]]:
        """Kinds and modes as they came; taking the same again is nothing new."""
        return [pair for pair, _ in groupby((lock.kind, lock.mode) for lock in self.locks)]


def _places_on_the_stack() -> Iterator[tuple[str, str]]:
    for frame, _ in walk_stack(None):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT / "apps"):
            yield path.relative_to(ROOT).as_posix(), frame.f_code.co_name


def recorded(call: Callable[[], object]) -> Recorder:
    recorder = Recorder()
    with connection.execute_wrapper(recorder):
        call()
    return recorder


# --- Every use case, met with as much in its way as possible ----------------------------------------------------------


def seats_in_disorder(count: int = 3) -> list[Seat]:
    """Seats of one performance by descending id, which also is the order in which they lie in their table."""
    performance = PerformanceFactory(seats=count, concert__seats_per_customer=count)
    seats = list(performance.seats.order_by("-pk"))
    for seat in seats:
        Seat.objects.filter(pk=seat.pk).update(y=F("y"))
    return seats


def stale_holds(seats: list[Seat]) -> None:
    """An overdue hold on each, lying in their table by descending id."""
    holds = [overdue_hold(CustomerFactory(), [seat]) for seat in seats]
    for stale in sorted(holds, key=lambda hold: hold.pk, reverse=True):
        Hold.objects.filter(pk=stale.pk).update(seat_limit=F("seat_limit"))


def once(customer: User, decide: Callable[[], Steps[Any]]) -> Callable[[], object]:
    """As a view calls it, with a key."""
    return partial(
        idempotent,
        customer_id=customer.pk,
        operation="Test",
        key=str(uuid4()),
        fingerprint="",
        decide=decide,
        render=lambda _: (200, b""),
    )


def holding(
    service: Any, choose: Callable[[list[Seat]], dict[str, object]]
) -> Callable[[], object]:
    seats, customer = seats_in_disorder(), CustomerFactory()
    stale_holds(seats)
    hold_some = partial(service.decide, customer_id=customer.pk, admission=None)
    performance_id = seats[0].performance_id
    return once(customer, partial(hold_some, performance_id=performance_id, **choose(seats)))


def releasing() -> Callable[[], object]:
    held = hold(CustomerFactory(), seats_in_disorder())
    return partial(reservations.release_hold, customer_id=held.customer_id, hold_id=held.pk)


def releasing_for_staff() -> Callable[[], object]:
    held = hold(CustomerFactory(), seats_in_disorder())
    staff = CustomerFactory(staff=True)
    release = reservations.release_hold_by_staff
    return partial(release, hold_id=held.pk, reason="x", staff_id=staff.pk)


def selling() -> Callable[[], object]:
    seats, staff = seats_in_disorder(), CustomerFactory(staff=True)
    stale_holds(seats)
    return partial(
        reservations.sell_at_counter,
        performance_id=seats[0].performance_id,
        seat_ids=[seat.pk for seat in seats],
        customer=reservations.WalkUp("Kim"),
        paid_by=PaidBy.CASH,
        staff_id=staff.pk,
    )


def giving() -> Callable[[], object]:
    asked = {"concert_id": PerformanceFactory().concert_id, "tickets": 1}
    staff_id = CustomerFactory(staff=True).pk
    give = partial(reservations.may_give_alone, staff_id=staff_id, **asked)
    return partial(run_in_transaction, give)


def reseating() -> Callable[[], object]:
    customer, staff = CustomerFactory(), CustomerFactory(staff=True)
    others = seats_in_disorder(6)
    # The overdue holds are older than that of the reservation, and some are younger.
    stale_holds(others[:2])
    reserved = reservation(customer, others[3:])
    stale_holds(others[2:3])
    return partial(
        reservations.reseat,
        reservation_id=reserved.pk,
        performance_id=reserved.performance_id,
        seat_ids=[seat.pk for seat in others[:3]],
        paid_by=PaidBy.WALLET,
        reason="x",
        staff_id=staff.pk,
    )


def extending() -> Callable[[], object]:
    held = hold(customer := CustomerFactory(), seats_in_disorder())
    extend = reservations.extend_hold.decide
    return once(customer, partial(extend, customer_id=customer.pk, hold_id=held.pk))


def topping_up_to_pay() -> Callable[[], object]:
    held = hold(customer := CustomerFactory(), seats_in_disorder())
    top_up = partial(reservations.top_up_for_hold.decide, customer_id=customer.pk, amount=1_000)
    return once(customer, partial(top_up, hold_id=held.pk))


def paying() -> Callable[[], object]:
    customer = WalletFactory(balance=1_000_000).customer
    held = hold(customer, seats_in_disorder())
    pay = reservations.confirm_reservation.decide
    return once(customer, partial(pay, customer_id=customer.pk, hold_id=held.pk))


def cancelling() -> Callable[[], object]:
    customer = CustomerFactory()
    reserved = reservation(customer, seats_in_disorder())
    cancel = reservations.cancel_reservation.decide
    return once(customer, partial(cancel, customer_id=customer.pk, reservation_id=reserved.pk))


def giving_back(service: Any, **what: object) -> Callable[[], object]:
    reserved = reservation(CustomerFactory(), seats_in_disorder())
    staff_id = CustomerFactory(staff=True).pk
    return partial(service, reservation_id=reserved.pk, reason="x", staff_id=staff_id, **what)


def calling_off() -> Callable[[], object]:
    call_off = partial(call_off_performance, performance_id=PerformanceFactory().pk, reason="x")
    return partial(run_in_transaction, call_off)


def ending_holds() -> Callable[[], object]:
    seats = seats_in_disorder()
    stale_holds(seats)
    return partial(reservations.release_holds_of, performance_id=seats[0].performance_id)


def topping_up() -> Callable[[], object]:
    customer = CustomerFactory()
    return once(customer, partial(charge_wallet.decide, customer_id=customer.pk, amount=1_000))


def adjusting() -> Callable[[], object]:
    staff, customer = CustomerFactory(staff=True), WalletFactory(balance=5_000).customer
    adjust = partial(adjust_wallet, customer_id=customer.pk, amount=-1, reason="x")
    return partial(run_in_transaction, partial(adjust, staff_id=staff.pk))


def sweeping() -> Callable[[], object]:
    stale_holds(seats_in_disorder())
    return reservations.expire_holds


def painting(service: Callable[..., object], **values: object) -> Callable[[], object]:
    """Change seats as staff do, which were in one category before, and are in another one afterwards if any."""
    seats = seats_in_disorder()
    keep_back(*seats, category="SPONSOR")
    if service is inventory.allocate_seats:
        values["category_id"] = category_of("HOUSE").pk
    change = partial(service, performance_id=seats[0].performance_id, reason="x", staff_id=None)
    return partial(change, seat_ids=[seat.pk for seat in reversed(seats)], **values)


def releasing_what_is_due() -> Callable[[], object]:
    keep_back(*seats_in_disorder(), *seats_in_disorder(), released_at=timezone.now())
    return inventory.release_due_allocations


def generating() -> Callable[[], object]:
    return partial(concerts.generate_seats, performance_id=PerformanceFactory().pk)


def scheduling() -> Callable[[], object]:
    schedule = partial(concerts.create_performance, concert_id=ConcertFactory().pk)
    return partial(schedule, starts_at=timezone.now(), layout=DEFAULT_LAYOUT)


def correcting_prices() -> Callable[[], object]:
    performance = seats_in_disorder()[0].performance
    correct = partial(corrections.correct_prices, performance_id=performance.pk)
    return partial(correct, prices={Grade.R: 1_000}, seat_map_version=performance.seat_map_version)


def changing_seats() -> Callable[[], object]:
    """Change some and remove the others."""
    seats = seats_in_disorder(6)
    kept = existing_seats(seats[0].performance_id)[:3]
    return partial(
        change_seats,
        performance_id=seats[0].performance_id,
        seats=[seat._replace(grade="S") for _pk, seat in reversed(kept)],
        removes_missing=True,
        seat_map_version=seats[0].performance.seat_map_version,
    )


def adding_dates() -> Callable[[], object]:
    starts = [timezone.now() + timedelta(days=days) for days in (3, 4)]
    hall = list(build_seats(DEFAULT_LAYOUT))
    return partial(add_dates, concert_id=ConcertFactory().pk, starts=starts, hall=hall)


def duplicating() -> Callable[[], object]:
    concert = seats_in_disorder()[0].performance.concert
    options: dict[str, Any] = {"title": "T", "days": 7, "with_dates": True, "with_halls": True}
    return partial(duplicate_concert, concert_id=concert.pk, **options)


def deleting(kind: str) -> Callable[[], object]:
    seats = seats_in_disorder() + seats_in_disorder()
    Concert.objects.update(is_published=False)
    delete: Callable[..., object] = getattr(corrections, f"delete_{kind}s")
    of_kind: dict[str, list[Any]] = {
        "seat": seats,
        "performance": [seat.performance for seat in seats],
        "concert": [seat.performance.concert for seat in seats],
    }
    ids = list(dict.fromkeys(row.pk for row in reversed(of_kind[kind])))
    return partial(run_in_transaction, partial(delete, ids=ids))


def rescheduling() -> Callable[[], object]:
    performance = PerformanceFactory()
    move = partial(reschedule_performance, performance_id=performance.pk, starts_at=timezone.now())
    return partial(run_in_transaction, move)


def turning(service: Callable[..., object], **concert: object) -> Callable[[], object]:
    room = WaitingRoomFactory(**{f"concert__{name}": value for name, value in concert.items()})
    return partial(service, concert_id=room.concert_id)


def ranking() -> Callable[[], object]:
    reservation(CustomerFactory(), seats_in_disorder(1))
    return partial(concerts.update_ranking, [OutboxEvent.objects.latest("occurred_at")])


def controlling(
    service: Callable[..., object], **changes: object
) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        concert_id = WaitingRoomFactory().concert_id
        return partial(service, concert_id=concert_id, staff_id=None, **changes)

    return prepare


def editing() -> Callable[[], object]:
    edit = controlling(queue.edit_policy, capacity=7)()
    return partial(run_in_transaction, edit)


def telling_visitors() -> Callable[[], object]:
    return partial(
        queue.notify_visitors,
        concert_id=WaitingRoomFactory().concert_id,
        text=NoticeText(en="Soon."),
        staff_id=CustomerFactory(staff=True).pk,
    )


def saving_a_form() -> Callable[[], object]:
    concert = PerformanceFactory().concert
    staff = Client()
    staff.force_login(CustomerFactory(admin=True))
    page = reverse("admin:concerts_concert_change", args=[concert.pk])
    form = {
        "_shown": shown_by(staff, page)
    }  # it is refused, after it was compared with what it showed
    return partial(staff.post, page, form)


def ticking() -> Callable[[], object]:
    WaitingRoomFactory()
    return queue.admit_visitors


def relaying() -> Callable[[], object]:
    reservation(CustomerFactory(), seats_in_disorder(1))
    make_due()
    return partial(drain, consumer="token_expiry")


def recovering() -> Callable[[], object]:
    reservation(CustomerFactory(), seats_in_disorder(1))
    now = timezone.now()
    EventDelivery.objects.update(last_error="HTTP 404", next_attempt_at=now + timedelta(hours=1))
    Receiver.objects.create(
        consumer="external_sync", failing_since=now - timedelta(hours=1), unhealthy_since=now
    )
    return partial(note_success, consumer="external_sync", lost_alone="")


class LocksNothing(SingleStep):
    name = "tests_locks_nothing"
    label = "Nothing"
    permission = "boxoffice.view_staffjob"

    def title(self, parameters: Parameters) -> str:
        return "Nothing"

    def needs_second_person(self, parameters: Parameters) -> bool:
        return bool(parameters["waits"])

    def apply(self, subject: str, job: StaffJob) -> str:
        return ""


def job_of_staff(service: Callable[..., object], *, waits: bool, **arguments: object) -> Any:
    register_kind(LocksNothing())
    staff = [CustomerFactory(staff=True).pk for _ in range(2)]
    job = run_in_transaction(
        lambda: request_job(
            kind=LocksNothing.name, parameters={"waits": waits}, reason="-", staff_id=staff[0]
        )
    )
    by = {"staff_id": staff[1]} if waits else {}
    return partial(service, job_id=job.pk, **by, **arguments)


def purging() -> Callable[[], object]:
    reservation(CustomerFactory(), seats_in_disorder(1))
    long_ago = timezone.now() - timedelta(days=400)
    OutboxEvent.objects.update(occurred_at=long_ago)
    EventDelivery.objects.update(status="DONE", done_at=long_ago)
    return partial(purge, EVENTS)


USE_CASES: dict[str, Callable[[], Callable[[], object]]] = {
    "hold_seats": partial(
        holding, reservations.hold_seats, lambda seats: {"seat_ids": [seat.pk for seat in seats]}
    ),
    "hold_best_available": partial(
        holding,
        reservations.hold_best_available,
        lambda seats: {"quantity": len(seats), "grade": None},
    ),
    "release_hold": releasing,
    "release_hold_by_staff": releasing_for_staff,
    "sell_at_counter": selling,
    "may_give_alone": giving,
    "reseat": reseating,
    "extend_hold": extending,
    "top_up_for_hold": topping_up_to_pay,
    "confirm_reservation": paying,
    "cancel_reservation": cancelling,
    "cancel_seats": partial(giving_back, reservations.cancel_seats),
    "refund_reservation": partial(giving_back, reservations.refund_reservation, amount=1),
    "give_back": partial(giving_back, reservations.give_back, seat_ids=(), amount=1),
    "release_holds_of": ending_holds,
    "call_off_performance": calling_off,
    "charge_wallet": topping_up,
    "adjust_wallet": adjusting,
    "expire_holds": sweeping,
    "allocate_seats": partial(painting, inventory.allocate_seats),
    "release_seats": partial(painting, inventory.release_seats),
    "set_seat_kind": partial(painting, inventory.set_seat_kind, kind=SeatKind.AISLE),
    "release_due_allocations": releasing_what_is_due,
    "generate_seats": generating,
    "create_performance": scheduling,
    "correct_prices": correcting_prices,
    "change_seats": changing_seats,
    "add_dates": adding_dates,
    "duplicate_concert": duplicating,
    "delete_seats": partial(deleting, "seat"),
    "delete_performances": partial(deleting, "performance"),
    "delete_concerts": partial(deleting, "concert"),
    "reschedule_performance": rescheduling,
    "publish_concert": partial(turning, publish_concert, is_published=False),
    "withdraw_concert": partial(turning, withdraw_concert),
    "update_ranking": ranking,
    "open_room": controlling(queue.open_room),
    "pause_room": controlling(queue.pause_room),
    "resume_room": controlling(queue.resume_room),
    "close_room": controlling(queue.close_room),
    "set_capacity": controlling(queue.set_capacity, capacity=9),
    "set_admissions_per_minute": controlling(
        queue.set_admissions_per_minute, admissions_per_minute=9
    ),
    "edit_policy": editing,
    "notify_visitors": telling_visitors,
    "changeform_view": saving_a_form,
    "admit_visitors": ticking,
    "drain": relaying,
    "note_success": recovering,
    "approve_job": partial(job_of_staff, approve_job, waits=True),
    "reject_job": partial(job_of_staff, reject_job, waits=True, reason="-"),
    "run_job": partial(job_of_staff, run_job, waits=False),
    "purge": purging,
}


@pytest.mark.parametrize("name", USE_CASES)
def test_locks_as_the_page_says(name):
    recorder = recorded(USE_CASES[name]())

    assert recorder.sequence == DOCUMENTED[name]
    ranks = [KINDS.index(kind) for kind, _ in recorder.sequence if kind in KINDS]
    assert ranks == sorted(ranks)
    assert all(len(lock.ids) >= 3 for lock in recorder.locks if lock.kind == "seats")
    # A statement that skips what is locked does not wait, so any order will do.
    waiting = [lock for lock in recorder.locks if lock.mode != "SKIP LOCKED"]
    for kind, group in groupby(waiting, key=lambda lock: lock.kind):
        locks = list(group)
        assert all(lock.is_ordered or len(lock.ids) < 2 for lock in locks), kind
        ids = [pk for lock in locks for pk in lock.ids]
        assert ids == sorted(ids), kind
    assert recorder.unlocked_writes == []


class TestThePage:
    def test_lists_the_kinds_in_the_order_of_its_table(self):
        page = (ROOT / "docs" / "locking.md").read_text()

        assert re.findall(r"^\d\. \*\*([a-z ]+)\*\*", page, flags=re.MULTILINE) == KINDS

    def test_has_the_use_cases_that_are_tried_here(self):
        assert DOCUMENTED.keys() == USE_CASES.keys()

    def test_knows_every_place_that_takes_a_lock(self):
        reached = set()
        for prepare in USE_CASES.values():
            reached |= recorded(prepare()).places

        assert set(places_that_lock()) - reached == set()


def places_that_lock() -> Iterator[tuple[str, str]]:
    """File and function of every call of `lock` or `select_for_update`, and of SQL that locks; file and name of statements."""
    for path in sorted((ROOT / "apps").rglob("*.sql")):
        for statement in load_statements(path).values():
            if _locking_sql(statement):
                yield path.relative_to(ROOT).as_posix(), statement.name
    for path in sorted((ROOT / "apps").rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef) or function.name == "lock":
                continue
            if any(_locks(node) for node in ast.walk(function)):
                yield path.relative_to(ROOT).as_posix(), function.name


def _locks(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in ("lock", "select_for_update")
    text = node.value if isinstance(node, ast.Constant) else ""
    return isinstance(text, str) and _locking_sql(text)


def _locking_sql(text: str) -> bool:
    return bool(re.search(r"pg_\w*advisory|FOR (NO KEY )?UPDATE|FOR SHARE|LOCK TABLE", text))


def test_a_name_stands_for_one_statement():
    names = [name for _, name in statements()]

    assert len(names) == len(set(names)) > 20


class TestTheRecorder:
    """Twins of the tests above: what they would not want to see is seen."""

    def test_sees_rows_that_come_in_descending_order(self):
        seats = seats_in_disorder()
        rows = Seat.objects.filter(pk__in=[seat.pk for seat in seats])

        def lock() -> None:
            with transaction.atomic():
                list(rows.order_by("-pk").select_for_update(no_key=True))

        [taken] = recorded(lock).locks

        assert taken == Lock("seats", "waits", [seat.pk for seat in seats], True)

    def test_sees_rows_that_are_not_ordered(self):
        seats = seats_in_disorder()

        def lock() -> None:
            with transaction.atomic():
                list(Seat.objects.select_for_update(no_key=True, nowait=True))

        [taken] = recorded(lock).locks

        assert (taken.mode, taken.is_ordered) == ("NOWAIT", False)
        assert taken.ids == [seat.pk for seat in seats]

    def test_sees_what_a_pipeline_locks(self, monkeypatch):
        pay = paying()
        without(monkeypatch, ORDER_OF_THE_SEATS_OF_A_HOLD)

        [seats] = [lock for lock in recorded(pay).locks if lock.kind == "seats"]

        assert seats.ids == sorted(seats.ids, reverse=True)
        assert len(seats.ids) == 3

    def test_sees_what_a_pipeline_changes_without_a_lock(self, monkeypatch):
        pay = paying()
        without(monkeypatch, LOCK_OF_THE_WALLET)

        [book] = recorded(pay).unlocked_writes

        assert "UPDATE payments_wallet" in book

    def test_sees_a_change_without_a_lock(self):
        seats_in_disorder(1)

        assert recorded(lambda: Seat.objects.update(x=5)).unlocked_writes
        assert not recorded(lambda: Performance.objects.update(sold_out_at=None)).unlocked_writes
