"""Sales as the ranking hears of them, and what it says then."""

from django.utils import timezone

from apps.concerts import ranking_store, services
from apps.concerts.selectors import RankingWindow, popular_answers, popular_concerts
from apps.outbox.models import OutboxEvent

DAY, WEEK, ALL = RankingWindow.DAY, RankingWindow.WEEK, RankingWindow.ALL


def update_ranking(event):
    """Count one event alone, and raise its failure."""
    for error in services.update_ranking([event]).values():
        raise error


def event_of(performance, *, type="reservation.confirmed", seats=1, occurred_at=None):
    return OutboxEvent.objects.create(
        type=type,
        payload={
            "concert_id": performance.concert_id,
            "performance_id": performance.pk,
            "seat_count": seats,
        },
        occurred_at=occurred_at or timezone.now(),
    )


def cancellation_of(performance, **attributes):
    return event_of(performance, type="reservation.cancelled", **attributes)


def sell(performance, times=1, **attributes):
    for _ in range(times):
        update_ranking(event_of(performance, **attributes))


def ranked(window=ALL, limit=10):
    """Return concert id and reservations, as a caller reads them whose answer is not remembered."""
    popular_answers.clear()
    return [
        (item.concert_id, item.reservations)
        for item in popular_concerts(window=window, limit=limit)
    ]


def projected(days=()):
    """Return what the projection alone says; it must not be lost."""
    sums = ranking_store.read(days=days)
    assert sums is not None
    return sums.reservations
