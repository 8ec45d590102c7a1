"""Bring the database up to date: migrations and demo data, in one process to start quickly."""

import django
from django.core.management import call_command


def main() -> None:
    django.setup()
    call_command("migrate", interactive=False, verbosity=1)
    call_command("load_demo")


if __name__ == "__main__":
    main()
