"""The role of web and workers: it can do the whole business, cannot rewrite the past, and waits for nothing without end."""

from collections.abc import Generator
from datetime import timedelta

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps.core.grants import grant_rights, set_timeouts
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.payments.services import charge_wallet
from apps.reservations.models import Hold, Reservation
from apps.reservations.services import expire_holds
from tests.factories.concerts import SeatFactory
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.visitors import Visitor, admitted_visitor

ROLE = "grants_test"

pytestmark = pytest.mark.django_db


@pytest.fixture
def role() -> str:
    """A role like the one of web and workers; goes away with the test's transaction."""
    grant_rights(role=ROLE, password="unused")
    return ROLE


@pytest.fixture
def as_role(role) -> Generator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {role}")
        yield
        cursor.execute("RESET ROLE")


def refusal(statement: str) -> str | None:
    """Return the SQLSTATE that the database refuses it with, None if it does not."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except DatabaseError as error:
        state: str | None = error.__cause__.sqlstate  # type: ignore[union-attr]
        return state
    return None


INSUFFICIENT_PRIVILEGE, INTEGRITY = "42501", "23000"


@pytest.mark.parametrize("model", [LedgerTransaction, LedgerEntry])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {table} SET id = id", "DELETE FROM {table}", "TRUNCATE {table} CASCADE"],
)
def test_cannot_rewrite_the_ledger(as_role, model, statement):
    assert refusal(statement.format(table=model._meta.db_table)) == INSUFFICIENT_PRIVILEGE  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE payments_ledgerentry DISABLE TRIGGER ALL",
        "DROP TABLE payments_ledgerentry",
        "TRUNCATE reservations_seatclaim CASCADE",
        "SET session_replication_role = replica",
    ],
)
def test_cannot_take_the_protection_away(as_role, statement):
    assert refusal(statement) == INSUFFICIENT_PRIVILEGE


class TestTriggers:
    """The triggers hold for a role that knows how to ask for exceptions."""

    @pytest.fixture
    def wallet(self, role) -> Wallet:
        return WalletFactory(balance=100_000)

    def test_cannot_be_ignored(self, wallet, as_role):
        with connection.cursor() as cursor:
            cursor.execute("SELECT array_agg(tgname::text)::text FROM pg_trigger")
            [names] = cursor.fetchone()
            cursor.execute("SELECT set_config('pgtrigger.ignore', %s, true)", [names])

        assert (
            refusal(
                "UPDATE payments_wallet SET balance = balance + 777;SET CONSTRAINTS ALL IMMEDIATE"
            )
            == INTEGRITY
        )
        assert refusal("DELETE FROM payments_wallet") == INSUFFICIENT_PRIVILEGE

    def test_look_at_the_real_tables(self, wallet, as_role):
        """Also where the role may still make temporary ones, which come first for a statement that does not say where to look."""
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            name = connection.settings_dict["NAME"]
            cursor.execute(f'GRANT TEMPORARY ON DATABASE "{name}" TO {ROLE}')
            cursor.execute(f"SET LOCAL ROLE {ROLE}")
            cursor.execute(
                "CREATE TEMP TABLE payments_ledgertransaction ON COMMIT DROP AS"
                " SELECT * FROM public.payments_ledgertransaction"
            )
            cursor.execute("UPDATE pg_temp.payments_ledgertransaction SET balance_after = 999999")

        assert (
            refusal(
                "UPDATE public.payments_wallet SET balance = 999999;SET CONSTRAINTS ALL IMMEDIATE"
            )
            == INTEGRITY
        )

    def test_no_temporary_tables_for_the_role(self, as_role):
        assert refusal("CREATE TEMP TABLE mine (id int)") == INSUFFICIENT_PRIVILEGE

    def test_a_past_transaction_takes_no_further_entries(self, wallet, as_role):
        assert (
            refusal(
                "INSERT INTO payments_ledgerentry (transaction_id, account, amount)"
                " SELECT id, pair.account, pair.amount FROM payments_ledgertransaction"
                " CROSS JOIN (VALUES ('CASH', 5), ('SALES_REVENUE', -5)) AS pair (account, amount);"
                "SET CONSTRAINTS ALL IMMEDIATE"
            )
            == INTEGRITY
        )


def test_migrations_are_not_the_business_of_the_role(as_role):
    assert refusal("DELETE FROM django_migrations") == INSUFFICIENT_PRIVILEGE


def test_the_owner_is_stopped_by_the_trigger(role):
    assert refusal("DELETE FROM payments_ledgerentry") == "23001"


def test_can_do_the_whole_business(as_role):
    """From the top-up to the cancellation, as the API does it."""
    seat = SeatFactory(performance__starts_at=timezone.now() + timedelta(days=30))
    WaitingRoomFactory(concert=seat.performance.concert)
    buyer: Visitor = admitted_visitor(seat.performance.concert_id, balance=0)
    charge_wallet(customer_id=buyer.customer.pk, amount=seat.price)
    hold = {"performance_id": seat.performance_id, "seat_ids": [seat.pk]}

    first = buyer.post("/holds", hold)
    released = buyer.delete(f"/holds/{first.json()['data']['hold_id']}")
    second = buyer.post("/holds", hold)
    paid = buyer.post("/reservations", {"hold_id": second.json()["data"]["hold_id"]}, key="p")
    path = f"/reservations/{paid.json()['data']['reservation_id']}/cancel"
    cancelled = buyer.post(path, key="c")

    assert [first.status_code, released.status_code, second.status_code] == [201, 200, 201]
    assert (paid.status_code, cancelled.status_code) == (201, 200)
    assert Reservation.objects.get().status == Reservation.Status.CANCELLED
    Hold.objects.filter(pk=second.json()["data"]["hold_id"]).update(expires_at=timezone.now())
    assert expire_holds() == 0


def test_granting_again_changes_nothing(role):
    grant_rights(role=role, password="another")

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT privilege_type FROM information_schema.role_table_grants"
            " WHERE grantee = %s AND table_name = %s ORDER BY 1",
            [role, LedgerEntry._meta.db_table],
        )
        assert [row[0] for row in cursor.fetchall()] == ["INSERT", "SELECT"]


def test_the_owner_cannot_be_kept_from_anything():
    with pytest.raises(ValueError, match="owns the tables"):
        grant_rights(role=connection.settings_dict["USER"], password="unused")


@pytest.mark.django_db(transaction=True)
class TestTimeouts:
    """They belong to the role, so a session that asks for none, or through a pooler that forgets them, has them."""

    @pytest.fixture
    def role(self) -> Generator[str]:
        role = f"{connection.settings_dict['NAME']}_timeouts"
        with connection.cursor() as cursor:
            cursor.execute(f'DROP ROLE IF EXISTS "{role}"')
            cursor.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'unused'")
        yield role
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            cursor.execute(f'DROP ROLE "{role}"')

    def shown(self, role: str, *, database: str | None = None) -> list[str]:
        """Return what a new session of the role has, in milliseconds."""
        place = connection.settings_dict
        with psycopg.connect(
            host=place["HOST"],
            port=place["PORT"],
            dbname=database or place["NAME"],
            user=role,
            password="unused",
        ) as session:
            rows = session.execute(
                "SELECT setting FROM pg_settings WHERE name = ANY(%s) ORDER BY name",
                [["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"]],
            )
            return [setting for (setting,) in rows]

    def test_are_those_of_a_session_that_asks_for_none(self, role, settings):
        set_timeouts(role=role)

        assert self.shown(role) == ["30000", "3000", "15000"]
        assert self.shown(role, database="postgres") == ["0", "0", "0"]

        settings.DATABASE_TIMEOUTS = settings.DATABASE_TIMEOUTS | {"lock_timeout": 1234}
        set_timeouts(role=role)
        assert self.shown(role) == ["30000", "1234", "15000"]

    def test_are_none_before(self, role):
        """Show that the server alone would let every session wait for ever."""
        assert self.shown(role) == ["0", "0", "0"]

    def test_need_no_right_where_another_role_has_set_them(self, role, settings):
        set_timeouts(role=role)
        with connection.cursor() as cursor:
            cursor.execute("CREATE ROLE powerless_test; SET ROLE powerless_test")
            try:
                set_timeouts(role=role)
                settings.DATABASE_TIMEOUTS = {"lock_timeout": 1234}
                with pytest.raises(DatabaseError, match="permission denied"):
                    set_timeouts(role=role)
            finally:
                cursor.execute("RESET ROLE; DROP ROLE powerless_test")

        assert self.shown(role) == ["30000", "3000", "15000"]

    def test_are_set_by_a_role_without_privileges_for_itself(self, role):
        """Show that a role which does everything needs no further rights."""
        with connection.cursor() as cursor:
            cursor.execute(f'SET ROLE "{role}"')
            set_timeouts(role="")
            cursor.execute("RESET ROLE")

        assert self.shown(role) == ["30000", "3000", "15000"]
