"""A reservation as an entry for the customer's calendar (RFC 5545)."""

from datetime import timedelta

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from icalendar import Calendar, Event

from apps.reservations.models import Reservation

# Nobody knows how long a concert takes; calendars want an end all the same.
ASSUMED_LENGTH = timedelta(hours=2, minutes=30)


def calendar_of(reservation: Reservation) -> bytes:
    """Needs the reservation's details to be loaded."""
    performance = reservation.performance
    seats = ", ".join(str(ticket.seat) for ticket in reservation.tickets.all())
    event = Event()
    event.add("uid", f"{reservation.pk}@encore")
    event.add("dtstamp", reservation.reserved_at)
    event.add("dtstart", performance.starts_at)
    event.add("dtend", performance.starts_at + ASSUMED_LENGTH)
    event.add("summary", performance.concert.title)
    event.add("location", performance.concert.venue)
    event.add("description", _("Seats: %(seats)s") % {"seats": seats})
    event.add("url", settings.BASE_URL + reverse("storefront:reservation", args=[reservation.pk]))
    is_confirmed = reservation.status == Reservation.Status.CONFIRMED
    event.add("status", "CONFIRMED" if is_confirmed else "CANCELLED")
    calendar = Calendar()
    calendar.add("prodid", "-//Encore//storefront//EN")
    calendar.add("version", "2.0")
    calendar.add_component(event)
    written: bytes = calendar.to_ical()
    return written
