"""`make bench`: see `options.py`."""

import os
import sys
from pathlib import Path

TREE = "--tree"


def main(arguments: list[str]) -> int:
    """Let `apps` and `dev` come from the checkout that is measured, before anything imports them."""
    given = [word for word in arguments if word.startswith(f"{TREE}=")]
    tree = given[0].partition("=")[2] if given else None
    if TREE in arguments[:-1]:
        tree = arguments[arguments.index(TREE) + 1]
    if tree is not None:
        folder = Path(tree).resolve()
        if not (folder / "concert_project").is_dir():
            sys.stderr.write(f"{folder} is no checkout of Encore.\n")
            return 2
        os.chdir(folder)
        sys.path.insert(0, str(folder))
    from dev.bench.command import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
