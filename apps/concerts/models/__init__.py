"""Concerts, their dates, the seats of each date and what they are kept back for, and the sales that the ranking has counted."""

from apps.concerts.models.concert import (
    SEATS_PER_CUSTOMER_MAX,
    UNPAID_SEATS_MAX,
    Concert,
    ConcertQuerySet,
)
from apps.concerts.models.dates import DATES, OUT_OF_DATES, SalesWindow, venue_day
from apps.concerts.models.hall import HallTemplate, HallTemplateQuerySet, SeatMapDraft
from apps.concerts.models.inventory import (
    REASON_MAX,
    InventoryCategory,
    InventoryCategoryQuerySet,
    SeatAllocation,
)
from apps.concerts.models.notice import Notice, NoticeQuerySet
from apps.concerts.models.performance import (
    ANOTHER_AT_THAT_TIME,
    LENGTH_MAX,
    STAFF_REASON_MAX,
    USUAL_LENGTH,
    Performance,
    PerformanceQuerySet,
)
from apps.concerts.models.poster import DIGEST_LENGTH, Poster
from apps.concerts.models.ranking import RankingEntry, RankingEntryQuerySet
from apps.concerts.models.seat import Grade, Seat, SeatKind, SeatQuerySet
