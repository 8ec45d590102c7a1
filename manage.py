#!/usr/bin/env python
"""Django's command line. Without any environment it finds the stack of `make run`."""

import os
import sys


def main() -> None:
    try:
        "".join(sys.argv).encode()
    except UnicodeEncodeError as error:  # Django's own commands would hand it to the database
        raise SystemExit("An argument is not in UTF-8.") from error
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "concert_project.settings.local")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise SystemExit(
            "Django is not installed for this Python. `make run` makes .venv; "
            "then use .venv/bin/python manage.py"
        ) from error
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
