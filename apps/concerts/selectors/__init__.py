"""Reads of concerts, seats and rankings, for this app and for those above it."""

from apps.concerts.selectors.concerts import (
    SaleSummary,
    concert_in_brief,
    concert_of_visitor,
    concerts_not_over,
    dates_of,
    is_withdrawn,
    published_concert,
    published_performance,
    sale_summaries,
)
from apps.concerts.selectors.posters import concert_with_poster, poster_image, poster_of
from apps.concerts.selectors.printed_seats import named_seats, seats_called
from apps.concerts.selectors.rankings import (
    RANKING_LIMIT_MAX,
    PopularConcert,
    RankingWindow,
    SoldOutPerformance,
    fastest_sold_out,
    popular_answers,
    popular_concerts,
    ranks_of_yesterday,
    recorded_reservations,
    sold_out_answers,
)
from apps.concerts.selectors.seats import (
    GradePrices,
    SeatMap,
    current_seat_map,
    grade_price_ranges,
    grade_prices,
    seat_map,
    seat_map_of,
    seats_of,
)
