import json
from collections.abc import Callable
from datetime import datetime
from getpass import getuser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.accounts.models import User, normalized_email
from apps.concerts.errors import ConcertNotFound
from apps.queue import services
from apps.queue.models import REASON_MAX, WaitingRoom
from apps.queue.selectors import room_as_staff_see_it
from apps.queue.services import By
from apps.shared.errors import DomainError

NEEDS_REASON = {"pause", "close", "remove"}


def _open(concert_id: int, value: str | None, by: By) -> None:
    at = None
    if value is not None:
        try:
            at = datetime.fromisoformat(value)
        except ValueError as error:
            raise CommandError(f"{value!r} is not a time such as 2026-12-24T20:00.") from error
        at = at if at.tzinfo else timezone.make_aware(at)
    services.open_room(concert_id=concert_id, at=at, **by)


def _pause(concert_id: int, value: str | None, by: By) -> None:
    services.pause_room(concert_id=concert_id, **by)


def _resume(concert_id: int, value: str | None, by: By) -> None:
    services.resume_room(concert_id=concert_id, **by)


def _close(concert_id: int, value: str | None, by: By) -> None:
    services.close_room(concert_id=concert_id, **by)


def _capacity(concert_id: int, value: str | None, by: By) -> None:
    services.set_capacity(concert_id=concert_id, capacity=_number(value), **by)


def _rate(concert_id: int, value: str | None, by: By) -> None:
    per_minute = None if value == "none" else _number(value)
    services.set_admissions_per_minute(
        concert_id=concert_id, admissions_per_minute=per_minute, **by
    )


def _remove(concert_id: int, value: str | None, by: By) -> None:
    email = normalized_email(value or "")
    customer_id = User.objects.filter(email=email).values_list("pk", flat=True).first()
    if customer_id is None:
        raise CommandError(f"There is no account {email!r}.")
    services.remove_visitor(concert_id=concert_id, customer_id=customer_id, **by)


def _number(value: str | None) -> int:
    plain = (value or "").replace(",", "").replace("_", "")
    if not (plain.isascii() and plain.isdecimal() and len(plain) <= 9):
        raise CommandError(f"{value!r} is not a whole number.")
    return int(plain)


Control = Callable[[int, str | None, By], None]
# By name: what it does, and what value it takes, if it needs one.
CONTROLS: dict[str, tuple[Control, str | None]] = {
    "open": (_open, None),
    "pause": (_pause, None),
    "resume": (_resume, None),
    "close": (_close, None),
    "capacity": (_capacity, "a number"),
    "rate": (_rate, "a number of admissions per minute, or none"),
    "remove": (_remove, "the email address of a visitor"),
}
TAKES_VALUE = {"open", "capacity", "rate", "remove"}


class Command(BaseCommand):
    help = (
        "Show a concert's waiting room, or steer it. open: let visitors in from now on, or from the time given as VALUE; "
        "pause: let nobody in, keep every place, and show visitors the reason; resume: go on; close: send everybody away for "
        "good; capacity N: how many may be inside at once; rate N|none: admissions per minute; remove EMAIL: take the place of "
        "one visitor. It takes effect at once, and who did it is recorded with the reason."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["epilog"] = (
            'Examples: manage.py room 3 show --json; manage.py room 3 pause --reason "We are looking into slow payments."; '
            "manage.py room 3 capacity 200 --by clerk@example.com"
        )
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("concert_id", type=int, help="the id of the concert")
        parser.add_argument("control", choices=["show", *CONTROLS], help="what to do")
        parser.add_argument(
            "value",
            nargs="?",
            help="for capacity, rate and remove; for open a time, the venue's if it names no zone",
        )
        parser.add_argument(
            "--reason", default="", help="why; needed by pause (visitors read it), close and remove"
        )
        parser.add_argument(
            "--by",
            metavar="EMAIL",
            help="the account of staff that acts (default: the system's user)",
        )
        parser.add_argument("--json", action="store_true", help="print the room as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        control, value, reason = options["control"], options["value"], options["reason"].strip()
        if value is not None and control not in TAKES_VALUE:
            raise CommandError(f"{control} takes no value.")
        if len(reason) > REASON_MAX:
            raise CommandError(f"The reason may have {REASON_MAX} characters.")
        try:
            room = services.waiting_room_of(options["concert_id"])
        except ConcertNotFound as error:
            raise CommandError(f"There is no concert {options['concert_id']}.") from error
        if control != "show":
            by = self._actor(options["by"])
            by["reason"] = reason
            self._steer(room, control, value, by)
        seen = room_as_staff_see_it(room.concert_id)
        if options["json"]:
            self.stdout.write(json.dumps(seen, ensure_ascii=False, indent=2, default=str))
            return
        for name, shown in _lines(seen):
            self.stdout.write(f"{name:<24}{shown}")
        if seen["live"] is None:
            self.stderr.write(
                "No live figures: nobody has come yet, or the store does not answer; then a change takes effect when it is back."
            )

    def _steer(self, room: WaitingRoom, control: str, value: str | None, by: By) -> None:
        run, wanted = CONTROLS[control]
        if wanted and value is None:
            raise CommandError(f"{control} needs {wanted}.")
        if control in NEEDS_REASON and not by["reason"]:
            raise CommandError(f"{control} needs a --reason.")
        try:
            run(room.concert_id, value, by)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except DomainError as refusal:
            raise CommandError(services.why_refused(refusal, room)) from refusal

    def _actor(self, email: str | None) -> By:
        if email is None:
            return By(actor=f"{getuser()} (command line)")
        staff = User.objects.filter(email=normalized_email(email), is_staff=True, is_active=True)
        account = staff.first()
        if account is None:
            raise CommandError(f"There is no account of staff {email!r}.")
        return By(staff_id=account.pk)


def _lines(seen: dict[str, Any]) -> list[tuple[str, object]]:
    """Return what is shown, line by line; the last changes below it."""
    plain = [(name, value) for name, value in seen.items() if name not in ("live", "changes")]
    live = list((seen["live"] or {}).items())
    changes = [
        (
            f"{one['changed_at']:%Y-%m-%d %H:%M:%S}",
            f"{one['field']}: {one['old_value']} → {one['new_value']} ({one['by']}) {one['reason']}",
        )
        for one in seen["changes"]
    ]
    return [*plain, *live, *changes]
