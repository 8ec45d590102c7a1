from apps.shared.retention import Retention

# Holds that ended without a payment, with their claims. One with a claim that is still open, or with a reservation, is a
# breach and stays as the proof of it.
HOLDS = Retention(
    name="unpaid_holds",
    setting="UNPAID_HOLD_RETENTION",
    old="""
        SELECT old.id FROM reservations_hold old
        WHERE old.status IN ('RELEASED', 'EXPIRED') AND old.ended_at < %(before)s
          AND (SELECT count(*) FILTER (WHERE ended_at IS NULL) FROM reservations_seatclaim WHERE hold_id = old.id) = 0
          AND (SELECT count(*) FROM reservations_reservation WHERE hold_id = old.id) = 0
        ORDER BY old.ended_at
    """,
    tables=(("reservations_seatclaim", "hold_id"), ("reservations_hold", "id")),
)
