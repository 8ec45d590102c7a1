from django.contrib.postgres.indexes import BrinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    """Small indexes, built in one pass over each table, without keeping anybody from writing."""

    atomic = False

    dependencies = [("reservations", "0005_extended_holds")]

    operations = [
        AddIndexConcurrently(
            "hold",
            BrinIndex(autosummarize=True, fields=["performance"], name="hold_by_performance"),
        ),
        AddIndexConcurrently(
            "seatclaim",
            BrinIndex(autosummarize=True, fields=["performance"], name="seat_claim_by_performance"),
        ),
    ]
