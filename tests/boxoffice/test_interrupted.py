"""A form of the admin that came to nothing is as good as before; one that acted does not act again."""

import threading
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection, connections
from django.test import Client
from django.urls import reverse

from apps.api.models import IdempotencyRecord
from apps.boxoffice.base import forms as admin_forms
from apps.concerts.models import Concert, Performance, Seat
from apps.payments.models import LedgerTransaction, Wallet
from apps.queue.models import PolicyChange, WaitingRoom
from tests.boxoffice.sending import layout_form, shown_by
from tests.boxoffice.staff import list_of, logged_in, page_of
from tests.conftest import Race
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory

pytestmark = pytest.mark.django_db(transaction=True)


class Form(NamedTuple):
    """A page with a form, what is typed there, the row it needs, whether it is carried out, and what is said of a second time."""

    url: str
    values: dict[str, Any]
    row: Any
    is_done: Callable[[], bool]
    again: str = "This form was sent before. It has not been carried out twice."


def a_pause() -> Form:
    room = WaitingRoomFactory()
    url = reverse("admin:queue_waitingroom_steer", args=[room.pk, "pause"])
    return Form(url, {"reason": "Slow"}, room, lambda: WaitingRoom.objects.get().state == "PAUSED")


def a_correction() -> Form:
    wallet = WalletFactory(balance=1_000)
    values = {"customer": wallet.pk, "amount": 500, "reason": "Goodwill"}
    return Form(
        list_of(LedgerTransaction, "add"),
        values,
        wallet,
        lambda: Wallet.objects.get().balance == 1_500,
    )


def seats_of_two_dates() -> Form:
    performances = [PerformanceFactory(), PerformanceFactory()]
    dates = [performance.pk for performance in performances]
    layout = layout_form(("A", 2, 5, "R", 1_000), performances=dates)
    url = list_of(Performance, "generate_seats")
    return Form(url, layout, performances[-1], lambda: Seat.objects.count() == 20)


def a_withdrawal_of_two() -> Form:
    concerts = ConcertFactory.create_batch(2)
    query = "&".join(f"concert={concert.pk}" for concert in concerts)
    url = f"{list_of(Concert, 'withdraw')}?{query}"
    return Form(
        url,
        {"reason": "Rain"},
        concerts[-1],
        lambda: not Concert.objects.filter(is_published=True).exists(),
    )


def a_publication() -> Form:
    concert = ConcertFactory(is_published=False)
    url = page_of(concert, "publish")
    return Form(url, {}, concert, lambda: Concert.objects.get().is_published)


def a_deletion() -> Form:
    performance = PerformanceFactory()
    url = page_of(performance, "delete")
    return Form(
        url,
        {"_expected": 1},
        performance,
        lambda: not Performance.objects.exists(),
        again="Perhaps it was deleted?",
    )


FORMS = [a_pause, seats_of_two_dates, a_withdrawal_of_two, a_publication, a_deletion]


@pytest.fixture
def staff() -> Client:
    return logged_in(CustomerFactory(admin=True), raise_request_exception=False)


@pytest.fixture
def elsewhere() -> Generator[Any]:
    """Another connection, with a transaction that is rolled back at the end."""
    rival = connection.copy()
    with rival.cursor() as cursor:
        cursor.execute("BEGIN")
        yield cursor
        cursor.execute("ROLLBACK")
    rival.close()


@pytest.fixture
def _impatient() -> Generator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 100")
    yield
    connection.close()


def lock(cursor: Any, obj: Any) -> None:
    cursor.execute(f"SELECT FROM {obj._meta.db_table} WHERE id = %s FOR UPDATE", [obj.pk])


def nothing_is_on_record() -> bool:
    records = (LogEntry, PolicyChange, IdempotencyRecord)
    return not any(model.objects.exists() for model in records)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("make", FORMS)
def test_what_took_too_long_may_be_sent_again(
    staff: Client, elsewhere: Any, make: Callable[[], Form]
) -> None:
    form = make()
    sent = {"_shown": shown_by(staff, form.url), **form.values}
    lock(elsewhere, form.row)

    refused = staff.post(form.url, sent)

    assert refused.status_code == 503
    assert nothing_is_on_record()
    assert not form.is_done()

    elsewhere.execute("ROLLBACK")
    answers = [staff.post(form.url, sent) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [302, 302]
    assert form.is_done()
    assert LogEntry.objects.exists()
    told = [
        str(message) for message in staff.get(answers[1].headers["Location"]).context["messages"]
    ]
    assert form.again in told[-1]
    assert len(told) == (3 if make is seats_of_two_dates else 2)


def test_so_may_what_a_dead_connection_has_cut_off(staff: Client, elsewhere: Any) -> None:
    form = a_pause()
    sent = {"_shown": shown_by(staff, form.url), **form.values}
    lock(elsewhere, form.row)

    killer = threading.Thread(target=_kill_what_waits)
    killer.start()
    refused = staff.post(form.url, sent)
    killer.join()
    connection.close()

    assert refused.status_code == 503
    assert nothing_is_on_record()

    elsewhere.execute("ROLLBACK")
    assert staff.post(form.url, sent).status_code == 302
    assert form.is_done()


def _kill_what_waits() -> None:
    try:
        with connection.cursor() as cursor:
            while not cursor.rowcount > 0:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
    finally:
        connections.close_all()


@pytest.mark.parametrize("make", FORMS)
def test_a_double_click_acts_once(staff: Client, race: Race, make: Callable[[], Form]) -> None:
    form = make()
    sent = {"_shown": shown_by(staff, form.url), **form.values}

    answers = race([lambda: staff.post(form.url, sent)] * 2)

    assert [answer.status_code for answer in answers] == [302, 302]
    assert form.is_done()
    entries = LogEntry.objects.values_list("object_id", "content_type").distinct().count()
    assert LogEntry.objects.count() == entries


def test_the_double_click_is_real_without_the_record(
    staff: Client, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twin: a form that leaves nothing behind is carried out as often as it is sent."""
    form = a_correction()
    sent = {"_shown": shown_by(staff, form.url), **form.values}
    monkeypatch.setattr(admin_forms, "_claim", lambda *_: IdempotencyRecord())
    monkeypatch.setattr(admin_forms, "keep_location", lambda *_: None)

    race([lambda: staff.post(form.url, sent)] * 2)

    assert LedgerTransaction.objects.filter(amount=500).count() == 2
