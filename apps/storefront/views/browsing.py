"""Pages that need no login: what is on, and one concert."""

import hashlib
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.templatetags.static import static
from django.utils import timezone

from apps.api.middleware import mark_language_independent
from apps.api.responses import conditional
from apps.concerts.errors import ConcertNotFound
from apps.concerts.models import Poster
from apps.concerts.selectors import (
    PopularConcert,
    RankingWindow,
    SaleSummary,
    concert_with_poster,
    concerts_not_over,
    dates_of,
    grade_price_ranges,
    is_withdrawn,
    popular_concerts,
    poster_image,
    published_concert,
    ranks_of_yesterday,
)
from apps.core.errors import DomainError
from apps.core.texts import without_hidden
from apps.queue.selectors import join_window
from apps.reservations.selectors import has_booked, nearly_sold_out
from apps.storefront.cards import (
    COUNTED_DOWN,
    SaleState,
    concert_cards,
    offer_of,
    sale_state,
)
from apps.storefront.hold_notice import hold_notice
from apps.storefront.kept_pages import kept_page, pages, searches
from apps.storefront.posters import poster_svg
from apps.storefront.queue_cookie import has_queue_token
from apps.storefront.views.base import PageView
from apps.storefront.wording import cancellation_hours

POPULAR_SHOWN = 6
SOON_SHOWN = 6
CONCERTS_A_PAGE = 12
SEARCH_LENGTH_MAX = 100
PAGE_LENGTH_MAX = 9  # digits of the number of a page


class HomeView(PageView):
    def get(self, request: HttpRequest) -> HttpResponse:
        text = without_hidden(request.GET.get("q", "")).strip()[:SEARCH_LENGTH_MAX]
        query = {"q": text} if text else {}
        if request.GET.get("show") == "soon":
            query["show"] = "soon"
        number = request.GET.get("page", "1")[:PAGE_LENGTH_MAX]
        return kept_page(
            request,
            "storefront/home.html",
            key=(*query.items(), number),
            shared=lambda: _listing(text, shows_soon="show" in query, number=number),
            personal={"hold_notice": hold_notice(request)},
            query=query,
            kept=searches if text or number != "1" else pages,
        )


def _listing(text: str, *, shows_soon: bool, number: str) -> dict[str, Any]:
    now = timezone.now()
    concerts = concerts_not_over(at=now, text=text)
    opening = concerts.opening(at=now)
    opened = concerts.opened(at=now)
    listed = concerts if text else opening if shows_soon else opened
    page = Paginator(listed, CONCERTS_A_PAGE).get_page(number)
    is_front = not text and not shows_soon and page.number == 1
    soon = list(opening[: SOON_SHOWN + 1]) if is_front else []
    cards = concert_cards([*page, *soon[:SOON_SHOWN]], at=now)
    return {
        "text": text,
        "shows_soon": shows_soon,
        "page": page,
        "cards": cards[: len(page)],
        "opening_soon": cards[len(page) :],
        "more_soon": len(soon) > SOON_SHOWN,
        "popular": popular_this_week() if is_front else [],
    }


@dataclass(frozen=True, slots=True)
class Ranked:
    """`moved` is how many ranks a concert went up since yesterday; None if it had none."""

    concert: PopularConcert
    moved: int | None
    is_new: bool

    @property
    def fell(self) -> int:
        return max(0, -(self.moved or 0))


def popular_this_week() -> list[Ranked]:
    before = ranks_of_yesterday()
    return [
        Ranked(
            concert,
            moved=before[concert.concert_id] - concert.rank
            if concert.concert_id in before
            else None,
            # In the first week of all, everything would be.
            is_new=bool(before) and concert.concert_id not in before,
        )
        for concert in popular_concerts(window=RankingWindow.WEEK, limit=POPULAR_SHOWN)
    ]


class ConcertView(PageView):
    def get(self, request: HttpRequest, concert_id: int) -> HttpResponse:
        has_place = has_queue_token(request, concert_id=concert_id)
        return kept_page(
            request,
            "storefront/concert.html",
            key=(concert_id, has_place),
            shared=lambda: {**_concert(concert_id), "has_place": has_place},
            personal={"hold_notice": hold_notice(request)},
        )

    def handle_error(self, error: DomainError) -> HttpResponse:
        """Lead on those who have a place in the queue of a concert that is offline: there they read why."""
        concert_id = self.kwargs["concert_id"]
        has_place = has_queue_token(self.request, concert_id=concert_id)
        if has_place and isinstance(error, ConcertNotFound) and is_withdrawn(concert_id):
            return redirect("storefront:queue", concert_id)
        return super().handle_error(error)


def _concert(concert_id: int) -> dict[str, Any]:
    """:raises ConcertNotFound: there is none, or it is not published."""
    now = timezone.now()
    concert = published_concert(concert_id)
    performances = list(dates_of(concert_id))
    ahead = [performance for performance in performances if not performance.has_begun(now)]
    played = [performance for performance in ahead if not performance.is_called_off]
    is_sold_out = bool(played) and all(performance.sold_out_at for performance in played)
    window = join_window(concert)
    state = sale_state(
        concert,
        SaleSummary(concert.price_min, is_sold_out, is_called_off=bool(ahead) and not played),
        window,
        at=now,
        has_few_left=concert_id in nearly_sold_out([concert_id]),
    )
    return {
        "concert": concert,
        "performances": ahead or performances,
        "grades": grade_price_ranges(played or ahead or performances),
        "offer": offer_of(state, window, at=now),
        "has_few_left": state is SaleState.FEW_LEFT,
        "join_window": window,
        "opens_in": (window.opens_at - now).total_seconds(),
        "joinable_in": (window.joinable_at - now).total_seconds(),
        "counts_down": window.opens_at - now <= COUNTED_DOWN,
        "cancellation_hours": cancellation_hours(),
    }


class PosterView(PageView):
    """Send what staff have uploaded, or else draw one from the words of the concert, so that no page has an empty picture.

    While the concert is offline, those alone see it who have booked: their lists of tickets show it.
    """

    def get(self, request: HttpRequest, concert_id: int) -> HttpResponseBase:
        concert, cache = concert_with_poster(concert_id), "public, max-age=3600"
        if not concert.is_published:
            customer_id, cache = request.user.pk, "private, max-age=3600"
            if customer_id is None or not has_booked(
                customer_id=customer_id, concert_id=concert_id
            ):
                raise ConcertNotFound
        mark_language_independent(request)
        uploaded: Poster | None = getattr(concert, "poster", None)
        if uploaded is not None:
            return conditional(
                request,
                poster_image(uploaded),
                content_type=uploaded.content_type,
                etag=f'"{uploaded.digest}"',
                cache=cache,
            )
        drawn = poster_svg(seed=concert.pk, title=concert.title, artist=concert.artist).encode()
        etag = f'"{hashlib.sha256(drawn).hexdigest()[:16]}"'
        return conditional(
            request,
            drawn,
            content_type="image/svg+xml",
            etag=etag,
            cache=cache,
        )


class FaviconView(PageView):
    """Serve browsers that ask at the root whatever the page says."""

    def get(self, request: HttpRequest) -> HttpResponse:
        response = redirect(static("storefront/favicon.svg"))
        response.headers["Cache-Control"] = "public, max-age=86400"
        return response
