"""Views that need no login; caches on the way may keep their answers for a moment."""

from typing import Any, ClassVar

from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import conditional_page
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.schema import operation
from apps.api.views import ApiView
from apps.concerts.errors import ConcertNotFound
from apps.concerts.selectors import (
    RANKING_LIMIT_MAX,
    RankingWindow,
    concerts_not_over,
    fastest_sold_out,
    popular_concerts,
    published_concert,
)
from apps.concerts.serializers import (
    SEARCH_LENGTH_MAX,
    ConcertDetailSerializer,
    ConcertSerializer,
    PopularConcertsSerializer,
    PopularQuerySerializer,
    RankingQuerySerializer,
    SearchQuerySerializer,
    SoldOutPerformancesSerializer,
)

LIMIT_PARAMETER = OpenApiParameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": RANKING_LIMIT_MAX, "default": 10},
    OpenApiParameter.QUERY,
    description="Items at most.",
)
CONCERT_EXAMPLE = {
    "concert_id": 3,
    "title": "Night Train",
    "artist": "The Lanterns",
    "venue": "Harbour Hall",
    "sales_open_at": "2026-12-01T11:00:00Z",
    "first_performance_at": "2027-02-12T10:00:00Z",
    "last_performance_at": "2027-02-14T09:00:00Z",
    "on_sale": True,
}


@method_decorator(conditional_page, name="dispatch")
class PublicView(ApiView):
    """Answers that are the same for everybody: no login is looked at, and successes carry `Cache-Control` and an `ETag`."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    max_age: ClassVar[int]

    def finalize_response(self, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(*args, **kwargs)
        if response.status_code == 200:
            patch_cache_control(response, public=True, max_age=self.max_age)
        return response


class ConcertsView(PublicView):
    max_age = 5

    @operation(
        summary="List concerts",
        description="Concerts that are not over, the next to begin first.",
        response=ConcertSerializer,
        paginated=True,
        conditional=True,
        query=[
            OpenApiParameter(
                "q",
                {"type": "string", "maxLength": SEARCH_LENGTH_MAX, "pattern": r"^[^\u0000]*$"},
                OpenApiParameter.QUERY,
                description=(
                    "Only those with each of these words in title, artist or venue. Spaces, width, case and accents do not matter. "
                    "If there are none, those with one letter of a word wrong, missing, too many or swapped."
                ),
            )
        ],
        message=_("Concerts."),
        examples={"response": {"items": [CONCERT_EXAMPLE], "page": 1, "page_size": 20, "total": 1}},
    )
    def get(self, request: Request) -> Response:
        query = self.validated(SearchQuerySerializer, request.query_params.dict())
        return self.page_of(
            concerts_not_over(at=timezone.now(), text=query["q"]), ConcertSerializer
        )


class ConcertView(PublicView):
    max_age = 5

    @operation(
        summary="Show a concert",
        description="Prices are in won, and null while the concert has no seats.",
        response=ConcertDetailSerializer,
        conditional=True,
        errors=[ConcertNotFound],
        message=_("The concert."),
        examples={
            "response": {
                **CONCERT_EXAMPLE,
                "description": "One evening, one orchestra.",
                "seats_per_customer": 2,
                "unpaid_seats_max": 2,
                "single_seats": "WARN",
                "price_min": 55_000,
                "price_max": 165_000,
            }
        },
    )
    def get(self, request: Request, concert_id: int) -> Response:
        concert = published_concert(concert_id)
        return self.success(ConcertDetailSerializer(concert).data)


class PopularConcertsView(PublicView):
    max_age = 1

    @operation(
        summary="List popular concerts",
        description=(
            "Concerts by reservations less cancellations today (`day`), in the last seven days (`week`) or ever (`all`); "
            "days are those of Seoul. At most two seconds old."
        ),
        response=PopularConcertsSerializer,
        conditional=True,
        query=[
            OpenApiParameter(
                "window",
                {
                    "type": "string",
                    "enum": [window.value for window in RankingWindow],
                    "default": RankingWindow.DAY.value,
                },
                OpenApiParameter.QUERY,
                description="What is counted.",
            ),
            LIMIT_PARAMETER,
        ],
        message=_("Popular concerts."),
        examples={
            "response": {
                "items": [
                    {
                        "rank": 1,
                        "concert_id": 3,
                        "title": "Night Train",
                        "venue": "Harbour Hall",
                        "reservations": 412,
                    }
                ]
            }
        },
    )
    def get(self, request: Request) -> Response:
        query = self.validated(PopularQuerySerializer, request.query_params.dict())
        items = popular_concerts(window=RankingWindow(query["window"]), limit=query["limit"])
        return self.success(PopularConcertsSerializer({"items": items}).data)


class FastestSoldOutView(PublicView):
    max_age = 1

    @operation(
        summary="List what sold out fastest",
        description="Performances by the seconds between the opening of sales and the sale of the last seat.",
        response=SoldOutPerformancesSerializer,
        conditional=True,
        query=[LIMIT_PARAMETER],
        message=_("Fastest sold out."),
        examples={
            "response": {
                "items": [
                    {
                        "rank": 1,
                        "concert_id": 3,
                        "performance_id": 8,
                        "title": "Night Train",
                        "sold_out_in_seconds": 187,
                    }
                ]
            }
        },
    )
    def get(self, request: Request) -> Response:
        query = self.validated(RankingQuerySerializer, request.query_params.dict())
        items = fastest_sold_out(limit=query["limit"])
        return self.success(SoldOutPerformancesSerializer({"items": items}).data)
