"""Staff at their pages: who they are, and how they find their way."""

import re
from importlib import import_module
from types import SimpleNamespace

from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Model
from playwright.sync_api import Locator, Page, expect

from apps.accounts.models import User
from apps.boxoffice.roles import give_permissions
from apps.concerts.models import Performance
from apps.reservations.models import Reservation
from tests.boxoffice.staff import list_of, page_of
from tests.factories.accounts import CustomerFactory

_inventory = import_module("apps.concerts.migrations.0003_inventory_of_blocked_seats")


def staff_of(role: str, name: str) -> User:
    """Return a member of a group, which has the rights and sells the categories that `manage.py migrate` gives it."""
    give_permissions()
    _inventory.make_categories(apps, SimpleNamespace(connection=connection))
    address = f"{name.split()[0].lower()}@encore.example"
    member: User = CustomerFactory(staff=True, name=name, email=address)
    member.groups.add(Group.objects.get(name=role))
    return member


def go_to(page: Page, model: type[Model], row: str | None = None) -> None:
    """Follow the sidebar to the list of some objects, and from there the link of one of them."""
    page.locator(f'a[href="{list_of(model)}"]').first.click()
    if row is not None:
        page.locator("#result_list").get_by_role("link", name=row).first.click()


def open_date(page: Page, performance: Performance, button: str, *, among: str = "") -> None:
    """Go to the page of a date, and press one of its buttons; `among` names the menu that has it."""
    go_to(page, Performance)
    page.locator(f'#result_list a[href*="{page_of(performance)}"]').first.click()
    if among:
        page.locator("#header-inner a", has_text=re.compile(among)).first.click()
    page.get_by_role("link", name=re.compile(rf"(^|\s){button}$")).first.click()


def find_order(page: Page, known: str) -> None:
    """Open the order that a caller tells this of."""
    page.locator("#nav-sidebar").get_by_role("link", name="Find an order").click()
    page.get_by_label("Order", exact=True).fill(known)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(list_of(Reservation) + ".*/change/"))


def search(page: Page, text: str) -> Locator:
    """Search the list that is shown; returns what it finds."""
    page.locator("#searchbar").fill(text)
    page.keyboard.press("Enter")
    return page.locator("#result_list tbody tr")


def press(page: Page, name: str) -> None:
    """Press the button of a form, or the link of a page that looks like one."""
    page.get_by_role("button", name=name, exact=True).last.click()
