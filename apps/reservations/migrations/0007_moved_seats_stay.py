"""Let seats that stay with a customer who is moved stay in their category: the move itself returns those that are left behind."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("reservations", "0006_counter"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="seatclaim",
            name="return_seats",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="seatclaim",
            trigger=pgtrigger.compiler.Trigger(
                name="return_seats",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    DELETE FROM concerts_seatallocation allocation\n    USING ended\n    JOIN before ON before.id = ended.id AND before.ended_at IS NULL\n    JOIN reservations_hold hold ON hold.id = ended.hold_id AND hold.status = 'CONFIRMED'\n    WHERE ended.ended_at IS NOT NULL AND allocation.seat_id = ended.seat_id AND NOT allocation.returns_on_refund\n      AND NOT EXISTS (\n          SELECT FROM reservations_reservation reservation\n          WHERE reservation.hold_id = hold.id AND reservation.moved_to_id IS NOT NULL\n      );\n    RETURN NULL;\n",
                    hash="16f53c5a4104feed457fb54beb3c4eee2b466c6a",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_return_seats_c3960",
                    referencing="REFERENCING OLD TABLE AS before  NEW TABLE AS ended ",
                    table="reservations_seatclaim",
                    when="AFTER",
                ),
            ),
        ),
    ]
