"""Forms of the admin: each acts once for each time it was shown, and overwrites nothing that it did not show."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client

from apps.accounts.models import User
from apps.api.models import IdempotencyRecord
from apps.boxoffice.base import forms as admin_forms
from apps.boxoffice.base.words import at_venue
from apps.concerts.models import Concert, Performance
from apps.payments.models import LedgerTransaction, Wallet
from apps.payments.selectors import wallet_balance
from apps.queue import services
from apps.queue.models import PolicyChange, WaitingRoom
from tests.boxoffice.sending import concert_form, send, shown_by
from tests.boxoffice.staff import administrator, list_of, page_of
from tests.conftest import Race
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory, begin_at
from tests.factories.payments import WalletFactory
from tests.factories.queue import WaitingRoomFactory

pytestmark = pytest.mark.django_db

ADJUST = list_of(LedgerTransaction, "add")


@pytest.fixture
def room() -> WaitingRoom:
    return WaitingRoomFactory()


def room_form(**changes: Any) -> dict[str, Any]:
    policy = {
        "opens_at_0": "",
        "opens_at_1": "",
        "capacity": 50,
        "admissions_per_minute": "",
        "lease": "00:05:00",
        "patience": "00:05:00",
        "lottery_window": "01:00:00",
        "reason": "Planned",
    }
    return policy | changes


def refusal_of(answer: Any) -> str:
    assert answer.status_code == 200
    return " ".join(answer.context["adminform"].form.non_field_errors())


def dated_form(concert: Concert) -> dict[str, Any]:
    performance = concert.performances.get()
    begins = {
        "performances-0-starts_at_0": f"{performance.starts_at:%Y-%m-%d}",
        "performances-0-starts_at_1": "19:00:00",
    }
    return concert_form(concert, [performance], **begins)


class TestOnce:
    @pytest.fixture
    def wallet(self) -> Wallet:
        return WalletFactory(balance=0)

    @pytest.fixture
    def adjustment(self, wallet: Wallet) -> dict[str, Any]:
        return {"customer": wallet.pk, "amount": "10000", "reason": "Sorry"}

    @pytest.fixture
    def form(self, staff: Client, adjustment: dict[str, Any]) -> dict[str, Any]:
        """The adjustment in a form that was shown."""
        return {"_shown": shown_by(staff, ADJUST), **adjustment}

    def test_back_and_save_books_nothing_more(
        self, staff: Client, wallet: Wallet, form: dict[str, Any]
    ) -> None:
        first, again = staff.post(ADJUST, form), staff.post(ADJUST, form | {"amount": "20000"})

        assert wallet_balance(customer_id=wallet.pk) == 10_000
        assert again.headers["Location"] == first.headers["Location"]
        *_, told = staff.get(again.headers["Location"]).context["messages"]
        assert str(told) == "This form was saved before. It has not been saved twice."

    @pytest.mark.django_db(transaction=True)
    def test_a_double_click_books_once(
        self, race: Race, staff: Client, wallet: Wallet, form: dict[str, Any]
    ) -> None:
        answers = race([lambda: staff.post(ADJUST, form)] * 4)

        assert [answer.status_code for answer in answers] == [302] * 4
        assert LedgerTransaction.objects.filter(type="ADJUSTMENT").count() == 1
        assert wallet_balance(customer_id=wallet.pk) == 10_000

    @pytest.mark.django_db(transaction=True)
    def test_the_race_is_real_without_the_record(
        self,
        race: Race,
        staff: Client,
        wallet: Wallet,
        form: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Twin: without what the form says of itself, each request is a form of its own."""
        monkeypatch.setattr(admin_forms.CarefulForms, "_record", lambda *_: IdempotencyRecord())
        monkeypatch.setattr(IdempotencyRecord, "save", lambda *_, **__: None)

        race([lambda: staff.post(ADJUST, form)] * 4)

        assert wallet_balance(customer_id=wallet.pk) == 40_000

    @pytest.mark.parametrize("is_colleague", [False, True])
    def test_shown_anew_or_to_a_colleague_it_acts_anew(
        self, staff: Client, wallet: Wallet, adjustment: dict[str, Any], is_colleague: bool
    ) -> None:
        for client in (staff, administrator() if is_colleague else staff):
            send(client, ADJUST, adjustment)

        assert wallet_balance(customer_id=wallet.pk) == 20_000

    def test_what_was_refused_may_be_sent_again(
        self, staff: Client, wallet: Wallet, form: dict[str, Any]
    ) -> None:
        refused = staff.post(ADJUST, form | {"reason": ""})
        staff.post(ADJUST, form)

        assert refused.context["shown"] == form["_shown"]
        assert wallet_balance(customer_id=wallet.pk) == 10_000

    @pytest.mark.parametrize("shown", ["", "forged", "forged:1:x"])
    def test_a_form_that_was_not_shown_does_nothing(
        self, staff: Client, wallet: Wallet, form: dict[str, Any], shown: str
    ) -> None:
        answer = staff.post(ADJUST, form | {"_shown": shown})

        assert "too old, or not complete" in refusal_of(answer)
        assert wallet_balance(customer_id=wallet.pk) == 0


