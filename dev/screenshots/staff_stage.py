"""Sets the scenes of staff: a date that is being sold, on which a clerk has done something of everything.

Needs Django to be set up for the stack whose pictures are taken.
"""

from datetime import timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.boxoffice.base.jobs.services import request_job
from apps.boxoffice.navigation import SECTIONS, Listing, Page
from apps.concerts.halls import plan_of, save_template
from apps.concerts.inventory import allocate_seats
from apps.concerts.models import Concert, InventoryCategory, Performance, Seat
from apps.concerts.services import create_performance
from apps.core.notices import NoticeText
from apps.core.transactions import run_in_transaction
from apps.outbox.models import EventDelivery
from apps.payments.counter import PaidBy
from apps.queue.models import WaitingRoom
from apps.queue.services import notify_visitors, set_admissions_per_minute
from apps.reservations.models import Reservation, SeatClaim
from apps.reservations.services import WalkUp, cancel_seats, notify_holders, sell_at_counter
from apps.reservations.staff_jobs import CallOffPerformance
from dev.demo.sales import buy_seats
from dev.screenshots.pictures import Stage
from dev.screenshots.staff import scene_of

DOORS = NoticeText(en="Doors open at 18:30.", ko="18시 30분부터 입장하실 수 있습니다.")
LATE = NoticeText(
    en="The singer is late. We go on in ten minutes.", ko="가수가 늦어 10분 뒤에 계속합니다."
)


class Cast(NamedTuple):
    """Name who works and on what: a date that is sold in part, and a concert with a queue, whose last date is called off."""

    clerk: User
    buyers: tuple[User, User]
    date: Performance
    queued: int
    ending: Performance


def set_staff_stage(stage: Stage, cast: Cast) -> None:
    """Let the clerk work, and lead to every page of `dev/screenshots/staff.py`."""
    order, other, sold = _sell(cast)
    room = _steer(cast)
    stage.paths |= _sidebar()
    stage.paths |= _of_concerts(cast)
    stage.paths |= _of_orders(cast, order, other, sold)
    job = _ask_to_call_off(cast)
    today = f"{timezone.localtime(timezone=ZoneInfo(settings.VENUE_TIME_ZONE)):%Y-%m-%d}"
    stage.paths[scene_of("reservations_sales_report")] += f"?first={today}&last={today}"
    delivery = EventDelivery.objects.order_by("pk").first()
    assert delivery is not None
    stage.paths |= {
        "staff-login": reverse("admin:login"),
        "staff-room": reverse("admin:queue_waitingroom_change", args=[room.pk]),
        "staff-history": reverse("admin:queue_waitingroom_history", args=[room.pk]),
        "staff-pause": reverse("admin:queue_waitingroom_steer", args=[room.pk, "pause"]),
        "staff-room-notice": reverse("admin:queue_roomnotice_write", args=[room.pk]),
        "staff-cockpit": reverse("boxoffice:cockpit", args=[cast.queued]),
        "staff-job": reverse("admin:boxoffice_staffjob_change", args=[job]),
        "staff-approve": reverse("admin:boxoffice_staffjob_approve", args=[job]),
        "staff-delivery": reverse("admin:outbox_eventdelivery_change", args=[delivery.pk]),
    }


def name_of(page: Page | Listing) -> str:
    """Return what `dev/screenshots/staff.py` calls a page of the sidebar."""
    return page.label if isinstance(page, Listing) else page.name


def _sidebar() -> dict[str, str]:
    return {scene_of(name_of(page)): page.url for _title, pages in SECTIONS for page in pages}


