"""Everything that other apps, views and tasks may do with a waiting room."""

from apps.concerts.publication import By
from apps.queue.services.admission import admit_now, admit_visitors
from apps.queue.services.controls import (
    close_room,
    edit_policy,
    follow_publication,
    lock_room,
    open_room,
    pause_room,
    refuse_opening_outside_sales,
    remove_visitor,
    resume_room,
    set_admissions_per_minute,
    set_capacity,
    why_no_sense,
    why_refused,
)
from apps.queue.services.exit_log import visit_is_over
from apps.queue.services.finishing import finish_paid_visits, finish_visit
from apps.queue.services.gate import (
    Admission,
    VisitRef,
    admitted_visitor,
    concert_of_token,
    extend_lease,
    has_slot_in,
    require_new_hold_allowed,
    shorten_lease,
    verify_token,
)
from apps.queue.services.notices import notify_visitors, take_back_room_notice
from apps.queue.services.retiring import forget_room
from apps.queue.services.rooms import get_or_create_waiting_room, schedule_tick_now
from apps.queue.services.visits import VisitorStatus, join_queue, leave_queue, visitor_status
