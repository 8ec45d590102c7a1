"""The command line of `make bench`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apps.core.commands import whole_number
from dev.tool import parser_of

SCENARIOS = {
    "livez": "the health check, behind all middleware",
    "django": "a bare Django view: a second floor",
    "join": "new customers join a queue",
    "status": "visitors ask for their place, 1,000 and 1,000,000 waiting",
    "board": "the public board of the same rooms",
    "room": "such rooms script by script, on a Valkey alone: what each call costs, and the memory of a visitor",
    "queue": "a crowd comes, stays and goes: 0 to 800 users who join and poll",
    "hold-and-pay": "32 customers at once buy a seat each, until every consumer has caught up",
    "cockpit": "the same sale while 50 members of staff watch it, between two that none of them watches",
    "hot-seat": "500 customers want one seat; beside it 500 who want different ones",
    "seat-map": "map, list and availability of halls of 50, 5,000 and 50,000 seats",
    "on-sale": "2,000 customers, 5,000 seats: from joining until sold out",
    "pretix": "the same sale by Encore and by pretix, in turn; asked for by name it installs pretix into .pretix first,\n"
    + " " * 17
    + "which needs the network once; without a name it is left out until then",
    "clock": "what runs by itself: the only visitor of an empty room is admitted, the invariants are watched",
}
LIST = "\n".join(f"  {name:<15}{text}" for name, text in SCENARIOS.items())
DESCRIPTION = f"""\
Measure Encore beside what the same machine can do at best, in one run.

A throw-away stack is started with the settings of a deployment: durability, request log and rate limits on. Its floors are
measured in between: `hello` (an empty answer on the same server), a bare Django view, and a reference sale in pgbench on
the same PostgreSQL. Ratios to the floor of the same minute count; rates depend on the machine and on what else it does.

  make bench                                             everything, about 17 minutes; writes docs/performance.md
  make bench ARGS=--quick                                a look, about 2 minutes
  make bench ARGS="--scenario join --scenario status"    only these
  make bench ARGS="--against dev/bench/results/X.json"  and compare with an earlier result
  make bench ARGS="--tree ../other"                      measure another checkout with this harness
  make bench ARGS="--profile join"                       and name the functions that the time goes to
  make bench ARGS="--history FOLDER"                     with years of sales in the database (see make bench-history)
  make bench ARGS="--report dev/bench/results/X.json"   measure nothing, write docs/performance.md anew

scenarios:
{LIST}

With --history the stack runs on a copy of what `make bench-history ARGS="--keep FOLDER"` has filled, as large again while it
runs; invariants are checked for what has changed since the start. The result of such a run and --against one without are a table
of docs/performance.md.
"""


def result(text: str) -> dict[str, Any]:
    """Read the result that an argument names.

    :raises argparse.ArgumentTypeError: the file is none.
    """
    try:
        found = json.loads(Path(text).read_text())
    except (OSError, ValueError):  # the second, too, for what cannot be the name of a file
        found = None
    if not isinstance(found, dict) or "form" not in found:
        raise argparse.ArgumentTypeError(f"{text!r} is no result of `make bench`")
    return found


def folder(text: str) -> Path:
    """Return the absolute folder that an argument names, there or not.

    :raises argparse.ArgumentTypeError: no folder can be called so, or the name could not be printed.
    """
    if not text or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a folder")
    return Path(text).resolve()


def parser() -> argparse.ArgumentParser:
    parser = parser_of("make bench", DESCRIPTION)
    parser.add_argument(
        "--scenario",
        action="append",
        choices=SCENARIOS,
        metavar="NAME",
        help="measure only this; may be repeated",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="smaller and shorter")
    size.add_argument("--smoke", action="store_true", help="seconds, only to see that it works")
    parser.add_argument(
        "--duration",
        type=whole_number(1, 600),
        metavar="SECONDS",
        help="of one measurement of a rate or of sales",
    )
    parser.add_argument(
        "--repeats", type=whole_number(1, 100), metavar="N", help="of each measurement"
    )
    parser.add_argument(
        "--users",
        type=whole_number(1, 10_000),
        metavar="N",
        help="at once: at the peak of queue, in hold-and-pay, hot-seat and on-sale",
    )
    parser.add_argument(
        "--history",
        type=folder,
        metavar="FOLDER",
        help='of `make bench-history ARGS="--keep FOLDER"`: measure with what it holds',
    )
    parser.add_argument("--against", type=result, metavar="RESULT", help="an earlier result")
    parser.add_argument(
        "--check", action="store_true", help="fail if a bound is missed that was measured"
    )
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        choices=SCENARIOS,
        metavar="NAME",
        help="play this scenario once more, not measured, under py-spy; may be repeated",
    )
    parser.add_argument("--report", type=result, metavar="RESULT", help="only write the page anew")
    parser.add_argument(
        "--output",
        type=folder,
        default=Path(__file__).resolve().parent / "results",
        metavar="FOLDER",
        help="where the result goes (default: dev/bench/results)",
    )
    parser.add_argument(
        "--tree", type=folder, metavar="FOLDER", help="the checkout to measure (default: this one)"
    )
    return parser


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    return parser().parse_args(arguments)
