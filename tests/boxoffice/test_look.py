"""The admin as staff read it: its sections, the way to a page, numbers, times, empty lists; and a policy that allows nothing inline."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.contrib.staticfiles.finders import find
from django.test import Client
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import override

from apps.boxoffice.base import lists
from apps.boxoffice.base.readable import RowCount
from apps.boxoffice.empty_lists import NEXT_STEPS
from apps.boxoffice.navigation import SECTIONS, Listing
from apps.boxoffice.roles import ADMINISTRATOR, BOX_OFFICE, FINANCE, OPERATIONS, give_permissions
from apps.concerts.models import Concert
from apps.queue.models import WaitingRoom
from apps.reservations.models import Hold, Reservation
from tests.boxoffice.season import one_of_each
from tests.boxoffice.staff import clerk, list_of, logged_in, page_of
from tests.factories.accounts import PASSWORD, CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import reservation
from tests.storefront.rules import Page

pytestmark = pytest.mark.django_db

# Names of parts that no style sheet speaks of.
HOOKS = {
    "painting-map",
    "picture__hall",
    "picture__list",
    "seat-",
    "ticket__words",
    "tickets__tools",
}

TECHNICAL = {"Events", "Idempotency records", "Seat claims", "Progress of jobs"}


def sidebar_of(client: Client, path: str = "/admin/") -> dict[str, list[str]]:
    groups = client.get(path).context["sidebar_navigation"]
    return {str(group["title"]): [item["title"] for item in group["items"]] for group in groups}


def in_role(name: str) -> Client:
    give_permissions()
    user = CustomerFactory(staff=True)
    user.groups.add(Group.objects.get(name=name))
    return logged_in(user)


class TestSidebar:
    def test_has_the_sections_of_what_staff_do(self, staff: Client) -> None:
        assert list(sidebar_of(staff)) == [
            "",
            "Sales",
            "Concerts",
            "Waiting rooms",
            "Customers",
            "Money",
            "Operations",
        ]

    @pytest.mark.parametrize(
        ("role", "hidden", "technical"),
        [
            (BOX_OFFICE, {"Money"}, False),
            (FINANCE, {"Waiting rooms"}, False),
            (OPERATIONS, {"Money"}, True),
            (ADMINISTRATOR, set(), True),
        ],
    )
    def test_shows_what_the_role_may_open(
        self, role: str, hidden: set[str], technical: bool
    ) -> None:
        shown = sidebar_of(in_role(role))

        assert {str(title) for title, _pages in SECTIONS} - set(shown) == hidden
        titles = {title for group in shown.values() for title in group}
        assert bool(TECHNICAL & titles) == technical

    def test_leads_to_nothing_that_is_refused(self) -> None:
        client = in_role(FINANCE)
        groups = client.get("/admin/").context["sidebar_navigation"]

        for group in groups:
            for item in group["items"]:
                assert client.get(item["link"]).status_code == 200, item

    def test_of_staff_without_any_right_has_the_overview_alone(self) -> None:
        assert sidebar_of(clerk()) == {"": ["Overview"]}

    def test_marks_the_page_in_view(self, staff: Client) -> None:
        room = WaitingRoomFactory()

        for path, title in {
            "/admin/": "Overview",
            page_of(room): "Waiting rooms",
            f"{list_of(WaitingRoom)}{room.pk}/steer/pause/": "Waiting rooms",
            "/admin/accounts/user/": "Accounts",
            "/admin/accounts/user/?is_staff__exact=1": "Accounts of staff",
        }.items():
            groups = staff.get(path).context["sidebar_navigation"]
            active = [
                item["title"] for group in groups for item in group["items"] if item["active"]
            ]
            assert active == [title], path

    def test_leads_to_every_list(self) -> None:
        listed = {
            page.label for _title, pages in SECTIONS for page in pages if isinstance(page, Listing)
        }

        assert listed == {model._meta.label_lower for model in admin.site._registry}

    def test_is_in_the_language_of_the_reader(self, staff: Client) -> None:
        staff.cookies["django_language"] = "ko"

        assert "매출" not in sidebar_of(staff)
        assert "판매" in sidebar_of(staff)


def way_above(client: Client, path: str) -> list[str]:
    text = client.get(path).content.decode().partition("<h1")[2].partition("</h1>")[0]
    return [
        found.strip()
        for found in re.findall(
            r"<(?:a|span)[^>]*tracking-tight[^>]*>(.*?)</(?:a|span)>", text, re.DOTALL
        )
    ]


class TestTitles:
    def test_of_a_reservation_name_concert_date_and_customer(self, staff: Client) -> None:
        performance = PerformanceFactory(seats=1, concert__title="Paper Moons")
        reserved = reservation(CustomerFactory(name="Ida Vale"), list(performance.seats.all()))

        listing, title = way_above(staff, page_of(reserved))

        assert way_above(staff, list_of(Reservation)) == ["Sales", "Reservations"]
        assert listing == "Reservations"
        assert " · Paper Moons · " in title
        assert title.endswith(" · Ida Vale")
        assert str(reserved.pk) not in staff.get(page_of(reserved, "history")).context["title"]

    def test_keep_the_case_of_an_address(self, staff: Client) -> None:
        customer = CustomerFactory(email="mina@example.com")

        assert way_above(staff, page_of(customer)) == ["Accounts", "mina@example.com"]

    @pytest.mark.slow
    def test_name_no_object_by_its_id(self, staff: Client) -> None:
        made = one_of_each()

        for model, obj in made.items():
            if isinstance(obj.pk, str):
                continue  # a name
            page = staff.get(page_of(obj))
            *_way, title = way_above(staff, page_of(obj))
            assert title != str(obj.pk), model
            assert "object" not in title, model
            assert page.context["subtitle"] != str(obj.pk), model


class TestNumbers:
    def test_have_separators_in_lists_and_on_pages(self, staff: Client) -> None:
        room = WaitingRoomFactory(capacity=12_345, generation=67_890)

        assert "12,345" in staff.get(list_of(WaitingRoom)).content.decode()
        assert "67,890" in staff.get(page_of(room)).content.decode()

    def test_of_rows_have_them_too_and_say_where_the_count_ended(
        self, staff: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert str(RowCount(12_345, bound=100_000)) == "12,345"
        monkeypatch.setattr(lists, "ROWS_COUNTED", 2)
        for _ in range(3):
            ConcertFactory()

        assert "2+" in staff.get(list_of(Concert)).content.decode()

    def test_sort_their_column_as_before(self, staff: Client) -> None:
        for capacity in (2_000, 1_000):
            WaitingRoomFactory(capacity=capacity)
        column = admin.site._registry[WaitingRoom].list_display.index("capacity")

        page = staff.get(list_of(WaitingRoom), {"o": str(column + 1)})

        assert [room.capacity for room in page.context["cl"].result_list] == [1_000, 2_000]


def test_every_page_says_by_which_clocks_its_times_are(staff: Client) -> None:
    for path in ("/admin/", list_of(Reservation)):
        assert "Venue time: Asia/Seoul" in " ".join(staff.get(path).content.decode().split())


class TestEmptyLists:
    def test_lead_to_where_they_are_filled(self, staff: Client) -> None:
        text = staff.get(list_of(Hold)).content.decode()

        assert "A hold appears when a customer picks seats" in text
        assert f'href="{list_of(Concert)}"' in text.partition("Nothing here yet")[2]

    def test_offer_nothing_that_the_account_may_not(self) -> None:
        text = clerk("view_hold").get(list_of(Hold)).content.decode()

        assert "Entries appear here by themselves." in text
        assert list_of(Concert) not in text

    def test_are_told_for_models_and_pages_that_exist(self) -> None:
        assert set(NEXT_STEPS) <= {model._meta.label_lower for model in admin.site._registry}
        assert all(reverse(f"admin:{step.page}") for step in NEXT_STEPS.values() if step.page)


class TestPolicy:
    def test_loosens_nothing_but_what_the_theme_evaluates(self, staff: Client) -> None:
        def directives(path: str) -> dict[str, str]:
            policy = staff.get(path).headers["Content-Security-Policy"]
            return dict(part.split(" ", 1) for part in policy.split("; "))

        shop, ours = directives("/"), directives("/admin/")

        assert ours == {**shop, "script-src": "'self' 'unsafe-eval'"}
        assert "unsafe" not in " ".join(shop.values())

    @pytest.mark.parametrize(
        "path", ["/admin/login/", "/admin/nothing/", "/admin/concerts/concert/?x=1"]
    )
    def test_is_on_every_answer(self, path: str) -> None:
        policy = Client().get(path).headers["Content-Security-Policy"]

        assert "script-src 'self' 'unsafe-eval'" in policy

    @pytest.mark.slow
    def test_is_kept_by_every_page(self, staff: Client) -> None:
        made = one_of_each()
        paths = ["/admin/", "/admin/login/", *map(list_of, made), *map(page_of, made.values())]

        assert {
            path: inline_in(staff.get(path)) for path in paths if inline_in(staff.get(path))
        } == {}


def inline_in(answer: Any) -> list[str]:
    """Return the scripts and styles within a page, and its attributes that are some."""
    if answer.status_code == 302:
        return []
    page = Page(answer)
    names = [name for _tag, attributes in page.tags for name in attributes]
    return [
        *page.inline,
        *(tag for tag, _attributes in page.tags if tag == "style"),
        *(name for name in names if name == "style" or re.fullmatch(r"on[a-z]+", name)),
    ]


def test_a_login_without_a_page_to_go_to_leads_to_the_overview() -> None:
    clerk = CustomerFactory(staff=True, password=PASSWORD)

    answer = Client().post("/admin/login/", {"username": clerk.email, "password": PASSWORD})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


def test_every_class_of_a_page_is_in_a_style_sheet():
    """The sheet of the theme has only the classes that its own pages use."""
    theme = find("unfold/css/styles.css")
    own = (Path(settings.BASE_DIR) / "apps").glob("*/static/**/*.css")
    sheets = "".join(Path(sheet).read_text() for sheet in (theme, *own))
    styled = {name.replace("\\", "") for name in re.findall(r"\.((?:[\w-]|\\.)+)", sheets)}
    templates = (Path(settings.BASE_DIR) / "templates").glob("*/**/*.html")
    used = {
        (str(template.relative_to(settings.BASE_DIR)), name)
        for template in templates
        if template.is_relative_to(Path(settings.BASE_DIR) / "templates" / "admin")
        for names in re.findall(
            r'class="([^"]*)"', re.sub(r"{%.*?%}|{{.*?}}", " ", template.read_text())
        )
        for name in names.split()
    }

    assert used
    assert {(where, name) for where, name in used if name not in styled | HOOKS} == set()


@pytest.mark.parametrize(
    ("language", "words"), [("en", "9 Dec 2026, 19:30"), ("ko", "2026-12-9 19:30")]
)
def test_short_dates_are_read_in_one_way(language: str, words: str) -> None:
    with override(language):
        assert (
            date_format(datetime(2026, 12, 9, 19, 30, tzinfo=UTC), "SHORT_DATETIME_FORMAT") == words
        )
