"""Whatever staff do through a form stands in a history: who, what from what to what, and the reason that was given."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.boxoffice.base.jobs.models import StaffJob
from apps.concerts.halls import draft_seats, plan_of, save_template
from apps.concerts.models import Concert, HallTemplate, InventoryCategory, Performance
from apps.core.notices import NoticeText
from apps.payments.models import LedgerTransaction
from apps.queue.models import WaitingRoom
from apps.queue.services import notify_visitors
from apps.reservations.models import Reservation
from apps.reservations.services import notify_holders
from tests.boxoffice.rights import PAGES
from tests.boxoffice.season import job
from tests.boxoffice.sending import carry_out, concert_form, layout_form, send, typed
from tests.boxoffice.staff import list_of, page_of
from tests.boxoffice.test_forms import room_form
from tests.boxoffice.test_history import NOTE_NOTHING, NOTE_THEMSELVES, dead_delivery
from tests.concerts.test_posters import png
from tests.factories.accounts import PASSWORD, CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory, category_of
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold, reservation

pytestmark = pytest.mark.django_db

WHY = "The tour was moved"
REASON = {"entry_reason": WHY}
NOTICE = {"text_en": "Bring a coat.", "send": "1"}
PASSWORDS = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}


class Entry(NamedTuple):
    """Describe what an entry is about and what it says; `takes_reason` is false where the page does not ask for one."""

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


def add_dates(staff: Client) -> Entry:
    concert = ConcertFactory()
    day = (timezone.localdate() + timedelta(days=10)).isoformat()
    values = {"first": day, "last": day, "weekdays": range(7), "times": "14:00, 19:30"}
    send(staff, page_of(concert, "dates"), values | REASON)
    return Entry(concert, "2 dates with 0 seats made.")


def duplicate(staff: Client) -> Entry:
    concert = PerformanceFactory(seats=2, concert__title="Paper Moons").concert
    values = {"title": "Paper Boats", "days": 7, "with_dates": "on", "with_halls": "on"}
    send(staff, page_of(concert, "duplicate"), values | REASON)
    words = f"Made of concert Paper Moons ({concert.pk}). 1 date with 2 seats made."
    return Entry(Concert.objects.get(title="Paper Boats"), words)


def upload_poster(staff: Client) -> Entry:
    concert = ConcertFactory()
    picture = SimpleUploadedFile("poster.png", png())
    send(staff, page_of(concert, "poster"), {"picture": picture, **REASON})
    return Entry(concert, "Poster uploaded: PNG, 500 × 700 pixels.")


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
    send(staff, page_of(performance, "prices"), form)
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


def prepare_room(staff: Client) -> Entry:
    concert = ConcertFactory()
    send(staff, f"/admin/queue/waitingroom/prepare/{concert.pk}/", {})
    words = "Added the waiting room, with the usual policy."
    return Entry(WaitingRoom.objects.get(), words, takes_reason=False)


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


def apply_draft(staff: Client) -> Entry:
    performance = PerformanceFactory(seats=2)
    seats = [seat._replace(price=60_000) for seat in plan_of(performance.pk)]
    draft = draft_seats(
        performance_id=performance.pk, seats=seats, source="hall.csv", removes_missing=False
    )
    url = f"/admin/concerts/performance/{performance.pk}/seats/drafts/{draft.pk}/"
    shown = staff.get(url).context["changes"]
    send(staff, url, {"seat_map_version": shown.version, "kept_back": shown.kept_back, **REASON})
    words = "Seats changed (hall.csv). With another price: 2."
    return Entry(performance, words)


def keep_template(staff: Client) -> Entry:
    performance = PerformanceFactory(seats=2)
    send(
        staff,
        page_of(performance, "template"),
        {"name": "Seated", "venue": "Harbour Hall", **REASON},
    )
    return Entry(HallTemplate.objects.get(), "Template with 2 seats saved.")


def read_template(staff: Client) -> Entry:
    seats = "section,row,number,grade,price\nFloor,A,1,R,1000\nFloor,A,2,R,1000"
    file = SimpleUploadedFile("hall.csv", seats.encode())
    values = {"name": "Seated", "venue": "Harbour Hall", "file": file}
    send(staff, list_of(HallTemplate, "file"), values)
    return Entry(HallTemplate.objects.get(), "Template with 2 seats saved.", takes_reason=False)


def change_template(staff: Client) -> Entry:
    template = _template()
    send(staff, page_of(template), {"name": "Standing", "venue": "Pier", **REASON})
    return Entry(template, "Venue: Harbour Hall → Pier. Name: Seated → Standing.")


def delete_template(staff: Client) -> Entry:
    return _delete(staff, _template())


def paint(staff: Client) -> Entry:
    performance = PerformanceFactory(seats=2)
    house = category_of(InventoryCategory.Code.HOUSE)
    values = {"section": "1", "numbers": "2", "to": f"category:{house.pk}", "reason": WHY}
    send(staff, page_of(performance, "paint"), values)
    return Entry(performance, "Open → House (1): 1 A-2.")


def add_category(staff: Client) -> Entry:
    values = {"name": "Fan club", "code": "FAN_CLUB", "letter": "F", "colour": "#112233"}
    send(staff, list_of(InventoryCategory, "add"), values | REASON)
    return Entry(InventoryCategory.objects.get(code="FAN_CLUB"), "Added. Name: Fan club.")


def change_category(staff: Client) -> Entry:
    house = category_of(InventoryCategory.Code.HOUSE)
    values = {"letter": "Z", "colour": house.colour, "returns_on_refund": "on"}
    send(staff, page_of(house), values | REASON)
    return Entry(house, f"Letter: {house.letter} → Z.")


def call_off(staff: Client) -> Entry:
    url = reverse("admin:reservations_performance_call_off", args=[_booked().performance_id])
    carry_out(staff, url, {"text_ko": "", "text_en": "{reason}", "reason": WHY})
    return Entry(StaffJob.objects.get(), "Requested.")


def move(staff: Client) -> Entry:
    performance = PerformanceFactory(seats=2)
    url = reverse("admin:reservations_performance_move", args=[performance.pk])
    later = typed("starts_at", performance.starts_at + timedelta(days=1))
    carry_out(staff, url, {**later, "text_en": "{reason}", "reason": WHY})
    return Entry(StaffJob.objects.get(), "Requested.")


def refund(staff: Client) -> Entry:
    booked = _booked()
    carry_out(staff, page_of(booked, "refund"), {"extra": "5,000", "reason": WHY})
    return Entry(booked, "Refunded: 5,000 won, 5,000 of 50,000 won in all.")


def cancel_selected(staff: Client) -> Entry:
    ids = ".".join(booked.pk.hex for booked in (_booked(), _booked()))
    carry_out(staff, f"{list_of(Reservation, 'cancel_selected')}?ids={ids}", {"reason": WHY})
    return Entry(StaffJob.objects.get(), "Requested.")


def sell(staff: Client) -> Entry:
    performance = PerformanceFactory(seats=2)
    seat = performance.seats.order_by("pk")[0]
    address = reverse("admin:reservations_sell", args=[performance.pk])
    walk_up = {"buyer": "WALK_UP", "name": "Kim Minji", "contact": "", "paid_by": "CASH"}
    send(staff, f"{address}?seat={seat.pk}", {"price": seat.price, **walk_up, "reason": WHY})
    return Entry(Reservation.objects.get(), "")


def reseat(staff: Client) -> Entry:
    performance = PerformanceFactory(seats=2)
    sold = reservation(CustomerFactory(), list(performance.seats.filter(number=1)))
    address = reverse("admin:reservations_move", args=[sold.pk])
    values = {"difference": 0, "paid_by": "CASH", "reason": WHY}
    send(staff, f"{address}?seats=1 A-2", values)
    return Entry(sold, "")


def release_hold(staff: Client) -> Entry:
    held = hold(CustomerFactory(), list(PerformanceFactory(seats=1).seats.all()))
    send(staff, reverse("admin:reservations_release", args=[held.pk]), {"reason": WHY})
    return Entry(held, "")


def notify_room(staff: Client) -> Entry:
    room = WaitingRoomFactory()
    send(staff, f"/admin/queue/roomnotice/write/{room.pk}/", NOTICE)
    return Entry(room, "Told those who wait: “Bring a coat.”", takes_reason=False)


def take_back_from_room(staff: Client) -> Entry:
    room = WaitingRoomFactory()
    notice = notify_visitors(concert_id=room.concert_id, **_told())
    send(staff, page_of(notice, "end"), {})
    words = "Took back what those who wait were told: “Bring a coat.”"
    return Entry(room, words, takes_reason=False)


def notify_performance(staff: Client) -> Entry:
    performance = PerformanceFactory()
    send(staff, f"/admin/reservations/holdernotice/performance/{performance.pk}/", NOTICE)
    return Entry(performance, "Told ticket holders: “Bring a coat.”", takes_reason=False)


def notify_concert(staff: Client) -> Entry:
    concert = ConcertFactory()
    send(staff, f"/admin/reservations/holdernotice/concert/{concert.pk}/", NOTICE)
    return Entry(concert, "Told ticket holders: “Bring a coat.”", takes_reason=False)


def take_back_from_holders(staff: Client) -> Entry:
    performance = PerformanceFactory()
    notice = notify_holders(performance_id=performance.pk, **_told())
    send(staff, page_of(notice, "end"), {})
    words = "Took back what ticket holders were told: “Bring a coat.”"
    return Entry(performance, words, takes_reason=False)


def replay(staff: Client) -> Entry:
    delivery, _ = dead_delivery()
    send(staff, page_of(delivery, "replay"), {"reason": WHY})
    return Entry(delivery, "Replayed: ")


def _template() -> HallTemplate:
    plan = plan_of(PerformanceFactory(seats=2).pk)
    return save_template(name="Seated", venue="Harbour Hall", seats=plan)


def _booked() -> Reservation:
    return reservation(CustomerFactory(), list(PerformanceFactory(seats=1).seats.all()))


def _told() -> dict[str, Any]:
    return {
        "text": NoticeText(en=NOTICE["text_en"]),
        "staff_id": CustomerFactory(staff=True).pk,
    }


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
    "concerts/concert/<int64:pk>/dates/": add_dates,
    "concerts/concert/<int64:pk>/duplicate/": duplicate,
    "concerts/concert/<int64:pk>/poster/": upload_poster,
    "concerts/concert/<int64:pk>/publish/": publish,
    "concerts/concert/<path:object_id>/change/": change_concert,
    "concerts/concert/<path:object_id>/delete/": delete_concert,
    "concerts/concert/add/": add_concert,
    "concerts/concert/withdraw/": withdraw,
    "concerts/halltemplate/<path:object_id>/change/": change_template,
    "concerts/halltemplate/<path:object_id>/delete/": delete_template,
    "concerts/halltemplate/file/": read_template,
    "concerts/inventorycategory/<path:object_id>/change/": change_category,
    "concerts/inventorycategory/add/": add_category,
    "concerts/performance/<int64:pk>/inventory/": paint,
    "concerts/performance/<int64:pk>/prices/": change_prices,
    "concerts/performance/<int64:pk>/seats/drafts/<int64:draft>/": apply_draft,
    "concerts/performance/<int64:pk>/seats/template/": keep_template,
    "concerts/performance/<path:object_id>/change/": change_performance,
    "concerts/performance/<path:object_id>/delete/": delete_performance,
    "concerts/performance/add/": add_performance,
    "concerts/performance/generate-seats/": make_seats,
    "concerts/seat/<path:object_id>/delete/": delete_seat,
    "concerts/seat/hall/<int64:performance_id>/delete/": delete_hall,
    "outbox/eventdelivery/<int64:pk>/replay/": replay,
    "payments/ledgertransaction/add/": adjust,
    "queue/roomnotice/<int64:pk>/end/": take_back_from_room,
    "queue/roomnotice/write/<int64:pk>/": notify_room,
    "queue/waitingroom/<int:pk>/steer/<str:control>/": steer,
    "queue/waitingroom/<path:object_id>/change/": change_room,
    "queue/waitingroom/prepare/<int64:concert_id>/": prepare_room,
    "reservations/holdernotice/<int64:pk>/end/": take_back_from_holders,
    "reservations/holdernotice/concert/<int64:pk>/": notify_concert,
    "reservations/holdernotice/performance/<int64:pk>/": notify_performance,
    "reservations/reservation/<uuid:pk>/move/": reseat,
    "reservations/reservation/holds/<uuid:pk>/release/": release_hold,
    "reservations/reservation/seats/<int64:pk>/sell/": sell,
    "reservations/reservation/<uuid:pk>/refund/": refund,
    "reservations/reservation/cancel-selected/": cancel_selected,
    "reservations/reservation/performances/<int64:pk>/call-off/": call_off,
    "reservations/reservation/performances/<int64:pk>/move/": move,
}

# Pages that take a form and change nothing of the box office.
CHANGE_NOTHING = {
    # One's own login, and what only shows.
    *("", "<app_label>/", "login/", "logout/", "password_change/", "search/"),
    # They lead to the page of a draft, which asks before it changes seats.
    "concerts/performance/<int64:pk>/seats/grades/",
    "concerts/performance/<int64:pk>/seats/sheet/",
    # Buttons above lists: they lead to a form, or to a report.
    "concerts/halltemplate/from_file/",
    "payments/ledgertransaction/reconcile_books/",
    "payments/ledgertransaction/sales/",
    "reservations/reservation/find_order/",
}


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
