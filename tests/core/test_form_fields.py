"""Test what a page prints, a field takes; what can be read in two ways, none does."""

import argparse
import importlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms.forms import BaseForm
from django.forms.models import BaseModelForm
from django.utils import timezone, translation
from django.utils.formats import date_format

from apps.core.commands import whole_number
from apps.core.form_fields import MomentField, WholeNumberField, WonField
from apps.core.typed_numbers import NoWholeNumber, read_whole_number
from apps.storefront.wording import figure, won
from tests.factories.accounts import CustomerFactory

HUGE = "9" * 5_000


class TestNumber:
    @pytest.mark.parametrize(
        "typed",
        [
            "100000",
            "100,000",
            "100 000",
            " 100,000 ",
            "100\xa0000",
            "100\u202f000",
            "１００，０００",
            "１０００００",
            "\u3000100000",
            "+100,000",
            "0100000",
        ],
    )
    def test_is_read_with_and_without_separators(self, typed):
        assert read_whole_number(typed) == 100_000
        assert read_whole_number(typed, is_money=True) == 100_000

    @pytest.mark.parametrize(
        "typed",
        [
            "₩100,000",
            "￦100,000",
            "\\100,000",
            "₩ 100,000",
            "+₩100,000",
            "100,000원",
            "100,000 원",
            "100000won",
            "100,000 KRW",
            "KRW 100,000",
            "krw100000",
            "￦１００，０００",
        ],
    )
    def test_of_money_may_say_so(self, typed):
        assert read_whole_number(typed, is_money=True) == 100_000
        with pytest.raises(NoWholeNumber):
            read_whole_number(typed)

    @pytest.mark.parametrize(
        "typed",
        ["-5,000", "−5,000", "–5000", "- 5000", "－５０００", "-₩5,000", "₩-5,000", "−₩5,000"],
    )
    def test_may_be_negative(self, typed):
        assert read_whole_number(typed, is_money=True) == -5_000

    @pytest.mark.parametrize("number", [0, 7, 999, 1_000, 12_345, 999_999_999, -1, -1_234_567])
    def test_is_read_as_pages_print_it(self, number):
        assert read_whole_number(won(number), is_money=True) == number
        assert read_whole_number(figure(number)) == number

    @pytest.mark.parametrize(
        "typed",
        [
            *(
                "1.000",
                "1,00",
                "1,0000",
                "1.5",
                "1.0",
                "100.000",
                "1,000.00",
                "1.000,00",
                "1,000,00",
            ),
            *("10,00,000", "1 00", "1,000 000", "1 000,000", "0,100", "1'000", "1 ,000", "1,,000"),
            *("100.000원", "₩1.5"),
        ],
    )
    def test_that_can_be_read_in_two_ways_is_none(self, typed):
        with pytest.raises(NoWholeNumber) as refusal:
            read_whole_number(typed, is_money=True)

        assert refusal.value.has_odd_separators

    @pytest.mark.parametrize(
        "typed",
        [
            *("", " ", "x", "₩", "원", "+", "-", "--5", "-+5", "-₩-5", "5-", ",", "\x00", "1\x002"),
            *(
                "1e3",
                "0x10",
                "1_000",
                "10²",
                "½",
                "①",
                "٣",
                "十",
                "NaN",
                "₩5₩",
                "$5",
                "5원원",
                HUGE,
            ),
            "1" + ",000" * 2_000,
        ],
    )
    def test_is_nothing_else(self, typed):
        with pytest.raises(NoWholeNumber):
            read_whole_number(typed, is_money=True)


class TestField:
    def test_reads_what_was_typed(self):
        assert WonField(min_value=1).clean("₩100,000") == 100_000
        assert WholeNumberField(min_value=1).clean("1,000") == 1_000

    @pytest.mark.parametrize("value", ["", None])
    def test_may_be_empty(self, value):
        assert WholeNumberField(required=False).clean(value) is None

    @pytest.mark.parametrize(
        ("typed", "language", "words"),
        [
            ("1.000", "en", "Commas may stand between thousands only, as in 100,000."),
            ("1,00", "ko", "100,000"),
            ("x", "en", "Enter a whole number."),
            ("0", "en", "greater than or equal to 1"),
            ("1,001", "en", "less than or equal to 1000"),
        ],
    )
    def test_says_what_is_wrong(self, typed, language, words):
        field = WholeNumberField(min_value=1, max_value=1_000)

        with translation.override(language), pytest.raises(ValidationError) as refusal:
            field.clean(typed)

        with translation.override(language):
            assert words in " ".join(refusal.value.messages)

    def test_has_changed_only_if_the_number_has(self):
        assert not WholeNumberField().has_changed(1_000, "1,000")
        assert WholeNumberField().has_changed(1_000, "1,001")
        assert WholeNumberField().has_changed(1_000, "1.000")

    @pytest.mark.parametrize(("lowest", "keyboard"), [(0, "numeric"), (None, None)])
    def test_shows_a_keyboard_that_can_write_it(self, lowest, keyboard):
        field = WonField(min_value=lowest)

        assert field.widget.input_type == "text"
        assert field.widget.attrs.get("inputmode") == keyboard


