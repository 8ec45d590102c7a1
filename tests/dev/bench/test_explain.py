"""Measuring the hot queries, and their table in `docs/database.md`."""

import pytest
from django.db import connection

from apps.accounts.models import AccessToken
from dev.bench import explain
from dev.bench.hot_queries import Case, hot_queries
from dev.bench.markdown import replace_region
from tests.factories.accounts import CustomerFactory, bearer
from tests.factories.concerts import PerformanceFactory
from tests.factories.payments import WalletFactory
from tests.factories.reservations import reservation


def node(kind, *plans, rows=0, loops=1, left_out=0, **names):
    """Return a node of a plan as PostgreSQL describes it."""
    return {
        "Node Type": kind,
        "Plans": list(plans),
        "Actual Rows": float(rows),
        "Actual Loops": loops,
        "Rows Removed by Filter": left_out,
        **{name.replace("_", " "): value for name, value in names.items()},
    }


# One index finds 5 rows, another 3 + 1 in each of 2 loops, and a scan 7 + 2; the rest reads none.
SEATS = node(
    "Bitmap Heap Scan",
    node("Bitmap Index Scan", rows=5, Index_Name="seat_price_range"),
    rows=5,
    Relation_Name="concerts_seat",
)
CLAIMS = node(
    "Index Scan",
    rows=3,
    loops=2,
    left_out=1,
    Index_Name="seat_claimed_once",
    Relation_Name="reservations_seatclaim",
)
DATES = node("Seq Scan", rows=7, left_out=2, Relation_Name="concerts_performance")
JOINED = node(
    "Limit",
    node("Nested Loop", SEATS, CLAIMS, Join_Type="Inner"),
    node("Hash Join", node("Result", rows=1), DATES, Join_Type="Left"),
    node("Subquery Scan", node("CTE Scan", rows=1_000), rows=1_000, left_out=1_000),
)


class TestPlan:
    def test_is_outlined_by_scans_and_what_joins_them(self):
        assert explain._outline(JOINED) == (
            "Nested Loop (Bitmap Index Scan `seat_price_range`, Index Scan `seat_claimed_once`), "
            "Seq Scan `concerts_performance`"
        )

    def test_reads_the_rows_of_tables(self):
        assert explain._rows_read(JOINED) == 5 + 2 * (3 + 1) + (7 + 2)

    @pytest.mark.django_db
    @pytest.mark.parametrize("settings", ["", "SET LOCAL enable_nestloop = off; "])
    def test_is_that_of_the_statement(self, settings: str):
        statement = "SELECT id FROM accounts_user WHERE length(name) > %s"
        CustomerFactory.create_batch(3)

        measured = explain._measured(settings + statement, [10_000])

        assert measured.plan.startswith("Seq Scan on accounts_user")
        assert (measured.outline, measured.rows) == ("Seq Scan `accounts_user`", 3)
        assert measured.milliseconds > 0


@pytest.mark.django_db
def test_a_case_is_measured_without_its_index_and_with_it():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # the table is empty
    case = Case(
        "A login",
        ("access_token_hash_unique",),
        "accounts_accesstoken",
        lambda: list(AccessToken.objects.filter(token_hash=b"login").values("token_hash")),
    )

    measured, without, with_index = explain.measure(case)

    assert measured is case
    assert without.outline == "Seq Scan `accounts_accesstoken`"
    assert "access_token_hash_unique" in with_index.outline


@pytest.mark.django_db
def test_every_hot_query_is_sent_and_has_its_indexes():
    performance = PerformanceFactory(seats=10)
    customer = WalletFactory(balance=1_000_000).customer
    reservation(customer, performance.seats.order_by("pk")[:1])
    token = bearer(customer)["Authorization"].removeprefix("Bearer ")

    cases = list(hot_queries(performance, customer_id=customer.pk, bearer=token))
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")
        indexes = {name for (name,) in cursor.fetchall()}

    assert cases
    for case in cases:
        assert case.text in explain._statement_of(case)[0], case.title
        assert set(case.indexes) <= indexes, case.title


class TestPage:
    def test_takes_the_table_and_keeps_the_rest(self, tmp_path):
        page = tmp_path / "database.md"
        page.write_text(explain.PAGE.read_text())
        begin, end = "table: made by `make explain`", "end of table"
        before, after = page.read_text().split(f"<!-- {begin} -->\n")
        after = after.partition(f"<!-- {end} -->")[2]

        replace_region(page, begin, end, ["| 1. New \\1 | table |"])

        written = page.read_text()
        assert written.startswith(before)
        assert written.endswith(f"\n| 1. New \\1 | table |\n\n<!-- end of table -->{after}")
        assert "| 2. " not in written.removeprefix(before)

    def test_has_a_line_for_each_query(self):
        case = Case("A login", ("first", "second"), "", lambda: None)
        slow = explain.Measurement("Seq Scan ...", "Seq Scan `tokens`", 100_000, 6.814)
        fast = explain.Measurement("Index Scan ...", "Index Scan `first`", 1, 0.021)

        *_, line = explain._table("18.4", [(case, slow, fast)])

        assert line == (
            "| 1. A login | `first` or `second` | 100,000 | 6.81 | Index Scan `first` | 1 | 0.02 |"
        )
