"""The figures of one sale: what the cockpit shows, read once for all who look at it.

One reading is one round trip to the database and two to the stores, whatever the history: seats come from the claims that are open, what
happens by the minute from indexes by time and only as far as it is new.
"""

import time
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

from apps.api.refusal_counts import refusals_by_code
from apps.boxoffice.readings.batches import BEGIN_HALL, END_HALL, fetch_batch
from apps.boxoffice.readings.series import SETTLING, extended, since
from apps.concerts.models import Grade
from apps.core.database import Row, load_statements
from apps.core.errors import ServiceUnavailable
from apps.core.shared_readings import Data, SharedReadings
from apps.core.store import StoreUnavailable
from apps.queue.selectors import live_figures

SQL = load_statements(Path(__file__).with_suffix(".sql"))
SALE_SECONDS = 2.0
KEPT = timedelta(minutes=60)
DATES_MAX = 400
# Seats take the longest to read, with their number. They may take this part of one connection's time, so the larger the hall or the busier the
# database, the more rarely they are counted.
SEATS_SHARE = 1 / 50
SERIES = ("sales", "refunds", "holds_begun", "holds_lost")
STATES = ("FREE", "HELD", "SOLD")


def read_sale(key: str, previous: Data | None) -> Data:
    """Return the figures of the sale of the concert with this id; its `concert` is None if there is none."""
    concert_id = int(key)
    if previous is None or previous["concert"] is None:
        # Which dates there are has to be known before their seats are counted.
        previous = _read(concert_id, {"concert": None, "dates": []})
        if previous["concert"] is None:
            return previous
    return _read(concert_id, previous) | _in_the_stores(concert_id)


def _read(concert_id: int, previous: Data) -> Data:
    known_dates = [date["id"] for date in previous["dates"]]
    series = {name: previous.get(name) for name in SERIES} if known_dates else {}
    statements: list[str] = [SQL["sale_concert"], SQL["sale_dates"]]
    if known_dates:
        statements += [SQL["sale_holds"], *(SQL[f"sale_{name}"] for name in SERIES)]
    has_seats = bool(known_dates) and time.time() >= previous.get("seats_due_at", 0)
    if has_seats:
        statements += [BEGIN_HALL, SQL["sale_seats"], END_HALL]
    began_at = time.monotonic()
    concerts, dates, *others = fetch_batch(
        statements,
        {
            "concert_id": concert_id,
            "dates_max": DATES_MAX,
            "performance_ids": known_dates,
            "settling": SETTLING,
            "kept": KEPT,
            **{f"{name}_since": since(state) for name, state in series.items()},
        },
    )
    seconds = time.monotonic() - began_at
    if not concerts:
        return {"concert": None, "dates": []}
    at: datetime = concerts[0][0]
    data: Data = {
        "at": at.timestamp(),
        "concert": _concert(concerts[0]),
        "dates": [{"id": pk, "starts_at": starts_at.timestamp()} for pk, starts_at in dates],
        "seats": previous.get("seats"),
        "seats_due_at": previous.get("seats_due_at", 0),
        "holds": [],
    }
    if known_dates:
        data["holds"] = [[int(number) for number in row] for row in others[0]]
        oldest = int((at - KEPT).timestamp() // 60)
        for name, rows in zip(SERIES, others[1:], strict=False):
            data[name] = extended(
                series[name],
                rows,
                until=at - SETTLING,
                keep=lambda minute: int(minute) >= oldest,
            )
    if has_seats:
        data["seats"] = {"at": at.timestamp(), **_seats(others[-2])}
        data["seats_due_at"] = time.time() + max(0.0, seconds / SEATS_SHARE - SALE_SECONDS)
    return data


def _concert(row: Row) -> Data:
    _at, title, is_published, open_at, close_at, room_id, state, reason, capacity, rate = row
    room = room_id and {
        "id": room_id,
        "state": state,
        "pause_reason": reason,
        "capacity": capacity,
        "admissions_per_minute": rate,
    }
    return {
        "title": title,
        "is_published": is_published,
        "sales_open_at": open_at.timestamp(),
        "sales_close_at": close_at and close_at.timestamp(),
        "room": room,
    }


def _seats(rows: list[Row]) -> Data:
    """Return numbers of seats by grade and category, the dearest grade first, and by date: free, held, sold; and what the sold ones cost."""
    by_grade: dict[tuple[str, str], list[int]] = {}
    by_date: dict[int, list[int]] = {}
    for date, grade, category, state, number, price in rows:
        place = STATES.index(state)
        sums = by_grade.setdefault((grade, category), [0, 0, 0, 0])
        sums[place] += number
        sums[3] += int(price) if state == "SOLD" else 0
        # Seats that are kept back are not for sale, so they are not what is left of a date.
        if category == "OPEN" or state != "FREE":
            by_date.setdefault(date, [0, 0, 0])[place] += number
    ordered = sorted(by_grade, key=_place)
    return {
        "by_grade": [[*pair, *by_grade[pair]] for pair in ordered],
        "by_date": {str(date): sums for date, sums in by_date.items()},
    }


def _place(pair: tuple[str, str]) -> tuple[int, bool, str]:
    """Sort grades from the dearest on, and what is for sale before what is kept back."""
    grade, category = pair
    return Grade.values.index(grade), category != "OPEN", category


def _in_the_stores(concert_id: int) -> Data:
    """Return the live figures of the room and the refusals of the last hour; each is None while its store is away."""
    try:
        figures = live_figures(concert_id)
        live: Data | None = {"figures": figures and asdict(figures)}
    except ServiceUnavailable:
        live = None
    try:
        refusals: Data | None = dict(refusals_by_code(minutes=KEPT // timedelta(minutes=1)))
    except StoreUnavailable:
        refusals = None
    return {"live": live, "refusals": refusals}


# Another name with another shape of the data: releases share the store while they take turns.
sale_readings = SharedReadings("sale:1", seconds=SALE_SECONDS, read=read_sale)
