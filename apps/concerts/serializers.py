from typing import Any

from django.utils import timezone
from rest_framework import serializers

from apps.api.fields import StrictChoiceField
from apps.concerts.models import Concert
from apps.concerts.selectors import (
    RANKING_LIMIT_MAX,
    PopularConcert,
    RankingWindow,
    SoldOutPerformance,
)

SEARCH_LENGTH_MAX = 100


class SearchQuerySerializer(serializers.Serializer[Any]):
    q = serializers.CharField(default="", allow_blank=True, max_length=SEARCH_LENGTH_MAX)


class RankingQuerySerializer(serializers.Serializer[Any]):
    limit = serializers.IntegerField(default=10, min_value=1, max_value=RANKING_LIMIT_MAX)


class PopularQuerySerializer(RankingQuerySerializer):
    window = StrictChoiceField(
        [window.value for window in RankingWindow], default=RankingWindow.DAY.value
    )


class ConcertSerializer(serializers.Serializer[Concert]):
    concert_id = serializers.IntegerField(source="pk")
    title = serializers.CharField()
    artist = serializers.CharField()
    venue = serializers.CharField()
    sales_open_at = serializers.DateTimeField()
    first_performance_at = serializers.DateTimeField(allow_null=True)
    last_performance_at = serializers.DateTimeField(allow_null=True)
    on_sale = serializers.SerializerMethodField()

    def get_on_sale(self, concert: Concert) -> bool:
        return concert.has_date_to_sell(timezone.now())


class ConcertDetailSerializer(ConcertSerializer):
    description = serializers.CharField()
    seats_per_customer = serializers.IntegerField()
    unpaid_seats_max = serializers.IntegerField(source="unpaid_seat_limit")
    single_seats = serializers.ChoiceField(Concert.SingleSeats.values)
    price_min = serializers.IntegerField(allow_null=True)
    price_max = serializers.IntegerField(allow_null=True)


class PopularConcertSerializer(serializers.Serializer[PopularConcert]):
    rank = serializers.IntegerField()
    concert_id = serializers.IntegerField()
    title = serializers.CharField()
    venue = serializers.CharField()
    reservations = serializers.IntegerField()


class SoldOutPerformanceSerializer(serializers.Serializer[SoldOutPerformance]):
    rank = serializers.IntegerField()
    concert_id = serializers.IntegerField()
    performance_id = serializers.IntegerField()
    title = serializers.CharField()
    sold_out_in_seconds = serializers.IntegerField()


class PopularConcertsSerializer(serializers.Serializer[Any]):
    items = PopularConcertSerializer(many=True)


class SoldOutPerformancesSerializer(serializers.Serializer[Any]):
    items = SoldOutPerformanceSerializer(many=True)
