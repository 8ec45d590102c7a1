"""Report of a drill, as a table and as JSON."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dev.api import Kind
from dev.drill.acts import Act, Form
from dev.drill.history import Call, Outcome


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault. Times in seconds, None where nothing came.

    `calls` are those of customers, `acts` what staff have done, by what it is. `unknown` ones of both had no answer at first: `had_happened`
    of them had done what they should, `had_not` had done nothing.
    `revived` processes ended by themselves and were started again.
    """

    name: str
    title: str
    calls: int
    refused: dict[str, int]
    unavailable: int
    internal_errors: int
    unknown: int
    had_happened: int
    had_not: int
    sales: int
    slowest_sale: float | None
    acts: dict[str, int]
    acts_refused: int
    acts_unknown: int
    recovery: float | None
    revived: dict[str, int]
    breaches: list[str]
    figures: list[str]

    @classmethod
    def of(
        cls,
        *,
        name: str,
        title: str,
        calls: Sequence[Call],
        recovery: float | None,
        revived: dict[str, int],
        breaches: list[str],
        figures: Sequence[str] = (),
    ) -> "Row":
        statuses = Counter(attempt.status for call in calls for attempt in call.attempts)
        acts = [call for call in calls if isinstance(call.request, Act)]
        done = (call.request for call in acts if call.outcome is Outcome.DONE)
        unknown = [call for call in calls if call.was_unknown]
        had_happened = sum(call.had_happened for call in unknown)
        sales = seconds_of_sales(calls)
        refused = Counter(
            call.refusal
            for call in calls
            if call.outcome is Outcome.REFUSED and call.kind is not Kind.STAFF
        )
        return cls(
            name=name,
            title=title,
            calls=sum(not isinstance(call.request, Form) for call in calls),
            refused=dict(refused.most_common()),
            unavailable=statuses[502] + statuses[503] + statuses[504],
            internal_errors=statuses[500],
            unknown=len(unknown),
            had_happened=had_happened,
            had_not=len(unknown) - had_happened,
            sales=len(sales),
            slowest_sale=max(sales, default=None),
            acts=dict(Counter(act.what.value for act in done if isinstance(act, Act))),
            acts_refused=sum(call.outcome is Outcome.REFUSED for call in acts),
            acts_unknown=sum(call.was_unknown for call in acts),
            recovery=recovery,
            revived=revived,
            breaches=breaches,
            figures=list(figures),
        )


def seconds_of_sales(
    calls: Iterable[Call], *, within: tuple[float, float] | None = None
) -> list[float]:
    """Return how long each payment took that was answered with success, of those under way `within` two moments."""
    sales = [
        attempt
        for call in calls
        if call.kind is Kind.CONFIRM
        for attempt in call.attempts
        if attempt.outcome is Outcome.DONE and not attempt.is_replay
    ]
    return [
        sale.seconds
        for sale in sales
        if within is None or (sale.sent_at < within[1] and sale.sent_at + sale.seconds > within[0])
    ]


def as_table(rows: Sequence[Row]) -> Table:
    table = Table()
    table.add_column("fault", no_wrap=True)
    for heading in (
        *("calls", "sales", "refused", "acts", "acts\nrefused", "unknown"),
        *("acts\nunknown", "had\nhappened", "had\nnot", "slowest\nsale", "back\nafter", "breaches"),
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.name,
            *(f"{number:,}" for number in (row.calls, row.sales, sum(row.refused.values()))),
            *(f"{number:,}" for number in (sum(row.acts.values()), row.acts_refused)),
            *(str(number) for number in (row.unknown, row.acts_unknown)),
            *(str(number) for number in (row.had_happened, row.had_not)),
            _seconds(row.slowest_sale, digits=2),
            _seconds(row.recovery, digits=1),
            str(len(row.breaches)),
            style="bold red" if row.breaches else "",
        )
    return table


def remarks(rows: Sequence[Row]) -> RenderableType:
    """Yield what does not fit into a table: breaches and other figures in words, and what ended by itself."""
    lines = []
    for row in rows:
        lines += [Text(f"{row.name}: {breach}", style="red") for breach in row.breaches]
        lines += [Text(f"{row.name}: {figure}") for figure in row.figures]
        if row.internal_errors:
            lines.append(Text(f"{row.name}: {row.internal_errors} answers of status 500"))
        lines += [
            Text(f"{row.name}: {process} ended by itself {count} times and was started again")
            for process, count in row.revived.items()
        ]
    return Group(*lines)


def summary(row: Row) -> str:
    """Return one line, for output that is no terminal."""
    return (
        f"{row.name}: {row.calls} calls, {sum(row.acts.values())} acts of staff, {row.unknown} unknown, back after "
        f"{_seconds(row.recovery, digits=1)}, {len(row.breaches)} breaches"
    )


def as_json(rows: Sequence[Row], *, seed: int, seconds: float) -> dict[str, Any]:
    return {"seed": seed, "seconds": round(seconds, 1), "faults": [asdict(row) for row in rows]}


def _seconds(value: float | None, *, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f} s"
