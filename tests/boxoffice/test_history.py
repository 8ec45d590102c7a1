"""Whatever staff do to an object stands in its history, with who did it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import AccessToken
from apps.accounts.services import issue_access_tokens
from apps.concerts.models import Concert, Performance, Seat
from apps.outbox.models import EventDelivery, OutboxEvent, Receiver
from tests.boxoffice.sending import concert_form, send
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory

pytestmark = pytest.mark.django_db

# What only reads, or leads to a form that notes what it does.
NOTE_NOTHING = {
    "export",
    "generate_seats",
    "adjust",
    "correct_prices",
    "delete_hall",
    "withdraw",
    "withdraw_this",
    "publish_this",
}
# tests/queue/test_steering.py, tests/concerts/test_corrections.py
NOTE_THEMSELVES = {"open_now", "pause", "resume", "close", "remove_visitor", "delete_selected"}


def hidden_concert() -> tuple[Any, Any]:
    concert = ConcertFactory(is_published=False)
    return concert, concert


def free_seat() -> tuple[Any, Any]:
    seat = PerformanceFactory(seats=2).seats.order_by("pk")[0]
    return seat, seat.performance


def blocked_seat() -> tuple[Any, Any]:
    seat, performance = free_seat()
    Seat.objects.filter(pk=seat.pk).update(is_blocked=True)
    return seat, performance


def live_token() -> tuple[Any, Any]:
    issue_access_tokens(user_ids=[CustomerFactory().pk])
    token = AccessToken.objects.get()
    return token, token


def dead_delivery() -> tuple[Any, Any]:
    event = OutboxEvent.objects.create(type="tests.noted", payload={}, occurred_at=timezone.now())
    delivery = EventDelivery.objects.create(
        event=event,
        consumer="tests",
        status=EventDelivery.Status.DEAD,
        attempts=15,
        next_attempt_at=timezone.now(),
    )
    return delivery, delivery


def receiver_with_dead() -> tuple[Any, Any]:
    dead_delivery()
    receiver = Receiver.objects.create(consumer="tests")
    return receiver, receiver


# By action: makes what it is done to and what has the history; and what the history says.
CASES: dict[str, tuple[Callable[[], tuple[Any, Any]], str]] = {
    "publish": (hidden_concert, "Published."),
    "block": (free_seat, "Blocked (1): "),
    "unblock": (blocked_seat, "Unblocked (1): "),
    "revoke": (live_token, "Revoked."),
    "replay": (dead_delivery, "Replayed."),
    "replay_all": (receiver_with_dead, "Replayed 1 dead delivery."),
}


@pytest.mark.parametrize("action", CASES)
def test_an_action_stands_in_the_history(client: Client, action: str) -> None:
    make, words = CASES[action]
    target, subject = make()
    boss = CustomerFactory(admin=True)
    client.force_login(boss)
    opts = target._meta
    changelist = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")

    sent = {"action": action, "_selected_action": [target.pk]}
    first, again = [client.post(changelist, sent, follow=True) for _ in range(2)]

    assert [one.level_tag for one in first.context["messages"]] == ["success"]
    [told] = again.context["messages"]
    assert told.level_tag == "warning"
    assert str(told).startswith("Nothing was changed. ")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (boss, str(subject.pk))
    assert entry.get_edited_object() == subject
    assert entry.get_change_message().startswith(words)
    shown = client.get(
        reverse(
            f"admin:{subject._meta.app_label}_{subject._meta.model_name}_history", args=[subject.pk]
        )
    )
    assert words in shown.content.decode()


def test_taking_offline_what_is_offline_says_so(client: Client) -> None:
    concert = ConcertFactory(is_published=False)
    client.force_login(CustomerFactory(admin=True))
    sent = {"action": "withdraw", "_selected_action": [concert.pk]}
    form = f"{reverse('admin:concerts_concert_withdraw')}?concert={concert.pk}"
    shown = client.get(form).context["shown"]

    answers = [
        client.post(reverse("admin:concerts_concert_changelist"), sent, follow=True),
        client.post(form, {"_shown": shown, "reason": "Rain"}, follow=True),
    ]

    for answer in answers:
        [told] = answer.context["messages"]
        assert told.level_tag == "warning"
        assert str(told) == "Nothing was changed. None of the selected concerts is online."


def test_publishing_by_the_form_alone_is_one_entry(client: Client) -> None:
    concert = ConcertFactory(is_published=False)
    client.force_login(CustomerFactory(admin=True))
    page = reverse("admin:concerts_concert_change", args=[concert.pk])
    send(client, page, concert_form(concert))
    LogEntry.objects.all().delete()

    send(client, page, concert_form(concert, is_published="on"))

    assert [one.get_change_message() for one in LogEntry.objects.all()] == ["Published."]


def test_no_action_is_left_out() -> None:
    found = set()
    for model_admin in admin.site._registry.values():
        for name in ("actions", "actions_detail", "actions_list", "actions_row"):
            found |= set(getattr(model_admin, name, None) or ())
    assert found <= set(CASES) | NOTE_NOTHING | NOTE_THEMSELVES
    assert set(CASES) <= found


def test_generated_seats_stand_in_the_history_of_the_date(client: Client) -> None:
    performance = PerformanceFactory()
    client.force_login(CustomerFactory(admin=True))
    rows = {
        "form-TOTAL_FORMS": 1,
        "form-INITIAL_FORMS": 0,
        "form-0-name": "A",
        "form-0-rows": 2,
        "form-0-seats_per_row": 5,
        "form-0-grade": "R",
        "form-0-price": 1_000,
    }

    send(
        client,
        reverse("admin:concerts_performance_generate_seats"),
        {"performances": [performance.pk], **rows},
    )

    assert Performance.objects.get().seats_total == 10
    assert LogEntry.objects.get().get_change_message() == "10 seats made."
    assert not Concert.objects.filter(is_published=False).exists()
