import csv
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import pgtrigger
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction

from apps.payments.export import HEADER, Part, between, parts_of, write_ledger
from apps.payments.management.commands import export_ledger
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.selectors import ledger_totals
from apps.payments.services import adjust_wallet
from tests.factories.accounts import CustomerFactory
from tests.factories.payments import WalletFactory, pay, refund

pytestmark = pytest.mark.django_db

REFERENCE = UUID("e2b7c6f4-0d1a-4f53-b3a8-9c5d7e8f1a20")


@pytest.fixture
def wallet() -> Wallet:
    """A customer who moved money in every way there is."""
    wallet = WalletFactory(balance=50_000)
    staff = CustomerFactory(staff=True, email="clerk@example.com")
    with transaction.atomic():
        pay(customer_id=wallet.pk, amount=20_000, reference=REFERENCE)
        refund(customer_id=wallet.pk, amount=20_000, reference=REFERENCE)
        adjust_wallet(
            customer_id=wallet.pk, amount=-1_000, reason="=1+1, or 환불", staff_id=staff.pk
        )
        connection.check_constraints()
    return wallet


def run(*arguments: str) -> str:
    printed = StringIO()
    call_command("export_ledger", *arguments, stdout=printed, stderr=StringIO(), no_color=True)
    return printed.getvalue()


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text.removeprefix("\ufeff"), newline="")))


def move_to(wallet: Wallet, *moments: datetime) -> None:
    """Let the wallet's movements have happened at these moments."""
    connection.check_constraints()
    with pgtrigger.ignore():
        for number, moment in enumerate(moments, start=1):
            LedgerTransaction.objects.filter(customer_id=wallet.pk, sequence=number).update(
                created_at=moment
            )
        connection.check_constraints()


