from itertools import cycle
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.payments.admin import export
from apps.payments.admin.ledger import LedgerTransactionAdmin
from apps.payments.models import LedgerEntry, LedgerTransaction, Wallet
from apps.payments.selectors import wallet_balance
from apps.payments.services import charge_wallet
from tests.boxoffice.sending import send
from tests.factories.accounts import CustomerFactory, browser_of, clerk_browser
from tests.factories.payments import WalletFactory, pay

pytestmark = pytest.mark.django_db

MODELS = ["wallet", "ledgertransaction", "ledgerentry"]


def page(model: str, kind: str, *arguments: Any) -> str:
    return reverse(f"admin:payments_{model}_{kind}", args=arguments)


@pytest.fixture
def wallet() -> Wallet:
    return WalletFactory(balance=50_000)


@pytest.fixture
def admin() -> User:
    return CustomerFactory(admin=True)


@pytest.fixture
def browser(admin) -> Client:
    return browser_of(admin)


class TestMoney:
    @pytest.mark.parametrize("model", MODELS)
    def test_is_listed(self, browser, wallet, model):
        response = browser.get(page(model, "changelist"))

        assert response.status_code == 200
        assert wallet.customer.email in response.content.decode()

    @pytest.mark.parametrize("model", MODELS)
    def test_is_found_by_its_customer(self, browser, wallet, model):
        other = WalletFactory(balance=1)

        found = browser.get(page(model, "changelist"), {"q": wallet.customer.email})

        assert wallet.customer.email in found.content.decode()
        assert other.customer.email not in found.content.decode()

    @pytest.mark.parametrize("model", ["ledgertransaction", "ledgerentry"])
    def test_is_found_by_what_was_paid(self, browser, wallet, model):
        reference = uuid4()
        pay(customer_id=wallet.pk, amount=1_234, reference=reference)

        found = browser.get(page(model, "changelist"), {"q": str(reference)})

        assert "1234" in found.content.decode().replace(",", "")
        assert found.context["cl"].result_count == (1 if model == "ledgertransaction" else 2)

    @pytest.mark.parametrize("model", MODELS)
    def test_is_listed_in_a_fixed_number_of_queries(
        self,
        browser,
        model,
        django_assert_max_num_queries,
    ):
        for _ in range(10):
            WalletFactory(balance=1_000)

        with django_assert_max_num_queries(8):
            browser.get(page(model, "changelist"))

    def test_is_shown_with_its_entries(self, browser, wallet):
        booked = LedgerTransaction.objects.get()

        response = browser.get(page("ledgertransaction", "change", booked.pk))

        assert response.status_code == 200
        assert "cash from top-ups" in response.content.decode()

    def test_cannot_be_edited_or_deleted(self, browser, wallet):
        booked = LedgerTransaction.objects.get()
        rows = [
            ("wallet", wallet.pk),
            ("ledgertransaction", booked.pk),
            ("ledgerentry", LedgerEntry.objects.order_by("pk")[0].pk),
        ]

        for model, pk in rows:
            assert browser.get(page(model, "change", pk)).status_code == 200
            assert browser.post(page(model, "change", pk), {"balance": 1}).status_code == 403
            assert browser.post(page(model, "delete", pk), {"post": "yes"}).status_code == 403
        for model in ("wallet", "ledgerentry"):
            assert browser.get(page(model, "add")).status_code == 403
        assert wallet_balance(customer_id=wallet.pk) == 50_000


