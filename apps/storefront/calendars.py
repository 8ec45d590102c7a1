"""A reservation as an entry for the customer's calendar (RFC 5545, RFC 5546)."""

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from icalendar import Calendar, Event

from apps.reservations.models import Reservation


def calendar_of(reservation: Reservation) -> bytes:
    """Return the entry as it has to be now; of a cancelled reservation, what takes the entry out again.

    A calendar knows by `uid` that it has the entry already, and by `sequence` which of two is the later one. Needs the
    reservation's details to be loaded.
    """
    performance = reservation.performance
    is_confirmed = (
        reservation.status == Reservation.Status.CONFIRMED and not performance.is_called_off
    )
    tickets = reservation.tickets.all()
    given_up = [ticket.cancelled_at for ticket in tickets if ticket.cancelled_at is not None]
    seats = ", ".join(str(ticket.seat) for ticket in tickets if ticket.cancelled_at is None)
    changed_at = max([reservation.changed_at, *given_up])
    version = performance.schedule_version + len(given_up)
    event = Event()
    event.add("uid", f"{reservation.pk}@encore")
    event.add("dtstamp", changed_at)
    event.add("last-modified", changed_at)
    event.add("sequence", version + (reservation.status == Reservation.Status.CANCELLED))
    event.add("dtstart", performance.starts_at)
    event.add("dtend", performance.ends_at)
    event.add("summary", performance.concert.title)
    event.add("location", performance.concert.venue)
    event.add("description", _("Seats: %(seats)s") % {"seats": seats})
    event.add("organizer", settings.BASE_URL)
    event.add("url", settings.BASE_URL + reverse("storefront:reservation", args=[reservation.pk]))
    event.add("status", "CONFIRMED" if is_confirmed else "CANCELLED")
    calendar = Calendar()
    calendar.add("prodid", "-//Encore//storefront//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH" if is_confirmed else "CANCEL")
    calendar.add_component(event)
    written: bytes = calendar.to_ical()
    return written