class TestLedgerCsv:
    def test_has_both_sides_of_every_movement(self, wallet):
        found = rows(run())

        assert [
            (row["type"], row["account"], row["amount"], row["balance_after"]) for row in found
        ] == [
            ("CHARGE", "CUSTOMER_LIABILITY", "50000", "50000"),
            ("CHARGE", "CASH", "-50000", "50000"),
            ("PAYMENT", "CUSTOMER_LIABILITY", "-20000", "30000"),
            ("PAYMENT", "SALES_REVENUE", "20000", "30000"),
            ("REFUND", "CUSTOMER_LIABILITY", "20000", "50000"),
            ("REFUND", "REFUNDS", "-20000", "50000"),
            ("ADJUSTMENT", "CUSTOMER_LIABILITY", "-1000", "49000"),
            ("ADJUSTMENT", "ADJUSTMENTS", "1000", "49000"),
        ]

    def test_says_whose_and_what_for(self, wallet):
        paid, adjusted = rows(run())[2], rows(run())[6]

        assert paid["customer_id"] == str(wallet.pk)
        assert paid["customer_email"] == wallet.customer.email
        assert paid["number"] == "2"
        assert paid["reference"] == str(REFERENCE)
        assert (paid["reason"], paid["adjusted_by"]) == ("", "")
        assert (adjusted["reference"], adjusted["adjusted_by"]) == ("", "clerk@example.com")
        booked = LedgerTransaction.objects.get(type="PAYMENT")
        assert paid["transaction_id"] == str(booked.pk)
        assert datetime.fromisoformat(paid["created_at"]) == booked.created_at
        assert paid["created_at"].endswith("Z")

    def test_adds_up_to_what_the_books_say(self, wallet):
        found = rows(run())

        assert sum(int(row["amount"]) for row in found) == 0
        assert (
            sum(int(row["amount"]) for row in found if row["account"] == "CUSTOMER_LIABILITY")
            == ledger_totals().owed
        )

    def test_begins_with_its_header_also_when_there_is_nothing(self):
        assert run() == "\ufeff" + ",".join(HEADER) + "\n"

    @pytest.mark.parametrize(
        ("reason", "cell"),
        [
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(1)", "'@SUM(1)"),
            ("＝1", "'＝1"),
            ('He said "no", twice\nand left', 'He said "no", twice\nand left'),
            ("1 = 1", "1 = 1"),
            ("환불", "환불"),
        ],
    )
    def test_smuggles_no_formula_into_a_spreadsheet(self, reason, cell):
        wallet = WalletFactory(balance=5_000)
        staff = CustomerFactory(staff=True)
        with transaction.atomic():
            adjust_wallet(customer_id=wallet.pk, amount=-1, reason=reason, staff_id=staff.pk)

        adjusted = rows(run())[2]

        assert adjusted["reason"] == cell
        assert adjusted["amount"] == "-1"  # a number stays one

    def test_nor_by_an_address(self):
        WalletFactory(customer=CustomerFactory(email="=cmd@example.com"), balance=1_000)

        assert rows(run())[0]["customer_email"] == "'=cmd@example.com"

    def test_is_in_the_order_of_time_and_then_of_ids(self, wallet):
        other = WalletFactory(balance=1_000)
        moment = datetime(2026, 7, 1, tzinfo=UTC)
        move_to(wallet, *[moment + timedelta(hours=hours) for hours in (3, 1, 2, 0)])
        move_to(other, moment + timedelta(hours=1))

        found = rows(run())

        keys = [(row["created_at"], UUID(row["transaction_id"])) for row in found]
        assert keys == sorted(keys)
        assert run() == run()

    def test_tells_text_that_looks_like_the_end_of_data_from_it(self):
        wallet = WalletFactory(balance=5_000)
        staff = CustomerFactory(staff=True)
        with transaction.atomic():
            adjust_wallet(customer_id=wallet.pk, amount=-1, reason="\\.", staff_id=staff.pk)

        assert len(rows(run())) == 4
        assert rows(run())[2]["reason"] == "\\."

    def test_ends_where_its_time_is_over(self, wallet):
        slow = LedgerTransaction.objects.extra(where=["pg_sleep(0.5) IS NOT NULL"])

        with pytest.raises(OperationalError, match="statement timeout"):
            write_ledger(slow, BytesIO(), seconds=0.05)

    @pytest.mark.django_db(transaction=True)
    def test_keeps_no_transaction_open_while_it_is_read(self, wallet):
        """Let a reader page through the lines slowly."""
        open_ones: list[Any] = []

        class SlowReader(StringIO):
            def write(self, text: str) -> int:
                with closing(connection.copy()) as onlooker, onlooker.cursor() as cursor:
                    cursor.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL"
                        " AND datname = current_database() AND pid <> pg_backend_pid()"
                        " AND backend_type = 'client backend'"
                    )
                    open_ones.append(cursor.fetchone())
                return super().write(text)

        printed = SlowReader()
        call_command("export_ledger", stdout=printed, stderr=StringIO(), no_color=True)

        assert len(rows(printed.getvalue())) == 8
        assert set(open_ones) == {(0,)}


class TestParts:
    def parts(self, entries: int) -> list[Part]:
        return list(parts_of(LedgerTransaction.objects.all(), entries=entries, seconds=5))

    @pytest.mark.parametrize("entries", [2, 4, 6, 8, 10, 1_000])
    def test_have_every_entry_once_in_the_order_of_the_whole(self, wallet, entries):
        move_to(wallet, *[datetime(2026, 7, 1, tzinfo=UTC)] * 4)  # at one moment, as imports are
        WalletFactory(balance=1_000)
        connection.check_constraints()

        lines: list[str] = []
        for part in self.parts(entries):
            file = BytesIO()
            written = write_ledger(
                between(LedgerTransaction.objects.all(), part.first, part.end), file
            )
            assert written == part.entries <= entries
            lines += file.getvalue().decode("utf-8-sig").splitlines()[1:]

        assert lines == run().splitlines()[1:]

    def test_are_the_same_whatever_comes_afterwards(self, wallet):
        [*_, last] = self.parts(4)
        before = between(LedgerTransaction.objects.all(), last.first, last.end).count()

        WalletFactory(balance=1_000)

        after = between(LedgerTransaction.objects.all(), last.first, last.end).count()
        assert before == after == 2

    def test_are_none_of_nothing(self):
        assert self.parts(4) == []


