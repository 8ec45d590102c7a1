"""The command line of `make drill`."""

import argparse

from apps.core.commands import file_path, number, whole_number
from dev.drill.faults import FAULTS
from dev.tool import parser_of

CUSTOMERS, CUSTOMERS_MAX = 12, 100
STAFF, STAFF_MAX = 2, 5
SECONDS, SECONDS_MIN, SECONDS_MAX = 5.0, 1.0, 600.0


DESCRIPTION = """\
Start a stack, let customers shop in it through the API and staff work at its administration, and break one thing after the other
meanwhile: kill processes, freeze and empty servers, cut sessions, spoil the outside platform. After each fault repeat every call and
form whose outcome is unknown, compare all answers with the database, both ways, check all invariants and that every event was
consumed once. Print a table.

  make drill                                             everything, about ten minutes
  make drill ARGS="--seed 7 --plan"                      only what would happen when
  make drill ARGS="--faults broker-frozen,web-killed"    a minute
  make drill ARGS="--faults refunds-under-load"          a thousand refunds of seats that were kept back, and none that leaks
  make drill ARGS="--json drill.json"                    and write the figures to a file

Everything is drawn from the seed before anything starts. No running stack is touched; what the drill starts lies in a folder that
goes with it. The exit status is 1 after a breach, and 2 if the drill did not take place.
"""


def parser() -> argparse.ArgumentParser:
    parser = parser_of("make drill", DESCRIPTION)
    parser.add_argument(
        "--seed",
        type=whole_number(0, 2**63 - 1),
        default=1,
        metavar="N",
        help="what the order of the faults, their moments and the choices of customers and staff are drawn from (default: 1)",
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
        "--staff",
        type=whole_number(0, STAFF_MAX),
        default=STAFF,
        metavar="N",
        help=f"how many members of staff work at once (default: {STAFF})",
    )
    parser.add_argument(
        "--seconds",
        type=number(SECONDS_MIN, SECONDS_MAX),
        default=SECONDS,
        metavar="S",
        help=f"how long they shop and work for each fault (default: {SECONDS:g})",
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
    return parser


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FAULTS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"{', '.join(map(repr, unknown)) or 'nothing'}: no such fault. There are {', '.join(FAULTS)}"
        )
    return names
