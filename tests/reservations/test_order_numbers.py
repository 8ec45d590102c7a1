"""Order numbers: unlike each other, read out, mistyped, and given to what was sold before there were any."""

from importlib import import_module
from itertools import combinations, pairwise
from types import SimpleNamespace

import pytest
from django.db import IntegrityError, connection, transaction

from apps.reservations.models import Reservation
from apps.reservations.order_numbers import (
    ALPHABET,
    NUMBERS,
    order_number_in,
    printed_order_number,
)
from tests.factories.accounts import CustomerFactory, browser_of
from tests.factories.concerts import PerformanceFactory
from tests.factories.reservations import hold, reservation
from tests.factories.visitors import admitted_visitor

SAMPLE = [0, 1, 2, 31, 32, 1_000, 4_711, 10**6, 10**9, NUMBERS - 1]


def symbols(number: int) -> str:
    return printed_order_number(number).replace("-", "")


class TestPrinted:
    @pytest.mark.parametrize("number", SAMPLE)
    def test_are_two_groups_of_four_that_nobody_mistakes(self, number):
        printed = printed_order_number(number)

        assert len(printed) == 9
        assert printed[4] == "-"
        assert not set(printed) & set("01IO")

    def test_are_all_different_and_do_not_follow_each_other(self):
        printed = [symbols(number) for number in range(20_000)]

        assert len(set(printed)) == len(printed)
        alike = [
            sum(first == second for first, second in zip(*pair, strict=True))
            for pair in pairwise(printed)
        ]
        assert sum(alike) / len(alike) < 1

    @pytest.mark.parametrize("number", SAMPLE)
    def test_are_understood_in_any_spelling(self, number):
        printed = printed_order_number(number)
        first, second = printed.split("-")
        spellings = [
            printed,
            printed.lower(),
            f"{first}{second}",
            f" {first} {second} ",
            f"{first}–{second}",
            " ".join(printed.replace("-", "")),
            printed.translate({ord(c): ord(c) + 0xFEE0 for c in ALPHABET}),
        ]

        assert {text: order_number_in(text) for text in spellings} == dict.fromkeys(
            spellings, number
        )

    @pytest.mark.parametrize("number", SAMPLE)
    def test_with_one_wrong_symbol_are_none(self, number):
        printed = symbols(number)

        for place, symbol in enumerate(printed):
            for other in set(ALPHABET) - {symbol}:
                assert order_number_in(printed[:place] + other + printed[place + 1 :]) is None

    @pytest.mark.parametrize("number", SAMPLE)
    def test_with_two_symbols_that_changed_places_are_none(self, number):
        printed = symbols(number)

        for first, second in combinations(range(8), 2):
            typed = list(printed)
            typed[first], typed[second] = typed[second], typed[first]
            if "".join(typed) != printed:
                assert order_number_in("".join(typed)) is None

    @pytest.mark.parametrize(
        "text", ["", "K7PM", "K7PM-3XQ9-A", "김민아", "한국어한국어한국", "----"]
    )
    def test_are_not_seen_in_other_texts(self, text):
        assert order_number_in(text) is None


@pytest.mark.django_db
class TestOrders:
    def test_have_the_number_that_the_customer_was_told(self):
        performance = PerformanceFactory(seats=2)
        visitor = admitted_visitor(performance.concert_id)
        held = hold(visitor.customer, [performance.seats.order_by("pk")[0]])

        told = visitor.post("/reservations", {"hold_id": str(held.pk)}, key="k").json()["data"]

        order = Reservation.objects.get()
        shown = visitor.get(f"/reservations/{order.pk}").json()["data"]
        listed = visitor.get("/reservations").json()["data"]["items"]
        assert told["order_number"] == order.order_number
        assert shown["order_number"] == listed[0]["order_number"] == order.order_number

    def test_are_numbered_apart(self):
        performance = PerformanceFactory(seats=3)
        orders = [reservation(CustomerFactory(), [seat]) for seat in performance.seats.all()]

        assert len({order.number for order in orders}) == 3

    def test_are_refused_a_number_twice(self):
        performance = PerformanceFactory(seats=2)
        first, second = [reservation(CustomerFactory(), [seat]) for seat in performance.seats.all()]

        with (
            pytest.raises(IntegrityError, match="reservation_order_number_once"),
            transaction.atomic(),
        ):
            Reservation.objects.filter(pk=second.pk).update(number=first.number)

    def test_number_themselves_when_no_service_writes_them(self):
        performance = PerformanceFactory(seats=2)
        first, second = performance.seats.order_by("pk")
        sold = reservation(CustomerFactory(), [first])
        held = hold(CustomerFactory(), [second])
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO reservations_reservation"
                " (id, hold_id, customer_id, performance_id, status, total_price, reserved_at)"
                " VALUES (gen_random_uuid(), %s, %s, %s, 'CONFIRMED', 1, now()) RETURNING number",
                [held.pk, held.customer_id, held.performance_id],
            )
            [(number,)] = cursor.fetchall()

        assert number > sold.number

    def test_show_it_to_the_customer(self):
        customer = CustomerFactory()
        order = reservation(customer, list(PerformanceFactory(seats=1).seats.all()))
        browser = browser_of(customer)

        for path in ("", f"{order.pk}/", f"{order.pk}/cancel/"):
            page = browser.get(f"/reservations/{path}")
            assert page.status_code == 200, path
            assert order.order_number in page.content.decode()


@pytest.mark.django_db
def test_orders_from_before_are_numbered_batch_by_batch(monkeypatch):
    performance = PerformanceFactory(seats=5)
    for seat in performance.seats.all():
        reservation(CustomerFactory(), [seat])
    migration = import_module("apps.reservations.migrations.0005_order_number")
    monkeypatch.setattr(migration, "BATCH", 2)
    kept = Reservation.objects.order_by("pk")[2]
    connection.check_constraints()  # no table is altered while its triggers wait
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE reservations_reservation ALTER COLUMN number DROP NOT NULL")
    Reservation.objects.exclude(pk=kept.pk).update(number=None)

    for _attempt in range(2):
        migration.number_orders(None, SimpleNamespace(connection=connection))

    numbers = dict(Reservation.objects.values_list("pk", "number"))
    assert numbers[kept.pk] == kept.number
    assert None not in numbers.values()
    assert len(set(numbers.values())) == 5
