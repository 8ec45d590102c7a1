from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
MAX_PAGE = 1_000_000


class PageQuery(serializers.Serializer[Any]):
    page = serializers.IntegerField(min_value=1, max_value=MAX_PAGE, default=1)
    page_size = serializers.IntegerField(min_value=1, max_value=MAX_PAGE_SIZE, default=PAGE_SIZE)


PAGE_PARAMETERS = [
    OpenApiParameter(
        name,
        {"type": "integer", "minimum": 1, "maximum": maximum, "default": default},
        OpenApiParameter.QUERY,
        description=description,
    )
    for name, maximum, default, description in (
        ("page", MAX_PAGE, 1, "Page, from 1. A page beyond the last is empty."),
        ("page_size", MAX_PAGE_SIZE, PAGE_SIZE, "Items on a page."),
    )
]


def page_data(
    request: Request,
    queryset: QuerySet[Any],
    serializer_class: type[serializers.BaseSerializer[Any]],
) -> dict[str, Any]:
    """Return one page of `queryset`, which must be ordered, as `{"items", "page", "page_size", "total"}`; two queries.

    :raises ValidationError: `page` or `page_size` is not a number in its range.
    """
    query = PageQuery(data=request.query_params.dict())
    query.is_valid(raise_exception=True)
    page, page_size = query.validated_data["page"], query.validated_data["page_size"]
    start = (page - 1) * page_size
    items = serializer_class(queryset[start : start + page_size], many=True).data
    return {"items": items, "page": page, "page_size": page_size, "total": queryset.count()}
