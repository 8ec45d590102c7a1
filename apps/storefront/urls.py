from django.urls import path

from apps.storefront.views import accounts, browsing, checkout, reservations, seats, waiting

app_name = "storefront"

CONCERT = "concerts/<int64:concert_id>/"
SEATS = f"{CONCERT}seats/<int64:performance_id>/"
CHECKOUT = f"{CONCERT}checkout/<uuid:hold_id>/"
RESERVATION = "reservations/<uuid:reservation_id>/"

urlpatterns = [
    path("", browsing.HomeView.as_view(), name="home"),
    path("favicon.ico", browsing.FaviconView.as_view(), name="favicon"),
    path("register/", accounts.RegisterView.as_view(), name="register"),
    path("login/", accounts.LoginView.as_view(), name="login"),
    path("logout/", accounts.LogoutView.as_view(), name="logout"),
    path("wallet/", accounts.WalletView.as_view(), name="wallet"),
    path("language/", accounts.LanguageView.as_view(), name="language"),
    path(CONCERT, browsing.ConcertView.as_view(), name="concert"),
    path(f"{CONCERT}poster.svg", browsing.PosterView.as_view(), name="poster"),
    # Below the path of the concert, because that is where its queue cookie is sent.
    path(f"{CONCERT}queue/", waiting.QueueView.as_view(), name="queue"),
    path(f"{CONCERT}queue/status/", waiting.QueueStatusView.as_view(), name="queue_status"),
    path(f"{CONCERT}queue/leave/", waiting.LeaveQueueView.as_view(), name="leave_queue"),
    path(f"{CONCERT}seats/", seats.DatesView.as_view(), name="seats"),
    path(SEATS, seats.SeatMapPageView.as_view(), name="seat_map"),
    path(f"{SEATS}map/", seats.SeatMapDataView.as_view(), name="seat_map_data"),
    path(f"{SEATS}availability/", seats.AvailabilityDataView.as_view(), name="availability"),
    path(CHECKOUT, checkout.CheckoutView.as_view(), name="checkout"),
    path(f"{CHECKOUT}extend/", checkout.ExtendHoldView.as_view(), name="extend_hold"),
    path(f"{CHECKOUT}top-up/", checkout.TopUpForHoldView.as_view(), name="top_up_for_hold"),
    path(f"{CHECKOUT}release/", checkout.ReleaseHoldView.as_view(), name="release_hold"),
    path("reservations/", reservations.ReservationsView.as_view(), name="reservations"),
    path(RESERVATION, reservations.ReservationView.as_view(), name="reservation"),
    path(f"{RESERVATION}cancel/", reservations.CancellationView.as_view(), name="cancellation"),
    path(f"{RESERVATION}calendar.ics", reservations.CalendarView.as_view(), name="calendar"),
    path("tickets/<uuid:ticket_id>/qr.svg", reservations.TicketQrView.as_view(), name="ticket_qr"),
]
