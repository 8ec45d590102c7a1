"""Pages of the counter: the live picture of a hall, releasing a hold, selling, printing tickets and moving a customer."""

from collections.abc import Callable
from typing import Any

from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.views import View

from apps.reservations.admin.counter.moving import MoveView
from apps.reservations.admin.counter.picture import (
    CounterView,
    PictureDataView,
    PictureImageView,
    PictureMapView,
    PictureView,
)
from apps.reservations.admin.counter.releasing import ReleaseView
from apps.reservations.admin.counter.seat import SeatView
from apps.reservations.admin.counter.selling import SaleView
from apps.reservations.admin.counter.tickets import TicketsView

SEATS = "seats/<int64:pk>/"
PAGES: list[tuple[str, type[View], str]] = [
    ("counter/", CounterView, "counter"),
    (SEATS, PictureView, "picture"),
    (f"{SEATS}map.json", PictureMapView, "picture_map"),
    (f"{SEATS}now.json", PictureDataView, "picture_now"),
    (f"{SEATS}now.svg", PictureImageView, "picture_image"),
    (f"{SEATS}<int64:seat_id>/", SeatView, "picture_seat"),
    (f"{SEATS}sell/", SaleView, "sell"),
    ("holds/<uuid:pk>/release/", ReleaseView, "release"),
    ("<uuid:pk>/move/", MoveView, "move"),
    ("<uuid:pk>/tickets/", TicketsView, "tickets"),
]


def counter_urls(model_admin: Any) -> list[URLPattern]:
    """Return the addresses of all these pages, below the list of reservations."""
    wrap: Callable[[Any], Callable[..., HttpResponseBase]] = model_admin.admin_site.admin_view
    return [
        path(route, wrap(view.as_view(model_admin=model_admin)), name=f"reservations_{name}")
        for route, view, name in PAGES
    ]
