"""Every text that people type is composed where it enters, and refused if it hides something."""

import argparse
import unicodedata
from importlib import import_module
from typing import Any

import pytest
from django import forms
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import models
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.models import User
from apps.concerts.models import Concert
from apps.core.texts import (
    TypedLineField,
    TypedNoteField,
    TypedTextField,
    normalized,
    refuse_hidden,
    refuse_lines,
    typed_line,
    without_hidden,
)
from apps.queue.models import PolicyChange, WaitingRoom
from tests.boxoffice.sending import concert_form, send
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.queue import WaitingRoomFactory

COMPOSED, DECOMPOSED = "은하수를 건너는 밤", unicodedata.normalize("NFD", "은하수를 건너는 밤")
HIDDEN = {
    "Hangul filler": "\u3164",
    "half-width Hangul filler": "\uffa0",
    "zero width space": "\u200b",
    "byte order mark": "\ufeff",
    "braille blank": "\u2800",
    "turned around": "abc\u202ecba",
    "isolate": "\u2066abc\u2069",
    "left-to-right mark": "abc\u200e",
    "soft hyphen": "ab\u00adc",
    "within a word": "Pa\u200bper",
    "joiner in Latin": "Pa\u200dper",
    "joiner at the end": "abc\u200d",
    "tags": "abc\U000e0041",
    "control": "a\x07b",
    "line separator": "a\u2028b",
    "spaces only": "\u00a0\u2003",
    "a mark alone": "\u0301",
}
SHOWN = [
    "은하수를 건너는 밤",
    "Café – “Größe” №1 (50%)",
    "👩‍🎤 👨‍👩‍👧 🏳️‍🌈 🏴󠁧󠁢󠁳󠁣󠁴󠁿 ❤️‍🔥 1️⃣",
    "نمی‌خواهم",
    "क्‍ष",
    "עברית",
    "葛󠄀城",
]


class TestHidden:
    @pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
    def test_is_refused(self, text):
        with pytest.raises(ValidationError):
            refuse_hidden(text)

    def test_is_named(self):
        with pytest.raises(ValidationError) as refusal:
            refuse_hidden("abc\u202ecba")

        assert refusal.value.messages == [
            "This text contains a hidden character (U+202E). Please type it again."
        ]

    @pytest.mark.parametrize("text", SHOWN)
    def test_is_not_what_shows(self, text):
        refuse_hidden(text)

        assert without_hidden(text) == normalized(text)

    @given(st.text())
    def test_is_left_out_of_what_is_shown_again(self, text):
        shown = without_hidden(text)

        assert without_hidden(shown) == shown

    def test_lines_are_for_texts_of_lines(self):
        refuse_hidden("two\nlines")

        with pytest.raises(ValidationError):
            refuse_lines("two\nlines")
        with pytest.raises(argparse.ArgumentTypeError):
            typed_line("two\nlines")


TYPED = {
    "accounts.User.name",
    "concerts.Concert.title",
    "concerts.Concert.artist",
    "concerts.Concert.venue",
    "concerts.Concert.description",
    "boxoffice.StaffJob.decision_reason",
    "boxoffice.StaffJob.reason",
    "concerts.HallTemplate.name",
    "concerts.HallTemplate.venue",
    "concerts.InventoryCategory.name",
    "concerts.Performance.called_off_reason",
    "concerts.Seat.section",
    "concerts.SeatAllocation.reason",
    "payments.LedgerTransaction.reason",
    "queue.WaitingRoom.pause_reason",
    "reservations.Hold.release_reason",
    "reservations.Reservation.cancel_reason",
    "reservations.Reservation.contact",
    "reservations.Ticket.cancel_reason",
    "queue.WaitingRoom.withdrawal_reason",
    "queue.PolicyChange.actor",
    "queue.PolicyChange.reason",
    "queue.RoomNotice.text_en",
    "queue.RoomNotice.text_ko",
    "reservations.HolderNotice.text_en",
    "reservations.HolderNotice.text_ko",
}
# Made by us, or bounded to ASCII where they enter.
OURS = {
    "accounts.User.password",
    "accounts.User.email",
    "boxoffice.StaffJob.kind",
    "boxoffice.StaffJob.language",
    "boxoffice.StaffJob.reached",
    "boxoffice.StaffJobRow.subject",
    "boxoffice.StaffJobRow.detail",
    "concerts.InventoryCategory.code",
    "concerts.InventoryCategory.colour",
    "concerts.InventoryCategory.letter",
    "concerts.Poster.digest",
    "concerts.Seat.row",
    "concerts.SeatMapDraft.source",
    "queue.WaitingRoom.lottery_key",
    "queue.WaitingRoom.epoch",
    "queue.PolicyChange.field",
    "queue.PolicyChange.old_value",
    "queue.PolicyChange.new_value",
    "reservations.Ticket.code",
    "outbox.DeliveryReplay.actor",
    "outbox.DeliveryReplay.chosen",
    "outbox.EventDelivery.consumer",
    "outbox.EventDelivery.last_error",
    "api.IdempotencyRecord.operation",
    "api.IdempotencyRecord.key",
    "api.IdempotencyRecord.fingerprint",
    "ops.JobProgress.name",
    "outbox.OutboxEvent.type",
    "outbox.Receiver.consumer",
    "outbox.Receiver.last_error",
}


