"""Add up what was sold and given back, by day at the venues and by concert, as the ledger has it.

Days are read from the ledger by their times, so a report costs what its days cost, whatever the history.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import date
from itertools import groupby
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import WALK_UP_DOMAIN
from apps.boxoffice.base.days import days_as_time
from apps.core.audit_sessions import audit_session
from apps.core.spreadsheets import Line, Table
from apps.payments.models import LedgerTransaction
from apps.reservations.order_numbers import printed_order_number

DAYS_MAX = 366
SECONDS = 10.0  # of the statement of a report
ROWS_AT_ONCE = 2_000

# Movements without a reservation, of which there are none if the books are sound, are counted, too. Tickets that were given up are those
# that were cancelled alone, and those that ended with their reservations. Each part is read by the times of the range, for which it has an index.
_SALES = """
SELECT summed.day, concert.id, coalesce(concert.title, '?'),
    sum(summed.orders)::bigint, sum(summed.tickets)::bigint, sum(summed.cancelled)::bigint, sum(summed.gross)::bigint,
    sum(summed.cash)::bigint, sum(summed.card)::bigint, sum(summed.house)::bigint,
    sum(summed.refunds)::bigint, sum(summed.refunded)::bigint, sum(summed.to_house)::bigint
FROM (
    SELECT (booked.created_at AT TIME ZONE %(zone)s)::date AS day, performance.concert_id,
        count(*) FILTER (WHERE booked.type = 'PAYMENT') AS orders,
        coalesce(sum(issued.tickets) FILTER (WHERE booked.type = 'PAYMENT'), 0) AS tickets,
        0 AS cancelled,
        coalesce(-sum(booked.amount) FILTER (WHERE booked.type = 'PAYMENT'), 0) AS gross,
        coalesce(sum(booked.amount) FILTER (WHERE booked.type = 'TILL_CASH'), 0) AS cash,
        coalesce(sum(booked.amount) FILTER (WHERE booked.type = 'TILL_CARD'), 0) AS card,
        coalesce(sum(booked.amount) FILTER (WHERE booked.type = 'COMP'), 0) AS house,
        count(*) FILTER (WHERE booked.type = 'REFUND') AS refunds,
        coalesce(sum(booked.amount) FILTER (WHERE booked.type = 'REFUND'), 0) AS refunded,
        coalesce(-sum(booked.amount) FILTER (WHERE booked.type = 'COMP_BACK'), 0) AS to_house
    FROM payments_ledgertransaction booked
    LEFT JOIN reservations_reservation sold ON sold.id = booked.reference
    LEFT JOIN concerts_performance performance ON performance.id = sold.performance_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS tickets FROM reservations_ticket ticket
        WHERE booked.type = 'PAYMENT' AND ticket.reservation_id = sold.id
    ) issued
    WHERE booked.created_at >= %(since)s AND booked.created_at < %(until)s
      AND booked.type IN ('PAYMENT', 'REFUND', 'TILL_CASH', 'TILL_CARD', 'COMP', 'COMP_BACK')
    GROUP BY 1, 2
    UNION ALL
    SELECT (given_up.at AT TIME ZONE %(zone)s)::date, performance.concert_id,
        0, 0, count(*), 0, 0, 0, 0, 0, 0, 0
    FROM (
        SELECT ticket.cancelled_at AS at, ticket.reservation_id FROM reservations_ticket ticket
        WHERE ticket.cancelled_at >= %(since)s AND ticket.cancelled_at < %(until)s
        UNION ALL
        SELECT ended.cancelled_at, ended.id FROM reservations_reservation ended
        JOIN reservations_ticket ticket ON ticket.reservation_id = ended.id AND ticket.cancelled_at IS NULL
        WHERE ended.cancelled_at >= %(since)s AND ended.cancelled_at < %(until)s
    ) given_up
    JOIN reservations_reservation sold ON sold.id = given_up.reservation_id
    JOIN concerts_performance performance ON performance.id = sold.performance_id
    GROUP BY 1, 2
) summed
LEFT JOIN concerts_concert concert ON concert.id = summed.concert_id
GROUP BY summed.day, concert.id, concert.title
ORDER BY summed.day, concert.title, concert.id
"""
_MOVEMENTS = """
SELECT (booked.created_at AT TIME ZONE %(zone)s), booked.type, sold.number, customer.name, customer.email,
    coalesce(concert.title, '?'), performance.starts_at AT TIME ZONE %(zone)s, -booked.amount, booked.reason, booked.id::text
FROM payments_ledgertransaction booked
JOIN accounts_user customer ON customer.id = booked.customer_id
LEFT JOIN reservations_reservation sold ON sold.id = booked.reference
LEFT JOIN concerts_performance performance ON performance.id = sold.performance_id
LEFT JOIN concerts_concert concert ON concert.id = performance.concert_id
WHERE booked.created_at >= %(since)s AND booked.created_at < %(until)s
  AND booked.type IN ('PAYMENT', 'REFUND', 'COMP', 'COMP_BACK')
