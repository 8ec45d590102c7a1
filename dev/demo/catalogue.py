"""Concerts of the demo. Artists, titles and venues are invented."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from apps.concerts.layouts import SectionLayout, SpecialSeats
from apps.concerts.models import Concert, Grade, InventoryCategory, Performance, SeatKind
from apps.concerts.publication import publish_concert
from apps.concerts.services import create_performance
from apps.queue.services import get_or_create_waiting_room
from apps.reservations.models import Hold

HOUSE, WHEELCHAIR, COMPANION = (
    InventoryCategory.Code.HOUSE,
    SeatKind.WHEELCHAIR,
    SeatKind.COMPANION,
)
# At the end of a row, two spaces with a companion seat beside each.
BY_THE_RAMP = (
    SpecialSeats(7, 7, 1, 1, kind=WHEELCHAIR),
    SpecialSeats(7, 7, 2, 2, kind=COMPANION),
    SpecialSeats(7, 7, 3, 3, kind=WHEELCHAIR),
    SpecialSeats(7, 7, 4, 4, kind=COMPANION),
    SpecialSeats(7, 7, 19, 20, kind=SeatKind.RESTRICTED_VIEW),
)
CLUB = (
    SectionLayout(name="Floor", rows=2, seats_per_row=10, grade=Grade.R, price=66_000),
    SectionLayout(name="Bar", rows=3, seats_per_row=10, grade=Grade.S, price=44_000),
)
THEATRE = (
    SectionLayout(name="Stalls L", rows=10, seats_per_row=8, grade=Grade.R, price=99_000),
    SectionLayout(
        name="Stalls C",
        rows=10,
        seats_per_row=10,
        grade=Grade.VIP,
        price=132_000,
        special=(SpecialSeats(8, 8, 4, 7, category=HOUSE),),
    ),
    SectionLayout(name="Stalls R", rows=10, seats_per_row=8, grade=Grade.R, price=99_000),
    SectionLayout(
        name="Balcony",
        rows=7,
        seats_per_row=20,
        grade=Grade.S,
        price=66_000,
        special=BY_THE_RAMP,
    ),
)
ARENA = tuple(
    SectionLayout(name=f"{tier} {letter}", rows=rows, seats_per_row=seats, grade=grade, price=price)
    for tier, grade, price, blocks in (
        ("Floor", Grade.VIP, 165_000, ((20, 25), (20, 25), (20, 25))),
        ("Lower", Grade.R, 132_000, ((20, 30), (20, 30), (20, 30))),
        ("Upper", Grade.S, 88_000, ((20, 30), (20, 30))),
        ("Top", Grade.A, 55_000, ((20, 25),)),
    )
    for letter, (rows, seats) in zip("ABC", blocks, strict=False)
)


@dataclass(frozen=True, slots=True)
class Production:
    """A concert of the demo. `days` are its dates from today on, `sold` how many seats of each are sold beforehand."""

    title: str
    artist: str
    venue: str
    description: str
    hall: Sequence[SectionLayout]
    days: Sequence[int]
    seats_per_customer: int = 4
    opens_in: timedelta = timedelta(days=-2)
    sold: Sequence[int] = ()


OPENS_SOON = timedelta(minutes=5)

PRODUCTIONS = (
    Production(
        title="은하수를 건너는 밤",
        artist="서린과 달무리",
        venue="한빛아트홀",
        description="별자리를 따라 걷는 두 시간. 새 음반의 모든 곡을 처음으로 무대에서 들려줍니다.",
        hall=THEATRE,
        days=(21, 22, 23),
        sold=(34, 12),
    ),
    Production(
        title="Paper Lantern Parade",
        artist="The Velvet Cartographers",
        venue="Harbour Hall",
        description="Nine musicians, one map, no fixed route: every evening ends somewhere else.",
        hall=THEATRE,
        days=(34, 35),
        sold=(21,),
    ),
    Production(
        title="LUMEN SEVEN: 첫 번째 궤도",
        artist="루멘 세븐",
        venue="가온 아레나",
        description="데뷔 후 첫 아레나 공연. 5,000석의 무대에서 펼쳐지는 빛의 궤도.",
        hall=ARENA,
        days=(48, 49),
        seats_per_customer=2,
        sold=(26, 10),
    ),
    Production(
        title="Small Hours",
        artist="Ida Vale Trio",
        venue="Basement 17",
        description="Piano, bass, brushes. Fifty chairs and nobody talks.",
        hall=CLUB,
        days=(9, 10, 16, 17),
        sold=(14, 6),
    ),
    Production(
        title="마지막 기차가 떠난 뒤",
        artist="정류장 합창단",
        venue="소극장 골목",
        description="막차를 놓친 사람들의 노래. 객석 쉰 자리, 마이크 없이.",
        hall=CLUB,
        days=(12, 13),
        sold=(47, 44),
    ),
    Production(
        title="One Night, No Encore",
        artist="Marlow & the Understudies",
        venue="Basement 17",
        description="They said one night. They meant it.",
        hall=CLUB,
        days=(14,),
        sold=(50,),
    ),
    Production(
        title="새벽 네 시의 오케스트라",
        artist="한새벽",
        venue="가온 아레나",
        description="잠들지 못한 도시를 위한 오케스트라. 예매는 곧 열립니다.",
        hall=ARENA,
        days=(60, 61),
        seats_per_customer=2,
        opens_in=OPENS_SOON,
    ),
)


def load_production(production: Production) -> tuple[Concert, list[Performance]]:
    """Return the concert with its dates in the order in which they were made. What staff have changed since it was published stays as they left it."""
    concert = Concert.objects.filter(title=production.title, artist=production.artist).first()
    if concert is None:
        concert = Concert.objects.create(
            title=production.title,
            artist=production.artist,
            venue=production.venue,
            description=production.description,
            seats_per_customer=production.seats_per_customer,
            sales_open_at=timezone.now() + production.opens_in,
        )
    if not concert.is_published and concert.performances.count() < len(production.days):
        _finish(concert, production)
    if production.opens_in > timedelta(0):
        _open_soon_again(concert, production.opens_in)
    return concert, list(concert.performances.order_by("pk"))


def _finish(concert: Concert, production: Production) -> None:
    """Add the dates that are missing, all of them unless an earlier start was interrupted, and publish."""
    known = set(concert.performances.values_list("starts_at", flat=True))
    for starts_at in map(_evening, production.days):
        if starts_at not in known:
            create_performance(concert_id=concert.pk, starts_at=starts_at, layout=production.hall)
    publish_concert(concert_id=concert.pk)
    get_or_create_waiting_room(concert.pk)


def _open_soon_again(concert: Concert, opens_in: timedelta) -> None:
    """Give every start of the demo an opening to look forward to, until a seat has been claimed."""
    now = timezone.now()
    if concert.has_opened(now) and not Hold.objects.filter(performance__concert=concert).exists():
        Concert.objects.filter(pk=concert.pk).update(sales_open_at=now + opens_in)


def _evening(days_ahead: int) -> datetime:
    """Half past seven at the venue."""
    now = timezone.now().astimezone(ZoneInfo(settings.VENUE_TIME_ZONE))
    day = now + timedelta(days=days_ahead)
    return day.replace(hour=19, minute=30, second=0, microsecond=0)
