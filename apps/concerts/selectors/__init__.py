"""Reads of concerts, seats and rankings, for this app and for those above it."""

from apps.concerts.selectors.concerts import (
    SaleSummary,
    concert_in_brief,
    concerts_not_over,
    dates_of,
    published_concert,
    published_performance,
    sale_summaries,
)
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

__all__ = [
    "RANKING_LIMIT_MAX",
    "GradePrices",
    "PopularConcert",
    "RankingWindow",
    "SaleSummary",
    "SeatMap",
    "SoldOutPerformance",
    "concert_in_brief",
    "concerts_not_over",
    "current_seat_map",
    "dates_of",
    "fastest_sold_out",
    "grade_price_ranges",
    "grade_prices",
    "named_seats",
    "popular_answers",
    "popular_concerts",
    "published_concert",
    "published_performance",
    "ranks_of_yesterday",
    "recorded_reservations",
    "sale_summaries",
    "seat_map",
    "seat_map_of",
    "seats_called",
    "seats_of",
    "sold_out_answers",
]