ORDER BY booked.created_at, booked.id
LIMIT %(limit)s
"""


@dataclass(slots=True)
class Sales:
    """Sums of one concert on one day, of a day, or of all; amounts in won.

    `tickets` were sold and `cancelled` given up on the day, whenever the others were sold. Of the `gross` price `cash`, `card` and `house`
    were paid that way, and the rest from wallets. Of what was `refunded` the house got back `to_house`, and customers the rest.
    What the house pays is no income.
    """

    orders: int = 0
    tickets: int = 0
    cancelled: int = 0
    gross: int = 0
    cash: int = 0
    card: int = 0
    house: int = 0
    refunds: int = 0
    refunded: int = 0
    to_house: int = 0

    @property
    def wallet(self) -> int:
        return self.gross - self.cash - self.card - self.house

    @property
    def to_customers(self) -> int:
        return self.refunded - self.to_house

    @property
    def net(self) -> int:
        return self.gross - self.house - self.to_customers

    def add(self, other: "Sales") -> None:
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))

    def cells(self) -> list[int]:
        """Return the figures in the order of `HEADERS`."""
        return [getattr(self, name) for name in HEADERS]


# What a page and a file show of sales, from the left.
HEADERS = {
    "orders": gettext_lazy("Orders"),
    "tickets": gettext_lazy("Tickets sold"),
    "cancelled": gettext_lazy("Tickets cancelled"),
    "gross": gettext_lazy("Sales (won)"),
    "wallet": gettext_lazy("From wallets (won)"),
    "cash": gettext_lazy("Cash (won)"),
    "card": gettext_lazy("Card (won)"),
    "house": gettext_lazy("Complimentary (won)"),
    "refunds": gettext_lazy("Number of refunds"),
    "refunded": gettext_lazy("Refunded (won)"),
    "to_customers": gettext_lazy("To customers (won)"),
    "to_house": gettext_lazy("To the house (won)"),
    "net": gettext_lazy("Net (won)"),
}


@dataclass(frozen=True, slots=True)
class ConcertSales:
    day: date
    concert_id: int | None
    title: str
    sales: Sales


@dataclass(slots=True)
class DayOfSales:
    day: date
    concerts: list[ConcertSales]
    total: Sales = field(default_factory=Sales)


def sales_of(first: date, last: date) -> list[ConcertSales]:
    """Return the sales of some days, each concert of each day once, by day and title.

    :raises OperationalError: it took longer than `SECONDS`.
    """
    with audit_session(seconds=SECONDS), connection.cursor() as cursor:
        cursor.execute(_SALES, _between(first, last))
        return [
            ConcertSales(day, concert_id, title, Sales(*figures))
            for day, concert_id, title, *figures in cursor.fetchall()
        ]


def by_day(found: list[ConcertSales]) -> tuple[list[DayOfSales], Sales]:
    """Return days with their totals, and the total of all."""
    days, total = [], Sales()
    for day, concerts in groupby(found, key=lambda concert: concert.day):
        of_day = DayOfSales(day, list(concerts))
        for concert in of_day.concerts:
            of_day.total.add(concert.sales)
        total.add(of_day.total)
        days.append(of_day)
    return days, total


def sales_table(first: date, last: date) -> Table:
    """Return the report as a table, with a line for the total of each day and one for that of all.

    :raises OperationalError: it took longer than `SECONDS`.
    """
    days, total = by_day(sales_of(first, last))

    def lines() -> Iterator[Line]:
        for day in days:
            for concert in day.concerts:
                yield [day.day, concert.title, concert.concert_id, *concert.sales.cells()]
            yield [day.day, _("Total of the day"), None, *day.total.cells()]

    own = map(str, HEADERS.values())
    header = (_("Day"), _("Concert"), _("Number of the concert"), *own)
    return Table(_("Sales"), header, lines(), lambda: [[_("Total"), None, None, *total.cells()]])


def movements_table(first: date, last: date, *, most: int) -> Table:
    """Return every payment and refund of some days, the first first; its lines are read while they are written.

    They have to be written inside `audit_session`. More than `most` lines end it without its last line.

    :raises TooManyLines: while the lines are read.
    """
    total = 0
    kinds = dict(LedgerTransaction.Type.choices)

    def lines() -> Iterator[Line]:
        nonlocal total
        for number, row in enumerate(_movements(first, last, most + 1)):
            if number == most:
                raise TooManyLines
            at, kind, order, name, email, title, starts_at, amount, reason, pk = row
            total += amount
            printed = "" if order is None else printed_order_number(order)
            yield [
                at,
                str(kinds.get(kind, kind)),
                printed,
                name,
                "" if email.endswith(f"@{WALK_UP_DOMAIN}") else email,
                title,
                starts_at,
                amount,
                reason,
                pk,
            ]

    header = (
        *(_("Time"), _("Kind"), _("Order"), _("Customer"), _("Email address"), _("Concert")),
        *(_("Date"), _("Amount (won)"), _("Reason"), _("Transaction")),
    )
    closing = lambda: [[_("Total"), *[None] * 6, total]]  # noqa: E731
    return Table(_("Payments and refunds"), header, lines(), closing)


class TooManyLines(Exception):
    """There is more than a file should have."""


def _movements(first: date, last: date, limit: int) -> Iterator[tuple[Any, ...]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(_MOVEMENTS, {**_between(first, last), "limit": limit})
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield from rows


def _between(first: date, last: date) -> dict[str, Any]:
    since, until = days_as_time(first, last)
    return {"zone": settings.VENUE_TIME_ZONE, "since": since, "until": until}