@pytest.mark.django_db
class TestEveryForm:
    """A number in a form has this field; one that has another fails here."""

    def test_of_the_admin(self, rf):
        request = rf.get("/")
        request.user = CustomerFactory(admin=True)
        fields = [
            field
            for model_admin in admin.site._registry.values()
            if model_admin.has_add_permission(request) or model_admin.has_change_permission(request)
            for form in [
                model_admin.get_form(request, None),
                *(formset.form for formset, _ in model_admin.get_formsets_with_inlines(request)),
            ]
            for field in form.base_fields.values()
        ]

        assert_none_is_plain(fields)
        assert any(isinstance(field, WholeNumberField) for field in fields)

    def test_of_our_own(self):
        importlib.import_module("concert_project.urls")  # and with it every form
        ours = [form for form in _descendants(BaseForm) if form.__module__.startswith("apps.")]

        assert {"TopUpForm", "SectionForm", "AdjustmentForm"} <= {form.__name__ for form in ours}
        assert_none_is_plain(
            field
            for form in ours
            if not issubclass(form, BaseModelForm)
            for field in form.base_fields.values()
        )


def assert_none_is_plain(fields: Iterable[forms.Field]) -> None:
    typed = [
        field
        for field in fields
        if isinstance(field, forms.IntegerField | forms.DateTimeField | forms.SplitDateTimeField)
    ]
    assert [field for field in typed if not isinstance(field, WholeNumberField | MomentField)] == []


def _descendants(kind: type[Any]) -> Iterator[type[Any]]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)


class TestMoment:
    SEOUL = ZoneInfo("Asia/Seoul")
    AT = datetime(2026, 9, 5, 19, 30, tzinfo=SEOUL)

    @pytest.fixture(autouse=True)
    def _venue_time(self) -> Iterator[None]:
        with timezone.override(self.SEOUL):
            yield

    @pytest.mark.parametrize("language", ["en", "ko"])
    @pytest.mark.parametrize("hour", range(24))
    @pytest.mark.parametrize("minute", [0, 5])
    @pytest.mark.parametrize("month", [1, 5, 9, 11])
    def test_is_read_as_pages_print_it(self, language, hour, minute, month):
        at = datetime(2026, month, 5, hour, minute, tzinfo=self.SEOUL)

        with translation.override(language):
            day, time = date_format(at, "DATE_FORMAT"), date_format(at, "TIME_FORMAT")
            read = MomentField().clean([day, time])

        assert read == at

    @pytest.mark.parametrize(
        ("day", "time"),
        [
            *(
                ("2026-09-05", time)
                for time in ("19:30", "19:30:00", "7:30 PM", "7:30pm", "１９：３０")
            ),
            *(
                (day, "19:30")
                for day in ("２０２６－０９－０５", " 2026-09-05 ", "09/05/2026", "Sep 5 2026")
            ),
        ],
    )
    def test_is_read_as_inputs_show_it(self, day, time):
        assert MomentField().clean([day, time]) == self.AT

    @pytest.mark.parametrize("time", ["7:30 오후", "오후 7:30", "오후7:30"])
    def test_is_read_in_korean(self, time):
        with translation.override("ko"):
            read = MomentField().clean(["2026년 9월 5일", time])

        assert read == self.AT

    @pytest.mark.parametrize(
        ("day", "time"),
        [
            *(
                ("2026-09-05", time)
                for time in ("7", "19:30 pm", "0 pm", "오전 7 pm", "x", "\x00", HUGE)
            ),
            *((day, "19:30") for day in ("2026-13-05", "Foo. 5, 2026", "yesterday", "\x00", HUGE)),
        ],
    )
    def test_is_nothing_else(self, day, time):
        with pytest.raises(ValidationError):
            MomentField().clean([day, time])

    @pytest.mark.parametrize("value", [None, [], ["", ""], [None, None]])
    def test_may_be_missing(self, value):
        assert MomentField(required=False).clean(value) is None

    def test_names_both_inputs(self):
        class Sale(forms.Form):
            opens_at = MomentField(label="Opens at")

        page = str(Sale()["opens_at"])

        assert 'aria-label="Opens at, day"' in page
        assert 'aria-label="Opens at, time of day"' in page

    def test_has_changed_only_if_the_moment_has(self):
        assert not MomentField().has_changed(self.AT, ["Sept. 5, 2026", "7:30 p.m."])
        assert MomentField().has_changed(self.AT, ["Sept. 5, 2026", "7:31 p.m."])


class TestArgument:
    @pytest.mark.parametrize("typed", ["1000", "1,000", "1_000"])
    def test_is_read_like_a_field(self, typed):
        assert whole_number(1, 1_000)(typed) == 1_000

    @pytest.mark.parametrize("typed", ["1,00", "1.000", "1001", "0", "-1", "x", ""])
    def test_is_refused_like_a_field(self, typed):
        with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 1,000"):
            whole_number(1, 1_000)(typed)
