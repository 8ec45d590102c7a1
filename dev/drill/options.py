"""The options of `manage.py fault_drill` and `python -m dev.drill`, which are the same."""

import argparse
from collections.abc import Mapping
from typing import Any

from apps.core.commands import file_path, number, whole_number
from dev.drill.faults import FAULTS

CUSTOMERS, CUSTOMERS_MAX = 12, 100
SECONDS, SECONDS_MIN, SECONDS_MAX = 5.0, 1.0, 600.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed",
        type=whole_number(0, 2**63 - 1),
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
        type=whole_number(1, CUSTOMERS_MAX),
        default=CUSTOMERS,
        metavar="N",
        help=f"how many shop at once (default: {CUSTOMERS})",
    )
    parser.add_argument(
        "--seconds",
        type=number(SECONDS_MIN, SECONDS_MAX),
        default=SECONDS,
        metavar="S",
        help=f"how long they shop for each fault (default: {SECONDS:g})",
    )
    parser.add_argument(
        "--json", type=file_path, metavar="FILE", help="write the figures to this file, too"
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
            f"{', '.join(map(repr, unknown)) or 'nothing'}: no such fault. There are {', '.join(FAULTS)}"
        )
    return names
