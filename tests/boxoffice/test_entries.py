"""Whatever staff do through a form stands in a history: who, what from what to what, and the reason that was given."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.test import Client

from apps.accounts.models import User
from apps.concerts.models import Concert, Performance
from apps.payments.models import LedgerTransaction
from tests.boxoffice.rights import PAGES
from tests.boxoffice.season import job
from tests.boxoffice.sending import concert_form, layout_form, send
from tests.boxoffice.staff import list_of, page_of
from tests.boxoffice.test_forms import room_form
from tests.boxoffice.test_history import NOTE_NOTHING, NOTE_THEMSELVES
from tests.factories.accounts import PASSWORD, CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory

pytestmark = pytest.mark.django_db

WHY = "The tour was moved"
REASON = {"entry_reason": WHY}
PASSWORDS = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}


class Entry(NamedTuple):
    """What an entry is about and what it says; `takes_reason` is false where the page does not ask for one."""

    subject: Model
    words: str
    takes_reason: bool = True


def add_concert(staff: Client) -> Entry:
    made = ConcertFactory.build(title="Paper Moons", is_published=False)
    send(staff, list_of(Concert, "add"), concert_form(made) | REASON)
    return Entry(Concert.objects.get(), "Added. Title: Paper Moons.")


def change_concert(staff: Client) -> Entry:
    concert = ConcertFactory(title="Paper Moons")
    send(staff, page_of(concert), concert_form(concert, title="Paper Boats") | REASON)
    return Entry(concert, "Title: Paper Moons → Paper Boats.")


def delete_concert(staff: Client) -> Entry:
    return _delete(staff, ConcertFactory(is_published=False))


def publish(staff: Client) -> Entry:
    concert = ConcertFactory(is_published=False)
    send(staff, page_of(concert, "publish"), REASON)
    return Entry(concert, "Published.")


def withdraw(staff: Client) -> Entry:
    concert = ConcertFactory()
    send(staff, f"{list_of(Concert, 'withdraw')}?concert={concert.pk}", {"reason": WHY})
    return Entry(concert, "Taken offline.")


def add_performance(staff: Client) -> Entry:
    concert = ConcertFactory(title="Paper Moons")
    values = {"concert": concert.pk, **_times(2031), **REASON}
    send(staff, list_of(Performance, "add"), values)
    return Entry(Performance.objects.get(), "Added. Concert: Paper Moons. Starts at: May 1, 2031")


def change_performance(staff: Client) -> Entry:
    performance = PerformanceFactory()
    values = {"concert": performance.concert_id, **_times(2031), **REASON}
    send(staff, page_of(performance), values)
    return Entry(performance, "to May 1, 2031, 7 p.m. (Asia/Seoul).")


def delete_performance(staff: Client) -> Entry:
    return _delete(staff, PerformanceFactory())


def change_prices(staff: Client) -> Entry:
    performance = PerformanceFactory(seats=2)
    form = {"seat_map_version": performance.seat_map_version, "R": "60000", **REASON}
    staff.post(page_of(performance, "prices"), form)
    return Entry(performance, "2 prices changed. R: 50,000 → 60,000")


def make_seats(staff: Client) -> Entry:
    performance = PerformanceFactory()
    layout = layout_form(("A", 2, 5, "R", 1_000), performances=[performance.pk], **REASON)
    send(staff, list_of(Performance, "generate_seats"), layout)
    return Entry(performance, "10 seats made.")


def delete_seat(staff: Client) -> Entry:
    seat = PerformanceFactory(seats=2).seats.order_by("pk")[0]
    send(staff, page_of(seat, "delete"), {"_expected": 1, **REASON})
    return Entry(seat.performance, "Seats deleted (1): ")


def delete_hall(staff: Client) -> Entry:
    performance = PerformanceFactory(seats=2)
    url = f"/admin/concerts/seat/hall/{performance.pk}/delete/"
    send(staff, url, {"_expected": 2, **REASON})
    return Entry(performance, "Seats deleted (2): ")


def change_room(staff: Client) -> Entry:
    room = WaitingRoomFactory()
    send(staff, page_of(room), room_form(capacity=60, reason=WHY))
    return Entry(room, "Capacity: 50 → 60.")


def steer(staff: Client) -> Entry:
    room = WaitingRoomFactory()
    send(staff, f"/admin/queue/waitingroom/{room.pk}/steer/pause/", {"reason": WHY})
    return Entry(room, "Pause: ")


def adjust(staff: Client) -> Entry:
    wallet = WalletFactory(balance=0)
    values = {"customer": wallet.pk, "amount": "10000", "reason": WHY}
    send(staff, list_of(LedgerTransaction, "add"), values)
    return Entry(LedgerTransaction.objects.get(), "Amount: 10,000.")


def add_account(staff: Client) -> Entry:
    values = {"email": "mina@example.com", "name": "Mina", **PASSWORDS, **REASON}
    send(staff, list_of(User, "add"), values)
    return Entry(User.objects.get(email="mina@example.com"), "Email address: mina@example.com.")


def change_account(staff: Client) -> Entry:
    user = CustomerFactory(name="Mina", staff=True)
    ushers, finance = (Group.objects.create(name=name) for name in ("Ushers", "Clerks"))
    user.groups.add(ushers)
    values = {"email": user.email, "name": "Mina Kim", "is_active": "on", "is_staff": "on"}
    send(staff, page_of(user), {**values, "groups": [finance.pk], **REASON})
    return Entry(user, "Name: Mina → Mina Kim. Groups: + Clerks, − Ushers.")


def set_password(staff: Client) -> Entry:
    user = CustomerFactory()
    staff.post(f"/admin/accounts/user/{user.pk}/password/", PASSWORDS)
    return Entry(user, "Password set.", takes_reason=False)


def delete_account(staff: Client) -> Entry:
    return _delete(staff, CustomerFactory())


def add_group(staff: Client) -> Entry:
    send(staff, list_of(Group, "add"), {"name": "Ushers", **REASON})
    return Entry(Group.objects.get(name="Ushers"), "Added. Name: Ushers.")


def change_group(staff: Client) -> Entry:
    group = Group.objects.create(name="Ushers")
    send(staff, page_of(group), {"name": "Clerks", **REASON})
    return Entry(group, "Name: Ushers → Clerks.")


def delete_group(staff: Client) -> Entry:
    return _delete(staff, Group.objects.create(name="Ushers"))


def approve_job(staff: Client) -> Entry:
    waiting = job(CustomerFactory(staff=True))
    send(staff, f"/admin/boxoffice/staffjob/{waiting.pk}/approve/", {})
    return Entry(waiting, "Approved.", takes_reason=False)


def reject_job(staff: Client) -> Entry:
    waiting = job(CustomerFactory(staff=True))
    send(staff, f"/admin/boxoffice/staffjob/{waiting.pk}/reject/", {"reason": WHY})
    return Entry(waiting, "Rejected.")


def _delete(staff: Client, obj: Any) -> Entry:
    send(staff, page_of(obj, "delete"), {"_expected": 1, **REASON})
    assert not type(obj)._default_manager.filter(pk=obj.pk).exists()
    return Entry(obj, f"{obj._meta.verbose_name_plural}: 1")


def _times(year: int) -> dict[str, str]:
    return {
        "starts_at_0": f"{year}-05-01",
        "starts_at_1": "19:00:00",
        "ends_at_0": "",
        "ends_at_1": "",
    }


# By address below `/admin/`: sends the form, and returns what then stands in which history.
FORMS: dict[str, Callable[[Client], Entry]] = {
    "accounts/user/<id>/password/": set_password,
    "accounts/user/<path:object_id>/change/": change_account,
    "accounts/user/<path:object_id>/delete/": delete_account,
    "accounts/user/add/": add_account,
    "auth/group/<path:object_id>/change/": change_group,
    "auth/group/<path:object_id>/delete/": delete_group,
    "auth/group/add/": add_group,
    "boxoffice/staffjob/<uuid:pk>/approve/": approve_job,
    "boxoffice/staffjob/<uuid:pk>/reject/": reject_job,
    "concerts/concert/<int64:pk>/publish/": publish,
    "concerts/concert/<path:object_id>/change/": change_concert,
    "concerts/concert/<path:object_id>/delete/": delete_concert,
    "concerts/concert/add/": add_concert,
    "concerts/concert/withdraw/": withdraw,
    "concerts/performance/<int64:pk>/prices/": change_prices,
    "concerts/performance/<path:object_id>/change/": change_performance,
    "concerts/performance/<path:object_id>/delete/": delete_performance,
    "concerts/performance/add/": add_performance,
    "concerts/performance/generate-seats/": make_seats,
    "concerts/seat/<path:object_id>/delete/": delete_seat,
    "concerts/seat/hall/<int64:performance_id>/delete/": delete_hall,
    "payments/ledgertransaction/add/": adjust,
    "queue/waitingroom/<int:pk>/steer/<str:control>/": steer,
    "queue/waitingroom/<path:object_id>/change/": change_room,
}

# Pages that take a form and change nothing of the box office: one's own login, and what only shows or leads on.
CHANGE_NOTHING = {"", "<app_label>/", "login/", "logout/", "password_change/", "search/"}


def is_action(route: str) -> bool:
    """Tell whether a page that takes a form acts by itself: lists hand over to their actions, buttons lead to a form."""
    *base, page = route.rstrip("/").split("/")
    is_list = len(base) == 1
    is_button = page in NOTE_NOTHING | NOTE_THEMSELVES and base[-1] == "<path:object_id>"
    shows = is_list or is_button or page in ("history", "<path:object_id>")
    return route not in CHANGE_NOTHING and not shows


def test_every_page_that_acts_is_tried_here() -> None:
    acting = {route for route, (_get, post) in PAGES.items() if post and is_action(route)}

    assert acting == set(FORMS)


@pytest.mark.parametrize("route", FORMS)
def test_what_a_form_does_stands_in_a_history(staff: Client, boss: User, route: str) -> None:
    entry = FORMS[route](staff)

    kind = ContentType.objects.get_for_model(type(entry.subject))
    found = LogEntry.objects.filter(user=boss, content_type=kind, object_id=str(entry.subject.pk))
    told = [line.get_change_message() for line in found]
    assert len(told) == 1
    assert entry.words in told[0]
    assert (WHY in told[0]) == entry.takes_reason