class TestExport:
    url = property(lambda self: page("ledgertransaction", "changelist"))

    def test_is_of_the_chosen_ones(self, browser, wallet):
        WalletFactory(balance=1)
        [booked] = LedgerTransaction.objects.filter(customer=wallet.customer)

        response = browser.post(self.url, {"action": "export", "_selected_action": [booked.pk]})

        assert response["Content-Length"] == str(len(response.content))
        assert response["Content-Type"] == "text/csv; charset=utf-8"
        assert response["Content-Disposition"] == 'attachment; filename="ledger.csv"'
        assert "no-store" in response["Cache-Control"]
        text = response.content.decode("utf-8-sig")
        lines = text.splitlines()
        assert lines[0].startswith("created_at,transaction_id,")
        assert len(lines) == 3
        assert all(str(booked.pk) in line for line in lines[1:])

    def test_is_of_the_whole_filtered_list(self, browser, wallet):
        for _ in range(120):  # more than a page
            charge_wallet(customer_id=wallet.pk, amount=1)
        pay(customer_id=wallet.pk, amount=500, reference=uuid4())
        WalletFactory(balance=1)
        [some] = LedgerTransaction.objects.filter(customer=wallet.customer, sequence=2)

        response = browser.post(
            f"{self.url}?type__exact=CHARGE&q={wallet.customer.email}",
            {"action": "export", "select_across": "1", "_selected_action": [some.pk]},
        )

        lines = response.content.decode("utf-8-sig").splitlines()
        assert len(lines) == 1 + 2 * 121
        assert all(
            f",CHARGE,{account}," in line
            for line, account in zip(lines[1:], cycle(["CUSTOMER_LIABILITY", "CASH"]), strict=False)
        )

    def test_is_offered_to_those_who_may_export(self, wallet):
        onlooker = clerk_browser("view_ledgertransaction", "export_money")
        [booked] = LedgerTransaction.objects.all()

        response = onlooker.post(self.url, {"action": "export", "_selected_action": [booked.pk]})

        assert response["Content-Type"] == "text/csv; charset=utf-8"

    def test_is_refused_to_others(self, wallet):
        outsider = clerk_browser("view_ledgertransaction")
        [booked] = LedgerTransaction.objects.all()

        response = outsider.post(self.url, {"action": "export", "_selected_action": [booked.pk]})

        assert "text/csv" not in response["Content-Type"]


class TestExportInParts:
    """A file has two entries at most here, so each movement is a part."""

    url = property(lambda self: reverse("admin:payments_ledgertransaction_export"))

    @pytest.fixture(autouse=True)
    def _small_files(self, monkeypatch) -> None:
        monkeypatch.setattr(export, "ENTRIES_OF_A_FILE", 2)

    @pytest.fixture
    def movements(self, wallet) -> Wallet:
        for amount in (1, 2):
            charge_wallet(customer_id=wallet.pk, amount=amount)
        pay(customer_id=wallet.pk, amount=500, reference=uuid4())
        WalletFactory(balance=7)
        return wallet

    def links(self, browser: Client, filters: str = "") -> list[str]:
        response = browser.post(
            f"{page('ledgertransaction', 'changelist')}?{filters}",
            {"action": "export", "select_across": "1", "_selected_action": ["x"]},
        )
        assert response.status_code == 302, response.content
        shown = browser.get(response["Location"])
        assert shown.status_code == 200
        return [link["url"] for link in shown.context["links"]]

    def test_is_offered_when_a_file_would_be_too_long(self, browser, movements):
        links = self.links(browser)

        files = [browser.get(f"{self.url}{link}") for link in links]
        lines = [
            line for file in files for line in file.content.decode("utf-8-sig").splitlines()[1:]
        ]
        assert len(links) == 5
        assert [file["Content-Length"] for file in files] == [
            str(len(file.content)) for file in files
        ]
        assert {line.split(",")[1] for line in lines} == {
            str(pk) for pk in LedgerTransaction.objects.values_list("pk", flat=True)
        }
        assert len(lines) == 10

    def test_keeps_to_the_filters(self, browser, movements):
        links = self.links(browser, f"type__exact=CHARGE&q={movements.customer.email}")

        assert len(links) == 3
        for link in links:
            assert ",CHARGE,CASH," in browser.get(f"{self.url}{link}").content.decode()

    def test_is_refused_to_who_may_not_look(self, browser, movements):
        [link, *_] = self.links(browser)
        outsider = clerk_browser("view_ledgertransaction")

        assert outsider.get(self.url).status_code == 403
        assert outsider.get(f"{self.url}{link}").status_code == 403

    @pytest.mark.parametrize(
        "query",
        [
            "_from=x",
            "_from=2026-01-01,1",
            "_from=2026-01-01,%00&_until=",
            f"_from=2026-01-01,{uuid4()}&_until=2099-01-01,{uuid4()}",
            f"_from=2000-01-01T00:00Z,{uuid4()}&_until=2099-01-01T00:00Z,{uuid4()}",
            "nothing__exact=1",
            "type__exact=x&_from=",
        ],
    )
    def test_refuses_what_is_no_part(self, browser, movements, query):
        assert browser.get(f"{self.url}?{query}").status_code == 404

    def test_leads_back_when_it_takes_too_long(self, browser, movements, monkeypatch):
        monkeypatch.setattr(export, "FILE_SECONDS", 0.0)
        read = LedgerTransactionAdmin.get_queryset
        slowly = ["pg_sleep(0.05) IS NOT NULL"]
        monkeypatch.setattr(
            LedgerTransactionAdmin,
            "get_queryset",
            lambda admin, request: read(admin, request).extra(  # noqa: S610
                where=slowly
            ),
        )

        response = browser.get(self.url)

        assert response.status_code == 302
        assert response["Location"] == page("ledgertransaction", "changelist")


