import io
import resource
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from apps.concerts.corrections import delete_concerts
from apps.concerts.hall_pictures import hall_svg
from apps.concerts.halls import draft_seats
from apps.concerts.layouts import SEATS_MAX, PlannedSeat
from apps.concerts.models import Concert, Grade, SeatKind
from apps.concerts.plans import unpack_plan
from apps.concerts.seat_changes import change_seats, changes_to
from apps.concerts.services import create_performance
from apps.concerts.sheets import read_sheet, write_csv, write_xlsx
from apps.core.commands import whole_number
from apps.core.transactions import run_in_transaction

T = TypeVar("T")
SEATS_PER_ROW = 100
ROWS_PER_SECTION = 50


class Command(BaseCommand):
    help = (
        "Import a hall from a CSV and from an XLSX as staff do, say how long each step takes and how much memory "
        "the process had at most, and delete the hall again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--seats",
            type=whole_number(1, SEATS_MAX),
            default=50_000,
            metavar="N",
            help="seats of the hall (default: 50,000)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        hall = [_seat(place) for place in range(options["seats"])]
        opens_at = timezone.now() + timedelta(days=30)
        concert = Concert.objects.create(
            title="Import", artist="Import", venue="Import", sales_open_at=opens_at
        )
        try:
            self._measure(concert, hall)
        finally:
            run_in_transaction(partial(delete_concerts, ids=[concert.pk]))

    def _measure(self, concert: Concert, hall: list[PlannedSeat]) -> None:
        for day, (name, write) in enumerate({"CSV": write_csv, "XLSX": write_xlsx}.items()):
            starts_at = concert.sales_open_at + timedelta(days=1 + day)
            performance = create_performance(concert_id=concert.pk, starts_at=starts_at)
            file = io.BytesIO()
            self._timed(f"{name}, export", partial(write, hall, file))
            file.seek(0)
            how = {"performance_id": performance.pk, "removes_missing": False}

            def dry_run(file: io.BytesIO = file, how: dict[str, Any] = how) -> bytes:
                seats = read_sheet(file).seats
                draft = draft_seats(seats=seats, source="Import", **how)
                hall_svg(changes_to(seats=seats, **how).result)
                return bytes(draft.plan)

            plan = self._timed(f"{name}, dry run", dry_run)
            version = performance.seat_map_version

            def apply(how: dict[str, Any] = how, plan: bytes = plan, version: int = version) -> int:
                made = change_seats(seats=unpack_plan(plan), seat_map_version=version, **how)
                return len(made.added)

            made = self._timed(f"{name}, import", apply)
            assert made == len(hall)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.stdout.write(f"{len(hall):,} seats; at most {peak:.0f} MB of memory in all")

    def _timed(self, what: str, work: Callable[[], T]) -> T:
        started_at, used_before = time.perf_counter(), time.process_time()
        result = work()
        elapsed, used = time.perf_counter() - started_at, time.process_time() - used_before
        self.stdout.write(f"{what}: {elapsed:.2f} s, of which this process worked {used:.2f} s")
        return result


def _seat(place: int) -> PlannedSeat:
    """Return one seat of a hall with sections side by side and an aisle in the middle of each row; the last rows are for wheelchairs, some seats are kept back."""
    row, number = divmod(place, SEATS_PER_ROW)
    section, row = divmod(row, ROWS_PER_SECTION)
    grade = Grade.values[min(section, len(Grade.values) - 1)]
    x = section * (SEATS_PER_ROW + 3) + number + (number >= SEATS_PER_ROW // 2)
    price = 200_000 - 40_000 * Grade.values.index(grade)
    kind = SeatKind.WHEELCHAIR if row == ROWS_PER_SECTION - 1 else SeatKind.STANDARD
    category, reason = ("HOUSE", "For the house") if row == 0 and number < 10 else ("", "")
    return PlannedSeat(
        f"Section {section + 1}",
        str(row + 1),
        number + 1,
        grade,
        price,
        x,
        row + 2,
        kind.value,
        category,
        reason,
    )