class TestEveryField:
    def test_of_a_model_is_typed_or_ours(self):
        texts = {
            str(field): field
            for model in apps.get_models()
            if model.__module__.startswith("apps.")
            for field in model._meta.fields
            if isinstance(field, (models.CharField, models.TextField)) and not field.choices
        }

        typed = {
            name
            for name, field in texts.items()
            if isinstance(field, (TypedNoteField, TypedTextField))
        }
        assert typed == TYPED
        assert texts.keys() - typed == OURS

    @pytest.mark.parametrize(
        "module",
        [
            "apps.storefront.forms",
            "apps.queue.admin.steering",
            "apps.concerts.admin.publication",
            "apps.concerts.admin.seat_generator",
        ],
    )
    def test_of_a_form_is_typed_or_secret(self, module):
        found = {
            f"{form.__name__}.{name}": field
            for form in vars(import_module(module)).values()
            if isinstance(form, type) and issubclass(form, forms.Form)
            for name, field in form.base_fields.items()
            if type(field) is forms.CharField
        }

        assert all("password" in name or name == "LoginForm.email" for name in found)

    def test_names_the_field_of_django_in_migrations(self):
        for field, path in (
            (TypedLineField(max_length=9), "CharField"),
            (TypedTextField(), "TextField"),
        ):
            assert field.deconstruct()[1] == f"django.db.models.{path}"


@pytest.mark.django_db
class TestModels:
    def test_compose_what_is_written_and_what_is_asked_for(self):
        concert = ConcertFactory(title=DECOMPOSED)
        bulk = Concert.objects.bulk_create([ConcertFactory.build(title=DECOMPOSED)])
        updated = ConcertFactory()
        Concert.objects.filter(pk=updated.pk).update(title=DECOMPOSED)

        assert concert.title == COMPOSED
        for text in (COMPOSED, DECOMPOSED):
            assert set(Concert.objects.filter(title=text)) == {concert, updated, *bulk}

    @pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
    def test_refuse_what_hides(self, text):
        with pytest.raises(ValidationError) as refusal:
            ConcertFactory.build(title=text).full_clean()

        assert set(refusal.value.error_dict) == {"title"}


@pytest.mark.django_db
class TestWaysIn:
    def test_of_the_api(self, client):
        def register(name: str) -> Any:
            body = {"email": "mina@example.com", "password": "seven-green-kites", "name": name}
            return client.post("/api/v1/accounts/register", body, "application/json")

        for text in HIDDEN.values():
            answer = register(text)
            assert (answer.status_code, list(answer.json()["data"]["errors"])) == (400, ["name"])
        assert not User.objects.exists()

        answer = register(DECOMPOSED)

        assert answer.json()["data"]["name"] == COMPOSED
        assert User.objects.get().name == COMPOSED

    def test_of_the_pages(self, client):
        form = {"email": "mina@example.com", "password": "seven-green-kites"}

        refused = client.post("/register/", {**form, "name": "\u3164"})
        assert "contains a hidden character (U+3164)" in refused.content.decode()
        assert not User.objects.exists()
        client.post("/register/", {**form, "name": DECOMPOSED})

        assert User.objects.get().name == COMPOSED

    def test_of_the_admin(self, client):
        client.force_login(CustomerFactory(admin=True))
        concert = ConcertFactory()
        url = reverse("admin:concerts_concert_change", args=[concert.pk])

        send(client, url, concert_form(concert, title="\u202eabc"))
        concert.refresh_from_db()
        assert "\u202e" not in concert.title
        send(client, url, concert_form(concert, title=DECOMPOSED))

        concert.refresh_from_db()
        assert concert.title == COMPOSED

    def test_of_commands(self):
        room = WaitingRoomFactory()

        with pytest.raises(CommandError) as refusal:
            call_command("room", str(room.concert_id), "pause", "--reason", "a\u202eb")
        call_command("room", room.concert_id, "pause", reason=DECOMPOSED)

        assert "U+202E" in str(refusal.value)
        assert WaitingRoom.objects.get().pause_reason == COMPOSED
        assert PolicyChange.objects.filter(field="pause_reason").get().reason == COMPOSED

    def test_of_superusers(self):
        call_command(
            "createsuperuser", email="mina@example.com", name=DECOMPOSED, interactive=False
        )

        assert User.objects.get().name == COMPOSED

    def test_of_searches(self, client):
        PerformanceFactory(concert__title=COMPOSED)

        for text in (COMPOSED, DECOMPOSED):
            found = client.get("/api/v1/concerts", {"q": text}).json()["data"]["items"]
            assert [concert["title"] for concert in found] == [COMPOSED]
        page = client.get("/", {"q": "abc\u202ecba"}).content.decode()
        assert "\u202e" not in page


@pytest.mark.django_db
class TestPasswords:
    def test_are_the_same_however_they_are_typed(self):
        customer = User.objects.create_user("mina@example.com", "비밀번호-é-1234", name="Mina")

        assert customer.check_password(unicodedata.normalize("NFD", "비밀번호-é-1234"))
        assert not customer.check_password("비밀번호-e-1234")

    def test_from_before_go_on_being_taken(self):
        typed = unicodedata.normalize("NFD", "비밀번호-é-1234")
        customer = User.objects.create_user("mina@example.com", "x", name="Mina")
        super(User, customer).set_password(typed)
        customer.save()

        assert customer.check_password(typed)


def test_addresses_in_full_width_letters_log_in(db, client):
    User.objects.create_user("mina@example.com", "seven-green-kites", name="Mina")

    answer = client.post(
        "/api/v1/accounts/login",
        {"email": " ＭＩＮＡ＠example.com ", "password": "seven-green-kites"},
        content_type="application/json",
    )

    assert answer.json()["code"] == "SUCCESS"