class TestAdjustment:
    form = property(lambda self: page("ledgertransaction", "add"))

    def test_is_offered_at_the_wallet(self, browser, wallet):
        shown = browser.get(page("wallet", "change", wallet.pk)).content.decode()
        link = reverse("admin:payments_wallet_adjust", args=[wallet.pk])

        response = browser.get(link, follow=True)

        assert link in shown
        assert response.status_code == 200
        assert response.context["adminform"].form.initial["customer"] == str(wallet.pk)

    @pytest.mark.parametrize("typed", ["-4000", "-4,000", "−₩4,000", "-4,000원"])
    def test_is_booked_with_its_reason(self, browser, admin, wallet, typed):
        response = send(
            browser,
            self.form,
            {"customer": wallet.pk, "amount": typed, "reason": "Charged twice"},
        )

        booked = LedgerTransaction.objects.get(type="ADJUSTMENT")
        assert response.status_code == 302
        assert (booked.amount, booked.balance_after) == (-4_000, 46_000)
        assert (booked.reason, booked.adjusted_by) == ("Charged twice", admin)
        assert wallet_balance(customer_id=wallet.pk) == 46_000

    @pytest.mark.parametrize(
        ("field", "value"),
        [("amount", "0"), ("amount", ""), ("amount", "x"), ("amount", "4.000"), ("reason", " ")],
    )
    def test_needs_an_amount_and_a_reason(self, browser, wallet, field, value):
        entered = {"customer": wallet.pk, "amount": "100", "reason": "Charged twice"}

        response = send(browser, self.form, entered | {field: value})

        assert response.status_code == 200
        assert field in response.context["adminform"].form.errors
        assert wallet_balance(customer_id=wallet.pk) == 50_000

    @pytest.mark.parametrize("amount", ["-50001", "9950001", str(2**63 - 1)])
    def test_beyond_the_bounds_of_a_balance_comes_back_with_what_was_entered(
        self, browser, wallet, amount
    ):
        entered = {"customer": str(wallet.pk), "amount": amount, "reason": "Charged twice"}

        response = send(browser, self.form, entered)

        assert response.status_code == 302
        assert parse_qs(urlsplit(response.headers["Location"]).query) == {
            k: [v] for k, v in entered.items()
        }
        shown = browser.get(response.headers["Location"])
        assert list(shown.context["messages"])
        assert wallet_balance(customer_id=wallet.pk) == 50_000
        assert not LedgerTransaction.objects.filter(type="ADJUSTMENT").exists()

    def test_needs_the_right_to_it(self, wallet):
        onlooker = clerk_browser("view_wallet", "view_ledgertransaction")
        entered = {"customer": wallet.pk, "amount": "100", "reason": "Charged twice"}

        assert onlooker.get(self.form).status_code == 403
        assert onlooker.post(self.form, entered).status_code == 403
        adjust = reverse("admin:payments_wallet_adjust", args=[wallet.pk])
        assert onlooker.get(adjust).status_code == 403
        assert wallet_balance(customer_id=wallet.pk) == 50_000

    def test_is_open_to_a_clerk_who_has_it(self, wallet):
        clerk = clerk_browser("add_ledgertransaction", "view_ledgertransaction")

        send(clerk, self.form, {"customer": wallet.pk, "amount": "100", "reason": "Sorry"})

        assert wallet_balance(customer_id=wallet.pk) == 50_100
