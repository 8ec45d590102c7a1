"""The measurement of the pages of staff, on a history that is small enough for a test."""

import pytest
from django.contrib import admin

from tests.dev.tools import run

pytestmark = pytest.mark.slow


def test_measures_every_list_and_search_and_fails_when_one_takes_longer_than_its_bound():
    measured = run("dev.bench.staff_pages", "--reservations", "1000", "--bound", "1")

    assert measured.returncode == 1, measured.stderr[-3_000:]
    assert "pages took longer than 1 ms." in measured.stderr
    titles = [line.split(" | ")[0].removeprefix("| ") for line in measured.stdout.splitlines()]
    lists = [title for title in titles if title.startswith("list: ")]
    ours = [model for model in admin.site._registry if model.__module__.startswith("apps.")]
    assert len(lists) == len(ours)
    for title in ("find an order: order number", "an order", "a customer", "sales of a month"):
        assert title in titles
