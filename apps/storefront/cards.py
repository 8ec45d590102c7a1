"""Concerts as the lists of the storefront show them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from apps.concerts.models import Concert
from apps.concerts.selectors import SaleSummary, sale_summaries
from apps.queue.models import WaitingRoom
from apps.queue.selectors import JoinWindow, join_windows
from apps.reservations.selectors import nearly_sold_out

COUNTED_DOWN = timedelta(days=1)  # what opens later is told by its date


class SaleState(StrEnum):
    OPENS_SOON = "OPENS_SOON"
    ON_SALE = "ON_SALE"
    FEW_LEFT = "FEW_LEFT"
    SOLD_OUT = "SOLD_OUT"
    CLOSED = "CLOSED"
    CALLED_OFF = "CALLED_OFF"
    NO_DATES = "NO_DATES"


class Offer(StrEnum):
    """Name what the one button of a concert's page offers."""

    NO_DATES = "NO_DATES"
    CALLED_OFF = "CALLED_OFF"
    CLOSED = "CLOSED"
    SOLD_OUT = "SOLD_OUT"
    NOT_YET = "NOT_YET"  # too early even for the lottery
    LOTTERY = "LOTTERY"
    PAUSED = "PAUSED"
    JOIN = "JOIN"


@dataclass(frozen=True, slots=True)
class ConcertCard:
    """`opens_in` is in seconds, None once sales and the waiting room have opened."""

    concert: Concert
    state: SaleState
    opens_at: datetime
    opens_in: float | None
    price_from: int | None

    @property
    def counts_down(self) -> bool:
        return self.opens_in is not None and self.opens_in <= COUNTED_DOWN.total_seconds()


def concert_cards(concerts: Iterable[Concert], *, at: datetime) -> list[ConcertCard]:
    """Return the cards in the order given; the concerts need `with_dates()`. Three queries for all of them."""
    concerts = list(concerts)
    ids = [concert.pk for concert in concerts]
    summaries, windows = sale_summaries(ids, at=at), join_windows(concerts)
    few_left = nearly_sold_out(ids)
    cards = []
    for concert in concerts:
        window = windows[concert.pk]
        summary = summaries.get(concert.pk, SaleSummary(None, is_sold_out=False))
        opens_at = max(window.opens_at, concert.sales_open_at)
        opens_in = (opens_at - at).total_seconds()
        cards.append(
            ConcertCard(
                concert,
                sale_state(concert, summary, window, at=at, has_few_left=concert.pk in few_left),
                opens_at=opens_at,
                opens_in=opens_in if opens_in > 0 else None,
                price_from=summary.price_from,
            )
        )
    return cards


def sale_state(
    concert: Concert, summary: SaleSummary, window: JoinWindow, *, at: datetime, has_few_left: bool
) -> SaleState:
    """Needs `with_dates()`."""
    if concert.first_performance_at is None:
        return SaleState.NO_DATES
    if summary.is_called_off:
        return SaleState.CALLED_OFF
    if at < window.opens_at or not concert.has_opened(at):
        return SaleState.OPENS_SOON
    if not concert.has_date_to_sell(at) or window.state == WaitingRoom.State.CLOSED:
        return SaleState.CLOSED
    if summary.is_sold_out:
        return SaleState.SOLD_OUT
    return SaleState.FEW_LEFT if has_few_left else SaleState.ON_SALE


def offer_of(state: SaleState, window: JoinWindow, *, at: datetime) -> Offer:
    """Return what a visitor who has no place yet can do about a concert now."""
    if state is SaleState.NO_DATES:
        return Offer.NO_DATES
    if state is SaleState.CALLED_OFF:
        return Offer.CALLED_OFF
    if state is SaleState.CLOSED:
        return Offer.CLOSED
    if state is SaleState.SOLD_OUT:
        return Offer.SOLD_OUT
    if at < window.joinable_at:
        return Offer.NOT_YET
    if at < window.opens_at:
        return Offer.LOTTERY
    return Offer.PAUSED if window.state == WaitingRoom.State.PAUSED else Offer.JOIN