class TestNothingOverwritten:
    def test_a_change_of_a_colleague_stays_and_is_told(
        self, staff: Client, room: WaitingRoom
    ) -> None:
        shown = shown_by(staff, page_of(room))
        send(administrator(email="b@example.com"), page_of(room), room_form(capacity=500))

        answer = staff.post(page_of(room), room_form(_shown=shown, lease="00:07:00"))

        refusal = refusal_of(answer)
        assert "Nothing was saved" in refusal
        assert "capacity: 50 → 500" in refusal
        assert "b@example.com" in refusal
        assert WaitingRoom.objects.get().capacity == 500
        assert PolicyChange.objects.count() == 1

    def test_so_does_one_from_the_command_line(self, staff: Client, room: WaitingRoom) -> None:
        shown = shown_by(staff, page_of(room))
        services.set_capacity(concert_id=room.concert_id, capacity=500, actor="root")

        answer = staff.post(page_of(room), room_form(_shown=shown, lease="00:07:00"))

        assert "root: capacity: 50 → 500" in refusal_of(answer)

    def test_what_the_form_does_not_show_is_no_obstacle(
        self, staff: Client, room: WaitingRoom
    ) -> None:
        shown = shown_by(staff, page_of(room))
        services.pause_room(concert_id=room.concert_id, reason="Slow")

        answer = staff.post(page_of(room), room_form(_shown=shown, capacity=60))

        assert answer.status_code == 302
        assert WaitingRoom.objects.values_list("capacity", "state").get() == (60, "PAUSED")

    @pytest.mark.parametrize("is_gone", [False, True])
    def test_a_row_below_it_counts(self, staff: Client, is_gone: bool) -> None:
        concert = PerformanceFactory().concert
        form = dated_form(concert) | {"_shown": shown_by(staff, page_of(concert)), "title": "Other"}
        moved = concert.performances.get().starts_at.replace(year=2031)
        if is_gone:
            Performance.objects.all().delete()
        else:
            begin_at(Performance.objects.all(), moved)

        answer = staff.post(page_of(concert), form)

        assert ("has been deleted" if is_gone else "2031") in refusal_of(answer)
        assert is_gone or Performance.objects.get().starts_at == moved
        assert Concert.objects.get().title == concert.title

    def test_chosen_groups_count(self, staff: Client) -> None:
        clerk = CustomerFactory(staff=True)
        auditors, ushers = (Group.objects.create(name=name) for name in ("Auditors", "Ushers"))
        form = {
            "email": clerk.email,
            "name": clerk.name,
            "is_active": "on",
            "is_staff": "on",
            "groups": [auditors.pk],
            "_shown": shown_by(staff, page_of(clerk)),
        }
        clerk.groups.add(ushers)

        answer = staff.post(page_of(clerk), form)

        assert "– → Ushers" in refusal_of(answer)
        assert list(User.objects.get(pk=clerk.pk).groups.all()) == [ushers]

    @pytest.mark.django_db(transaction=True)
    def test_of_two_at_once_one_is_refused(self, race: Race, room: WaitingRoom) -> None:
        clients = [administrator() for _ in range(2)]
        forms = [
            room_form(capacity=capacity, _shown=shown_by(client, page_of(room)))
            for client, capacity in zip(clients, (60, 70), strict=True)
        ]

        def saving(client: Client, form: dict[str, Any]) -> Callable[[], Any]:
            return lambda: client.post(page_of(room), form)

        answers = race([saving(*pair) for pair in zip(clients, forms, strict=True)])

        assert sorted(answer.status_code for answer in answers) == [200, 302]
        assert PolicyChange.objects.count() == 1

    @pytest.mark.parametrize(
        "make",
        [
            lambda: ConcertFactory(),
            lambda: PerformanceFactory(),
            lambda: WaitingRoomFactory(),
            lambda: CustomerFactory(),
            lambda: Group.objects.create(name="Auditors"),
        ],
    )
    def test_every_form_that_can_be_saved_says_what_it_showed(
        self, staff: Client, make: Callable[[], Any]
    ) -> None:
        obj = make()

        page = staff.get(page_of(obj))

        assert f'name="_shown" value="{page.context["shown"]}"' in page.content.decode()
        shown = admin_forms.Shown.read(page.context["shown"], page.wsgi_request)
        assert str(obj.pk) in shown.rows[obj._meta.label_lower]


