"""Every page and every action of staff, asked for by every role: allowed or refused as the tables in `rights.py` say."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.test import RequestFactory
from django.urls import URLResolver, resolve

from apps.accounts.models import User
from apps.boxoffice.base.words import seen_by
from apps.boxoffice.roles import ADMINISTRATOR, BOX_OFFICE, FINANCE, OPERATIONS, give_permissions
from apps.boxoffice.urls import urlpatterns
from apps.concerts.halls import draft_seats, plan_of
from apps.concerts.models import Concert, Performance, Seat
from apps.queue.models import WaitingRoom
from apps.reservations.models import Hold
from tests.boxoffice.rights import ACTIONS, OPEN, PAGES
from tests.boxoffice.season import Everything, one_of_each
from tests.boxoffice.test_history import dead_delivery
from tests.factories.accounts import CustomerFactory
from tests.factories.concerts import ConcertFactory, PerformanceFactory
from tests.factories.queue import WaitingRoomFactory
from tests.factories.reservations import hold

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

ROLES = {"B": BOX_OFFICE, "F": FINANCE, "O": OPERATIONS, "A": ADMINISTRATOR}
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
GROUP = re.compile(r"\^?\(\?P(<\w+>)[^)]*\)(/?)\$")
QUERIES = {
    "autocomplete/": "?app_label=payments&model_name=ledgertransaction&field_name=customer&term=a"
}

# For the buttons that a page shows in one state only: the object to ask for.
SITUATIONS: dict[str, Callable[[], Model]] = {
    "outbox/eventdelivery/<path:object_id>/replay_this/": lambda: dead_delivery()[0],
    "reservations/hold/<path:object_id>/release/": lambda: live_hold(),
    "reservations/reservation/holds/<uuid:pk>/release/": lambda: live_hold(),
    "concerts/concert/<path:object_id>/publish_this/": lambda: ConcertFactory(is_published=False),
    "queue/waitingroom/<path:object_id>/open_now/": lambda: WaitingRoomFactory(state="CLOSED"),
    "queue/waitingroom/<path:object_id>/resume/": lambda: WaitingRoomFactory(state="PAUSED"),
}


def live_hold() -> Hold:
    seats = list(PerformanceFactory(seats=1).seats.all())
    return hold(CustomerFactory(), seats)


# Below the address of one model, pages about an object of another one.
ABOUT: dict[str, type[Model]] = {
    "queue/roomnotice/write/": WaitingRoom,
    "reservations/holdernotice/concert/": Concert,
    "reservations/holdernotice/performance/": Performance,
    "reservations/reservation/customer/": User,
    "reservations/reservation/seats/": Performance,
    "reservations/reservation/performances/": Performance,
}


def routes(patterns: Iterable[Any] | None = None, before: str = "") -> Iterator[str]:
    """Yield the address below `/admin/` of each page, as the resolver of the admin has it."""
    own = [*urlpatterns, *admin.site.get_urls()]
    for pattern in own if patterns is None else patterns:
        route = before + GROUP.sub(r"\1\2", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route


def address(route: str, made: Everything) -> str:
    """Fill in an address with what was made; a parameter that is not known here fails, and has to be added."""
    subject = SITUATIONS[route]() if route in SITUATIONS else _subject(route, made)
    values: dict[str, Callable[[], Any]] = {
        "object_id": lambda: quote(subject.pk),
        "pk": lambda: subject.pk,
        "id": lambda: subject.pk,
        "concert_id": lambda: made[Concert].pk,
        "draft": lambda: _draft(made[Performance].pk),
        "format": lambda: "csv",
        "seat_id": lambda: (
            Seat.objects.filter(performance=made[Performance].pk).order_by("pk")[0].pk
        ),
        "performance_id": lambda: made[Performance].pk,
        "control": lambda: "pause",
        "app_label": lambda: "concerts",
        "content_type_id": lambda: ContentType.objects.get_for_model(Concert).pk,
        "url": lambda: "nothing/",
    }
    return f"/admin/{PARAMETER.sub(lambda found: str(values[found[1]]()), route)}"


def _draft(performance_id: int) -> int:
    seats = plan_of(performance_id)
    draft = draft_seats.step(
        performance_id=performance_id, seats=seats, source="seats.csv", removes_missing=False
    )
    return draft.pk


def _subject(route: str, made: Everything) -> Any:
    """Return an object of the model that an address begins with, or that it is about."""
    for base, model in ABOUT.items():
        if route.startswith(base):
            return made[model]
    by_base = {model._meta.label_lower.replace(".", "/"): obj for model, obj in made.items()}
    return by_base.get("/".join(route.split("/")[:2]), made[Concert])


def request_as(user: User, method: str, url: str) -> HttpRequest:
    request: Any = getattr(RequestFactory(), method)(url)
    request.user = user
    request.session = SessionStore()
    request._messages = CookieStorage(request)
    request._dont_enforce_csrf_checks = True
    return request  # type: ignore[no-any-return]


def is_allowed(user: User, method: str, url: str) -> bool:
    """Ask for a page; what it does is undone. One that there is not, or not for this method, allows nobody."""
    request = request_as(user, method, url)
    view, args, kwargs = request.resolver_match = resolve(request.path)
    before = transaction.savepoint()
    try:
        with seen_by(request):
            response = view(request, *args, **kwargs)
    except (PermissionDenied, Http404):
        return False
    finally:
        transaction.savepoint_rollback(before)
    if response.status_code == 302 and "/admin/login/" in response.url:
        return False
    return response.status_code not in {403, 405}


@pytest.fixture(autouse=True)
def _nothing_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights are decided before a page is written, which takes ten times as long."""
    monkeypatch.setattr(TemplateResponse, "render", lambda response: response)


