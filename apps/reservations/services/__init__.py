"""Every write of holds and reservations, by use case."""

from apps.reservations.services.best_available import hold_best_available
from apps.reservations.services.cancelling import Cancellation, cancel_reservation
from apps.reservations.services.complimentary import COMPS_ALONE_MAX, may_give_alone
from apps.reservations.services.confirming import Confirmation, confirm_reservation
from apps.reservations.services.expiring import expire_holds
from apps.reservations.services.extending import extend_hold, extensions_of
from apps.reservations.services.external_sync import sync_all_externally
from apps.reservations.services.gate import (
    admission_to_concert,
    admission_to_look,
    admission_to_performance,
    concert_id_of,
    concert_to_pay_for,
    verify_payer,
)
from apps.reservations.services.holding import HeldSeats, hold_seats
from apps.reservations.services.notifying import (
    notify_holders,
    notify_holders_of_concert,
    take_back_holder_notice,
)
from apps.reservations.services.refunding import (
    GivenBack,
    cancel_seats,
    give_back,
    refund_reservation,
)
from apps.reservations.services.releasing import (
    release_hold,
    release_hold_by_staff,
    release_holds_of,
)
from apps.reservations.services.reseating import Move, MovePrice, reseat
from apps.reservations.services.selling import WalkUp, sell_at_counter
from apps.reservations.services.topping_up import top_up_for_hold
