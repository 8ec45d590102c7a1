"""The browser of the tests, the screenshots and the benchmark of the pages.

python -m dev.browser             print where it is; fail if there is none
python -m dev.browser --install   the same, but install Chromium first where that is possible: on Debian, as root
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dev.tool import parser_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Return the path of the first browser that this machine has."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def open_browser(path: str) -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright  # only where a browser is opened

    with sync_playwright() as playwright:
        # Without its sandbox it also runs as root, as in a container; it sees our own pages only.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def install_from_debian(package: str) -> None:
    """Try to install a package, which only root can, and only on Debian."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        subprocess.run(
            ["apt-get", "--quiet", "--quiet", *arguments], env=environment, stdout=sys.stderr
        )


def main(arguments: list[str]) -> int:
    parser = parser_of("dev.browser", __doc__)
    parser.add_argument("--install", action="store_true", help="on Debian, as root")
    if parser.parse_args(arguments).install and find_browser() is None:
        sys.stderr.write("Installing Chromium ...\n")
        install_from_debian("chromium")
    found = find_browser()
    sys.stdout.write(f"{found or 'There is no browser.'}\n")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