@pytest.fixture
def made() -> Everything:
    return one_of_each()


@pytest.fixture
def staff_of() -> Callable[[str], User]:
    give_permissions()

    def make(letter: str) -> User:
        user = CustomerFactory(staff=True)
        if letter in ROLES:
            user.groups.add(Group.objects.get(name=ROLES[letter]))
        return user

    return make


def test_the_tables_name_every_page_and_every_action_and_nothing_else() -> None:
    assert set(routes()) == set(PAGES)
    assert set(actions()) == set(ACTIONS)


@pytest.mark.parametrize("letter", ["B", "F", "O", "A", "-"])
def test_a_page_is_open_to_the_roles_of_the_table(
    letter: str, made: Everything, staff_of: Callable[[str], User]
) -> None:
    """ "-" is staff without a role."""
    user = staff_of(letter)
    urls = {route: address(route, made) + QUERIES.get(route, "") for route in PAGES}

    found = {
        route: tuple(is_allowed(user, method, url) for method in ("get", "post"))
        for route, url in urls.items()
    }

    expected = {route: tuple(letter in roles for roles in PAGES[route]) for route in PAGES}
    assert {route: answers for route, answers in found.items() if answers != expected[route]} == {}


def test_no_page_is_open_to_a_customer(made: Everything) -> None:
    customer = CustomerFactory()

    found = {
        route
        for route in PAGES
        for method in ("get", "post")
        if is_allowed(customer, method, address(route, made))
    }

    assert found == OPEN


def actions() -> Iterator[str]:
    """Yield "concerts.Concert: publish" for each action of a list, or of the buttons below a form."""
    for model, model_admin in admin.site._registry.items():
        names = [*(model_admin.actions or ()), *getattr(model_admin, "actions_submit_line", ())]
        for name in dict.fromkeys(names):
            yield f"{model._meta.label}: {name}"


@pytest.mark.parametrize("letter", ["B", "F", "O", "A", "-"])
def test_an_action_is_offered_to_the_roles_of_the_table(
    letter: str, staff_of: Callable[[str], User]
) -> None:
    """Django carries out those that it would offer."""
    request = request_as(staff_of(letter), "get", "/admin/")

    offered = {
        f"{model._meta.label}: {name}"
        for model, model_admin in admin.site._registry.items()
        if model_admin.has_view_or_change_permission(request)
        for name in model_admin.get_actions(request)
    }

    assert offered == {action for action, roles in ACTIONS.items() if letter in roles}
