from django.urls import path

from apps.reservations.views.holds import (
    BestAvailableView,
    HoldExtensionView,
    HoldsView,
    HoldView,
)
from apps.reservations.views.reservations import (
    CancellationView,
    ReservationsView,
    ReservationView,
    TicketQrView,
)
from apps.reservations.views.seats import (
    AvailabilityView,
    PerformancesView,
    SeatMapView,
    SeatsView,
)

urlpatterns = [
    path(
        "concerts/<int64:concert_id>/performances", PerformancesView.as_view(), name="performances"
    ),
    path("performances/<int64:performance_id>/seats", SeatsView.as_view(), name="seats"),
    path("performances/<int64:performance_id>/seat-map", SeatMapView.as_view(), name="seat-map"),
    path(
        "performances/<int64:performance_id>/availability",
        AvailabilityView.as_view(),
        name="availability",
    ),
    path("holds", HoldsView.as_view(), name="holds"),
    path("holds/best-available", BestAvailableView.as_view(), name="best-available"),
    path("holds/<uuid:hold_id>", HoldView.as_view(), name="hold"),
    path("holds/<uuid:hold_id>/extend", HoldExtensionView.as_view(), name="hold-extension"),
    path("reservations", ReservationsView.as_view(), name="reservations"),
    path("reservations/<uuid:reservation_id>", ReservationView.as_view(), name="reservation"),
    path(
        "reservations/<uuid:reservation_id>/cancel", CancellationView.as_view(), name="cancellation"
    ),
    path("tickets/<uuid:ticket_id>/qr.svg", TicketQrView.as_view(), name="ticket-qr"),
]