def _of_concerts(cast: Cast) -> dict[str, str]:
    concert, date = [cast.date.concert_id], [cast.date.pk]
    original = Concert.objects.get(pk=cast.date.concert_id)
    last = original.performances.order_by("starts_at").last()
    assert last is not None
    unplanned = create_performance(
        concert_id=original.pk, starts_at=last.starts_at + timedelta(days=1)
    )
    hall = plan_of(cast.date.pk)
    run_in_transaction(
        lambda: save_template(name="Stalls and balcony", venue=original.venue, seats=hall)
    )
    return {
        "staff-concert": reverse("admin:concerts_concert_change", args=concert),
        "staff-new-concert": reverse("admin:concerts_concert_add"),
        "staff-dates": reverse("admin:concerts_concert_dates", args=concert),
        "staff-duplicate": reverse("admin:concerts_concert_duplicate", args=concert),
        "staff-poster": reverse("admin:concerts_concert_poster", args=concert),
        "staff-publish": reverse("admin:concerts_concert_publish", args=concert),
        "staff-generator": reverse("admin:concerts_performance_generate_seats")
        + f"?performance={unplanned.pk}",
        "staff-performance": reverse("admin:concerts_performance_change", args=date),
        "staff-prices": reverse("admin:concerts_performance_prices", args=date),
        "staff-grades": reverse("admin:concerts_performance_grades", args=date),
        "staff-seat-sheet": reverse("admin:concerts_performance_sheet", args=date),
        "staff-template": reverse("admin:concerts_performance_template", args=date),
        "staff-inventory": reverse("admin:concerts_performance_paint", args=date),
        "staff-live-seats": reverse("admin:reservations_picture", args=date),
        "staff-move": reverse("admin:reservations_performance_move", args=date),
        "staff-call-off": reverse("admin:reservations_performance_call_off", args=date),
        "staff-holder-notice": reverse("admin:reservations_holdernotice_to_performance", args=date),
    }


def _of_orders(
    cast: Cast, order: Reservation, other: Reservation, sold: Reservation
) -> dict[str, str]:
    [first, second] = _free(cast.date)[:2]
    chosen = f"?performance={cast.date.pk}&seats={first.section} {first.row}-{first.number}"
    customer = order.customer_id
    return {
        "staff-sale": reverse("admin:reservations_sell", args=[cast.date.pk])
        + f"?seat={first.pk}&seat={second.pk}",
        "staff-tickets": reverse("admin:reservations_tickets", args=[sold.pk]),
        "staff-order": reverse("admin:reservations_reservation_change", args=[order.pk]),
        "staff-refund": reverse("admin:reservations_reservation_refund", args=[order.pk]),
        "staff-move-customer": reverse("admin:reservations_move", args=[other.pk]) + chosen,
        "staff-customer": reverse("admin:reservations_customer", args=[customer]),
        "staff-wallet": reverse("admin:payments_wallet_change", args=[customer]),
        "staff-adjustment": reverse("admin:payments_wallet_adjust", args=[customer]),
    }


def _free(performance: Performance) -> list[Seat]:
    taken = SeatClaim.objects.open().of_performance(performance.pk)
    free = Seat.objects.filter(performance=performance, allocation=None)
    return list(free.exclude(pk__in=taken.values("seat_id")).order_by("pk"))


def _sell(cast: Cast) -> tuple[Reservation, Reservation, Reservation]:
    """Keep seats back, sell three to a customer who gives one of them back, one to another customer and two at the counter."""
    free = _free(cast.date)
    house, rest = free[:10], [seat.pk for seat in free[10:]]
    category = InventoryCategory.objects.get(code=InventoryCategory.Code.HOUSE)
    allocate_seats(
        performance_id=cast.date.pk,
        seat_ids=[seat.pk for seat in house],
        category_id=category.pk,
        reason="Guests of the house",
        staff_id=cast.clerk.pk,
    )
    first, second = cast.buyers
    order = buy_seats(first, cast.date, rest[:3])
    other = buy_seats(second, cast.date, rest[3:4])
    cancel_seats(
        reservation_id=order.pk,
        seat_ids=rest[:1],
        reason="One of the guests is ill.",
        staff_id=cast.clerk.pk,
    )
    counter = sell_at_counter(
        performance_id=cast.date.pk,
        seat_ids=rest[4:6],
        customer=WalkUp(name="Kim Jiwoo", contact="010-1234-5678"),
        paid_by=PaidBy.CARD,
        staff_id=cast.clerk.pk,
    )
    notify_holders(performance_id=cast.date.pk, text=DOORS, staff_id=cast.clerk.pk)
    return order, other, counter.reservation


def _steer(cast: Cast) -> WaitingRoom:
    set_admissions_per_minute(
        concert_id=cast.queued,
        admissions_per_minute=120,
        staff_id=cast.clerk.pk,
        reason="Many wait.",
    )
    notify_visitors(concert_id=cast.queued, text=LATE, staff_id=cast.clerk.pk)
    return WaitingRoom.objects.get(concert=cast.queued)


def _ask_to_call_off(cast: Cast) -> object:
    job = run_in_transaction(
        lambda: request_job(
            kind=CallOffPerformance.name,
            parameters=CallOffPerformance.parameters(cast.ending),
            reason="The singer is ill.",
            staff_id=cast.clerk.pk,
        )
    )
    return job.pk
