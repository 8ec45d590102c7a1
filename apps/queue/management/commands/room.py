import argparse
import json
from collections.abc import Callable
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.models import User
from apps.concerts.errors import ConcertNotFound
from apps.concerts.publication import publish_concert, withdraw_concert
from apps.core.acting import actor_called, add_actor_option
from apps.core.commands import moment_in, row_id, whole_number, words
from apps.core.errors import DomainError
from apps.core.texts import typed_line
from apps.queue import services
from apps.queue.models import REASON_MAX, WaitingRoom
from apps.queue.selectors import room_as_staff_see_it
from apps.queue.services import By

_number = whole_number(0, 10**9)
_venue_time = moment_in(ZoneInfo(settings.VENUE_TIME_ZONE))


def _time(value: str) -> dict[str, Any]:
    return {"at": _venue_time(value)}


def _capacity(value: str) -> dict[str, Any]:
    return {"capacity": _number(value)}


def _rate(value: str) -> dict[str, Any]:
    return {"admissions_per_minute": None if value == "none" else _number(value)}


def _visitor(value: str) -> dict[str, Any]:
    try:
        return {"customer_id": User.objects.get_by_natural_key(value).pk}
    except User.DoesNotExist as error:
        raise CommandError(f"There is no account {value!r}.") from error


class Control(NamedTuple):
    """One thing that staff can do. `read` turns VALUE into arguments of the service; `wanted` says what VALUE it needs."""

    service: Callable[..., object]
    read: Callable[[str], dict[str, Any]] | None = None
    wanted: str = ""
    needs_reason: bool = False


CONTROLS = {
    "open": Control(services.open_room, _time),
    "pause": Control(services.pause_room, needs_reason=True),
    "resume": Control(services.resume_room),
    "close": Control(services.close_room, needs_reason=True),
    "withdraw": Control(withdraw_concert, needs_reason=True),
    "publish": Control(publish_concert),
    "capacity": Control(services.set_capacity, _capacity, "a number"),
    "rate": Control(
        services.set_admissions_per_minute, _rate, "a number of admissions per minute, or none"
    ),
    "remove": Control(
        services.remove_visitor, _visitor, "the email address of a visitor", needs_reason=True
    ),
}


class Command(BaseCommand):
    help = (
        "Show a concert's waiting room, or steer it. open: let visitors in from now on, or from the time given as VALUE; "
        "pause: let no visitor in, keep every place, and show visitors the reason; resume: go on; close: send everybody away for "
        "good; withdraw: take the concert offline, every place is kept and visitors are shown the reason; publish: put it online, "
        "visitors go on; capacity N: how many may be inside at once; rate N|none: admissions per minute; remove EMAIL: take the place of "
        "one visitor. It takes effect at once, and who did it is recorded with the reason."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["epilog"] = (
            'Examples: manage.py room 3 show --json; manage.py room 3 pause --reason "We are looking into slow payments."; '
            "manage.py room 3 capacity 200 --by clerk@example.com"
        )
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("concert_id", type=row_id, help="the id of the concert")
        parser.add_argument("control", choices=["show", *CONTROLS], help="what to do")
        parser.add_argument(
            "value",
            type=words,
            nargs="?",
            help="for capacity, rate and remove; for open a time, the venue's if it names no zone",
        )
        parser.add_argument(
            "--reason",
            type=typed_line,
            default="",
            help="why; needed by pause and withdraw (visitors read it), close and remove",
        )
        add_actor_option(parser)
        parser.add_argument("--json", action="store_true", help="print the room as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        reason = options["reason"].strip()
        if len(reason) > REASON_MAX:
            raise CommandError(f"The reason may have {REASON_MAX} characters.")
        try:
            room = services.get_or_create_waiting_room(options["concert_id"])
        except ConcertNotFound as error:
            raise CommandError(f"There is no concert {options['concert_id']}.") from error
        if options["control"] != "show":
            by = By(**actor_called(options["by"]), reason=reason)
            self._steer(room, options["control"], options["value"], by)
        seen = room_as_staff_see_it(room.concert_id)
        if options["json"]:
            self.stdout.write(json.dumps(seen, ensure_ascii=False, indent=2, default=str))
            return
        for name, shown in _lines(seen):
            self.stdout.write(f"{name:<24}{shown}")
        if seen["live"] is None:
            self.stderr.write(
                "No live figures: no visitor has come yet, or the store does not answer; then a change takes effect when it is back."
            )

    def _steer(self, room: WaitingRoom, name: str, value: str | None, by: By) -> None:
        control = CONTROLS[name]
        if value is not None and control.read is None:
            raise CommandError(f"{name} takes no value.")
        if value is None and control.wanted:
            raise CommandError(f"{name} needs {control.wanted}.")
        if control.needs_reason and not by["reason"]:
            raise CommandError(f"{name} needs a --reason.")
        try:
            arguments = control.read(value) if control.read and value is not None else {}
            control.service(concert_id=room.concert_id, **arguments, **by)
        except argparse.ArgumentTypeError as error:
            raise CommandError(f"{error}.") from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except DomainError as refusal:
            raise CommandError(services.why_refused(refusal, room)) from refusal


def _lines(seen: dict[str, Any]) -> list[tuple[str, object]]:
    """Return what is shown, line by line; the last changes below it."""
    plain = [(name, value) for name, value in seen.items() if name not in ("live", "changes")]
    live = list((seen["live"] or {}).items())
    changes = [
        (
            f"{change['changed_at']:%Y-%m-%d %H:%M:%S}",
            f"{change['field']}: {change['old_value']} → {change['new_value']} ({change['by']}) {change['reason']}",
        )
        for change in seen["changes"]
    ]
    return [*plain, *live, *changes]