class TestExportLedger:
    @pytest.fixture
    def summer(self, wallet) -> Wallet:
        """Movements at the ends of June and July, by the clock of UTC."""
        move_to(
            wallet,
            datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC),
            datetime(2026, 7, 1, tzinfo=UTC),
            datetime(2026, 7, 31, 23, 59, 59, 999_999, tzinfo=UTC),
            datetime(2026, 8, 1, tzinfo=UTC),
        )
        return wallet

    @pytest.mark.parametrize(
        ("arguments", "numbers"),
        [
            ([], [1, 2, 3, 4]),
            (["--from", "2026-07-01"], [2, 3, 4]),
            (["--to", "2026-07-31"], [1, 2, 3]),
            (["--from", "2026-07-01", "--to", "2026-07-31"], [2, 3]),
            (["--from", "2026-07-01", "--to", "2026-07-01"], [2]),
            (["--from", "2026-07-01T00:00+09:00", "--to", "2026-08-01T00:00+09:00"], [1, 2]),
            (["--from", "2026-08-01T00:00:00"], [4]),
        ],
    )
    def test_takes_what_happened_in_between(self, summer, arguments, numbers):
        found = [int(row["number"]) for row in rows(run(*arguments))[::2]]

        assert found == numbers

    @pytest.mark.parametrize("by", ["id", "email", "EMAIL"])
    def test_takes_one_customer(self, wallet, by):
        WalletFactory(balance=1_000)
        email = wallet.customer.email
        named = {"id": str(wallet.pk), "email": email, "EMAIL": email.upper()}[by]

        found = rows(run("--customer", named))

        assert len(found) == 8
        assert {row["customer_id"] for row in found} == {str(wallet.pk)}

    def test_writes_a_file(self, wallet, tmp_path):
        path = tmp_path / "ledger.csv"
        printed = run()

        assert f"8 entries in {path}." in run("--output", str(path))
        assert path.read_bytes().decode() == printed
        assert list(tmp_path.iterdir()) == [path]

    def test_says_on_the_side_that_it_is_complete(self, wallet):
        said = StringIO()

        call_command("export_ledger", stdout=StringIO(), stderr=said, no_color=True)

        assert said.getvalue() == "8 entries, complete.\n"

    def test_leaves_no_file_that_is_not_complete(self, wallet, tmp_path, monkeypatch):
        path = tmp_path / "ledger.csv"
        path.write_text("of last month")

        def fail(transactions: Any, file: IO[bytes]) -> int:
            file.write(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(f"{export_ledger.__name__}.write_ledger", fail)
        with pytest.raises(CommandError, match="cannot be written: No space left on device"):
            run("--output", str(path))

        assert path.read_text() == "of last month"
        assert list(tmp_path.iterdir()) == [path]

    def test_does_not_replace_a_device(self, wallet, tmp_path):
        assert "8 entries" in run("--output", "/dev/null")

        assert Path("/dev/null").is_char_device()

    @pytest.mark.parametrize("named", ["nobody@example.com", "999999999", "9" * 30])
    def test_refuses_a_customer_who_does_not_exist(self, wallet, named):
        with pytest.raises(CommandError, match=f"No customer '{named}'"):
            run("--customer", named)

    @pytest.mark.parametrize("option", ["--from", "--to"])
    def test_refuses_what_is_no_date(self, option):
        with pytest.raises(CommandError, match="argument"):
            run(option, "yesterday")

    def test_refuses_a_file_that_cannot_be_written(self, wallet, tmp_path):
        with pytest.raises(CommandError, match="cannot be written"):
            run("--output", str(tmp_path / "missing" / "ledger.csv"))