class TestWhoChangedIt:
    """A form that stood open names the colleague and the change, through each door."""

    def staff_b(self) -> Client:
        return administrator(email="b@example.com")

    def times(self, year: int, prefix: str = "") -> dict[str, Any]:
        return {
            f"{prefix}starts_at_0": f"{year}-05-01",
            f"{prefix}starts_at_1": "19:00:00",
            f"{prefix}ends_at_0": "",
            f"{prefix}ends_at_1": "",
        }

    def move_below_the_concert(self, performance: Performance) -> Any:
        concert = performance.concert
        form = concert_form(concert, [performance], **self.times(2031, "performances-0-"))
        return send(self.staff_b(), page_of(concert), form)

    def move_on_its_page(self, performance: Performance) -> Any:
        values = {"concert": performance.concert_id, **self.times(2031)}
        return send(self.staff_b(), page_of(performance), values)

    @pytest.mark.parametrize("door", [move_below_the_concert, move_on_its_page])
    def test_a_moved_date_is_told_by_both_forms_that_show_it(
        self, staff: Client, door: Callable[..., Any]
    ) -> None:
        performance = PerformanceFactory()
        concert = performance.concert
        forms = {
            page_of(performance): {"concert": concert.pk, **self.times(2032)},
            page_of(concert): concert_form(
                concert, [performance], **self.times(2032, "performances-0-")
            ),
        }
        shown = {url: shown_by(staff, url) for url in forms}
        before = at_venue(performance.starts_at)
        assert door(self, performance).status_code == 302

        for url, form in forms.items():
            refusal = refusal_of(staff.post(url, {"_shown": shown[url], **form}))
            assert (
                f"b@example.com: Moved from {before} to May 1, 2031, 7 p.m. (Asia/Seoul)."
                in refusal
            )
        assert Performance.objects.get().starts_at.year == 2031

    @pytest.mark.parametrize("door", [move_below_the_concert, move_on_its_page])
    def test_a_moved_date_stands_in_its_history_and_in_that_of_its_concert(
        self, staff: Client, door: Callable[..., Any]
    ) -> None:
        performance = PerformanceFactory()
        words = f"Moved from {at_venue(performance.starts_at)} to May 1, 2031, 7 p.m. (Asia/Seoul)."

        door(self, performance)

        for obj in (performance, performance.concert):
            entries = staff.get(page_of(obj, "history")).context["action_list"]
            told = [entry.get_change_message() for entry in entries]
            assert told.count(words) == 1
            assert "starts at" not in " ".join(told).lower()

    def test_an_end_that_was_moved(self, staff: Client) -> None:
        performance = PerformanceFactory()
        values = {
            "concert": performance.concert_id,
            **self.times(2031),
            "ends_at_0": "2031-05-01",
            "ends_at_1": "23:00:00",
        }
        send(staff, page_of(performance), values)
        send(staff, page_of(performance), values | {"ends_at_1": "22:30:00"})

        told = LogEntry.objects.filter(content_type__model="performance").order_by("-pk")
        assert told[0].get_change_message() == (
            "End moved from May 1, 2031, 11 p.m. (Asia/Seoul) to May 1, 2031, 10:30 p.m. (Asia/Seoul)."
        )

    def test_a_form_saved_as_it_was_is_no_change(self, staff: Client) -> None:
        concert = ConcertFactory()
        form = concert_form(concert)
        send(staff, page_of(concert), form)
        before = LogEntry.objects.count()

        send(staff, page_of(concert), form)

        assert LogEntry.objects.count() == before

    def test_a_deleted_date(self, staff: Client) -> None:
        performance = PerformanceFactory()
        form = dated_form(performance.concert)
        form["_shown"] = shown_by(staff, page_of(performance.concert))
        colleague = self.staff_b()
        send(colleague, page_of(performance, "delete"), {"_expected": 1})

        refusal = refusal_of(staff.post(page_of(performance.concert), form))

        assert "b@example.com: Deleted: performances: 1." in refusal

    @pytest.mark.parametrize(
        ("by", "words"),
        [
            (["--by", "b@example.com"], "b@example.com: Taken offline. Rain"),
            ([], "(command line): is_published: True → False"),
        ],
    )
    def test_a_concert_that_the_command_line_took_offline(
        self, staff: Client, by: list[str], words: str
    ) -> None:
        CustomerFactory(staff=True, email="b@example.com")
        concert = ConcertFactory()
        form = concert_form(concert, _shown=shown_by(staff, page_of(concert)))
        command = ["room", str(concert.pk), "withdraw", "--reason", "Rain", *by]
        call_command(*command, stdout=StringIO())

        refusal = refusal_of(staff.post(page_of(concert), form))

        assert words in refusal
        assert not Concert.objects.get().is_published

    def test_a_room_that_the_command_line_changed(self, staff: Client) -> None:
        CustomerFactory(staff=True, email="b@example.com")
        room = WaitingRoomFactory()
        shown = shown_by(staff, page_of(room))
        command = ["room", str(room.concert_id), "capacity", "500", "--by", "b@example.com"]
        call_command(*command, stdout=StringIO())

        answer = staff.post(page_of(room), room_form(_shown=shown, lease="00:07:00"))

        assert "b@example.com: capacity: 50 → 500" in refusal_of(answer)
