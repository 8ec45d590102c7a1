from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.queue import services
from apps.queue.models import PolicyChange, QueueExit, WaitingRoom
from tests.boxoffice.sending import send
from tests.factories.accounts import CustomerFactory, browser_of
from tests.factories.queue import PolicyChangeFactory, QueueExitFactory, WaitingRoomFactory
from tests.queue.rooms import policy_form

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return browser_of(CustomerFactory(admin=True))


def page(name: str, *args: object) -> str:
    return reverse(f"admin:queue_{name}", args=args)


@pytest.mark.no_live_room
class TestLists:
    @pytest.mark.parametrize(
        ("name", "factory", "queries"),
        [
            ("waitingroom", WaitingRoomFactory, 7),
            ("queueexit", QueueExitFactory, 10),
            ("policychange", PolicyChangeFactory, 10),
        ],
    )
    def test_take_a_fixed_number_of_queries(
        self,
        admin,
        name,
        factory,
        queries,
        django_assert_num_queries,
    ):
        factory.create_batch(3)
        url = page(f"{name}_changelist") + "?q=night"
        admin.get(url)
        with django_assert_num_queries(queries):
            admin.get(url)
        factory.create_batch(10)

        with django_assert_num_queries(queries):
            answer = admin.get(url)

        assert answer.status_code == 200

    def test_an_exit_of_an_account_that_is_gone_can_be_looked_at(self, admin):
        exit = QueueExitFactory()
        QueueExit.objects.update(customer_id=999_999)

        assert admin.get(page("queueexit_change", exit.pk)).status_code == 200


class TestWaitingRoom:
    def edit(self, admin: Client, room: WaitingRoom, **changes: Any) -> Any:
        return send(admin, page("waitingroom_change", room.pk), policy_form(**changes))

    def test_shows_what_happens_now(self, admin, visitors):
        services.admit_visitors()

        answer = admin.get(page("waitingroom_change", WaitingRoom.objects.get().pk))

        assert b"2 / 2" in answer.content
        assert b"2 in all, 2 within the last minute" in answer.content
        assert b"All well." in answer.content

    def test_opens_without_a_store(self, admin, settings):
        settings.QUEUE_URL = "redis://127.0.0.1:1/0"

        answer = admin.get(page("waitingroom_change", WaitingRoomFactory().pk))

        assert answer.status_code == 200
        assert b"No live figures" in answer.content

    def test_edits_go_through_the_service(self, admin):
        room = WaitingRoomFactory()

        self.edit(admin, room, capacity="80")

        room.refresh_from_db()
        [change] = PolicyChange.objects.values_list("field", "old_value", "new_value")
        assert (room.capacity, room.version) == (80, 2)
        assert change == ("capacity", "50", "80")
        assert PolicyChange.objects.get().changed_by_id == int(admin.session["_auth_user_id"])

    def test_takes_figures_as_it_prints_them(self, admin):
        room = WaitingRoomFactory()

        self.edit(admin, room, capacity="1,200", admissions_per_minute="６００")

        room.refresh_from_db()
        assert (room.capacity, room.admissions_per_minute) == (1_200, 600)

    def test_the_state_cannot_be_edited(self, admin):
        room = WaitingRoomFactory()

        self.edit(admin, room, state="CLOSED", generation=9)

        room.refresh_from_db()
        assert (room.state, room.generation) == ("OPEN", 1)
        assert not PolicyChange.objects.exists()

    def test_what_is_out_of_bounds_is_refused_in_words(self, admin):
        room = WaitingRoomFactory()

        answer = self.edit(admin, room, capacity=0)

        assert b"The capacity must be 1 to 100,000." in answer.content
        assert not PolicyChange.objects.exists()

    def test_rooms_are_neither_added_nor_deleted(self, admin):
        room = WaitingRoomFactory()

        assert admin.get(page("waitingroom_add")).status_code == 403
        assert admin.post(page("waitingroom_delete", room.pk), {"post": "yes"}).status_code == 403
        assert WaitingRoom.objects.exists()


@pytest.mark.no_live_room
@pytest.mark.parametrize(
    ("name", "factory"), [("queueexit", QueueExitFactory), ("policychange", PolicyChangeFactory)]
)
def test_records_are_read_only(admin, name, factory):
    record = factory()

    assert admin.get(page(f"{name}_add")).status_code == 403
    assert admin.post(page(f"{name}_change", record.pk), {}).status_code == 403
    assert admin.post(page(f"{name}_delete", record.pk), {"post": "yes"}).status_code == 403
    assert type(record).objects.exists()


class TestPolicyChanges:
    """Records have names of columns, states and moments as the database has them; staff read words."""

    def shown(self, admin, **change):
        record = PolicyChangeFactory(**change)
        return [
            admin.get(page("policychange_changelist")).content.decode(),
            admin.get(page("policychange_change", record.pk)).content.decode(),
        ]

    def test_states_are_named(self, admin):
        for text in self.shown(admin, field="state", old_value="OPEN", new_value="PAUSED"):
            assert "PAUSED" not in text
            assert ">paused<" in "".join(text.split())

    def test_moments_are_by_the_clocks_of_the_venue(self, admin):
        moment = "2026-12-01T10:30:00+00:00"

        for text in self.shown(admin, field="opens_at", old_value="", new_value=moment):
            assert moment not in text
            assert "Dec. 1, 2026, 7:30 p.m. (Asia/Seoul)" in text

    def test_what_has_no_words_is_shown_as_it_is(self, admin):
        for text in self.shown(admin, field="capacity", old_value="50", new_value="80"):
            assert ">80<" in "".join(text.split())
