"""The options of `manage.py fault_drill` and `python -m devstack.drill`, which are the same."""

import argparse
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from devstack.drill.faults import FAULTS

T = TypeVar("T", int, float)

CUSTOMERS, CUSTOMERS_MAX = 12, 100
SECONDS, SECONDS_MIN, SECONDS_MAX = 5.0, 1.0, 600.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed",
        type=_number(int, 0, 2**63 - 1),
        default=1,
        metavar="N",
        help="what the order of the faults, their moments and the choices of customers are drawn from (default: 1)",
    )
    parser.add_argument(
        "--faults",
        type=_names,
        default=[],
        metavar="NAME,...",
        help=f"only these (default: all of {', '.join(FAULTS)})",
    )
    parser.add_argument(
        "--customers",
        type=_number(int, 1, CUSTOMERS_MAX),
        default=CUSTOMERS,
        metavar="N",
        help=f"how many shop at once (default: {CUSTOMERS})",
    )
    parser.add_argument(
        "--seconds",
        type=_number(float, SECONDS_MIN, SECONDS_MAX),
        default=SECONDS,
        metavar="S",
        help=f"how long they shop for each fault (default: {SECONDS:g})",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures to this file, too"
    )
    parser.add_argument(
        "--plan", action="store_true", help="print what would happen when, and start nothing"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep the folder with logs and data; a breach always does",
    )


def as_arguments(options: Mapping[str, Any]) -> list[str]:
    """The command line that `add_options` reads these from."""
    arguments = [f"--{name}={options[name]}" for name in ("seed", "customers", "seconds")]
    if options["faults"]:
        arguments.append(f"--faults={','.join(options['faults'])}")
    if options["json"]:
        arguments.append(f"--json={options['json'].absolute()}")
    return [*arguments, *(f"--{name}" for name in ("plan", "keep") if options[name])]


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FAULTS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"{', '.join(unknown) or 'nothing'}: no such fault. There are {', '.join(FAULTS)}"
        )
    return names


def _number(kind: type[T], lowest: T, highest: T) -> Callable[[str], T]:
    """An argument's type; the message says what would have been right."""

    def parse(text: str) -> T:
        with suppress(ValueError):
            if lowest <= (value := kind(text)) <= highest:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {lowest:g} to {highest:g}")

    return parse
