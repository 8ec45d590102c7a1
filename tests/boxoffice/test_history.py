"""All that staff do to an object stands in its history, with who did it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from apps.accounts.models import AccessToken, User
from apps.accounts.services import issue_access_tokens
from apps.concerts.models import Concert, Performance
from apps.outbox.models import EventDelivery, OutboxEvent, Receiver
from tests.boxoffice.sending import act, concert_form, layout_form, send
from tests.boxoffice.staff import list_of, names_of_actions, page_of
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory

pytestmark = pytest.mark.django_db

# What only reads, or leads to a form that notes what it does.
NOTE_NOTHING = {
    "cockpit",
    "export",
    "generate_seats",
    "adjust",
    "correct_prices",
    "delete_hall",
    "move",
    "call_off",
    "give_back",
    "cancel_selected",
    "withdraw",
    "withdraw_this",
    "publish_this",
    "allocate",
    "release",
    "open_inventory",
    "find_order",
    "sales",
    "reconcile_books",
    "notify_holders",
    "notify_visitors",
    "take_back",
    "add_dates",
    "duplicate_this",
    "edit_poster",
    "seat_sheet",
    "change_grades",
    "save_template",
    "from_file",
    "use",
    "export_csv",
    "export_xlsx",
    "show_picture",
    "print_tickets",
}
# tests/queue/test_steering.py, tests/concerts/test_corrections.py
NOTE_THEMSELVES = {
    "open_now",
    "pause",
    "resume",
    "close",
    "remove_visitor",
    "delete_selected",
    "approve",
    "reject",
    "replay_this",
}


def hidden_concert() -> tuple[Any, Any]:
    concert = ConcertFactory(is_published=False)
    return concert, concert


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
    "revoke": (live_token, "Revoked."),
    "replay": (dead_delivery, "Replayed."),
    "replay_all": (receiver_with_dead, "Replayed 1 dead delivery."),
}


@pytest.mark.parametrize("action", CASES)
def test_an_action_stands_in_the_history(staff: Client, boss: User, action: str) -> None:
    make, words = CASES[action]
    target, subject = make()

    first, again = [act(staff, action, target, follow=True) for _ in range(2)]

    assert [told.level_tag for told in first.context["messages"]] == ["success"]
    [told] = again.context["messages"]
    assert told.level_tag == "warning"
    assert str(told).startswith("Nothing was changed. ")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (boss, str(subject.pk))
    assert entry.get_edited_object() == subject
    assert entry.get_change_message().startswith(words)
    assert words in staff.get(page_of(subject, "history")).content.decode()


def test_taking_offline_what_is_offline_says_so(staff: Client) -> None:
    concert = ConcertFactory(is_published=False)
    form = f"{list_of(Concert, 'withdraw')}?concert={concert.pk}"
    shown = staff.get(form).context["shown"]

    answers = [
        act(staff, "withdraw", concert, follow=True),
        staff.post(form, {"_shown": shown, "reason": "Rain"}, follow=True),
    ]

    for answer in answers:
        [told] = answer.context["messages"]
        assert told.level_tag == "warning"
        assert str(told) == "Nothing was changed. None of the selected concerts is online."


def test_publishing_by_the_form_alone_is_one_entry(staff: Client) -> None:
    concert = ConcertFactory(is_published=False)
    page = page_of(concert)
    send(staff, page, concert_form(concert))
    LogEntry.objects.all().delete()

    send(staff, page, concert_form(concert, is_published="on"))

    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Published."]


def test_no_action_is_left_out() -> None:
    found = set()
    for model_admin in admin.site._registry.values():
        for name in ("actions", "actions_detail", "actions_list", "actions_row"):
            found |= set(names_of_actions(model_admin, name))
    assert found <= set(CASES) | NOTE_NOTHING | NOTE_THEMSELVES
    assert set(CASES) <= found


def test_generated_seats_stand_in_the_history_of_the_date(staff: Client) -> None:
    performance = PerformanceFactory()
    layout = layout_form(("A", 2, 5, "R", 1_000), performances=[performance.pk])

    send(staff, list_of(Performance, "generate_seats"), layout)

    assert Performance.objects.get().seats_total == 10
    assert LogEntry.objects.get().get_change_message() == "10 seats made."
    assert not Concert.objects.filter(is_published=False).exists()
