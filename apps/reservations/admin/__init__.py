"""Pages of staff about what customers hold and have bought."""

from apps.reservations.admin import timeline
from apps.reservations.admin.hold import HoldAdmin, SeatClaimAdmin
from apps.reservations.admin.notices import HolderNoticeAdmin
from apps.reservations.admin.reservation import ReservationAdmin, TicketAdmin
