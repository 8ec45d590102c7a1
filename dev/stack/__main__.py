"""`make run`: the whole of Encore on one machine, until Ctrl-C."""

import os
import sys
from pathlib import Path

from dev.stack.stack import ROOT, Stack


def main() -> int:
    port = os.environ.get("PORT", "8000")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        print(f"PORT must be a number from 1 to 65535, not {port!r}.", file=sys.stderr)
        return 1
    data_dir = Path(os.environ.get("DATA_DIR") or ROOT / ".data").resolve()
    return Stack(data_dir=data_dir, port=int(port), environment=os.environ).run()


if __name__ == "__main__":
    sys.exit(main())
