"""The house before customers come: halls with seats that are kept back, and staff. Importing this needs Django to be set up."""

import secrets
from dataclasses import dataclass

from django.contrib.auth.models import Group

from apps.accounts.models import User
from apps.boxoffice.roles import BOX_OFFICE, FINANCE
from apps.concerts.corrections import correct_prices
from apps.concerts.inventory import allocate_seats
from apps.concerts.models import Grade, InventoryCategory, Performance
from apps.concerts.selectors import seats_of

KEPT, PAINTED = 16, 20  # seats at the front of each hall, where customers want to sit
CATEGORIES = (InventoryCategory.Code.HOUSE, InventoryCategory.Code.SPONSOR)


@dataclass(frozen=True)
class Hall:
    """A performance. Its first seats are `kept` back, each in the category with that id; `painted` are the next ones, which staff keep back for a moment.

    `seat_ids` are all of them, in the order of the map.
    """

    performance_id: int
    seat_ids: list[int]
    kept: dict[int, int]
    painted: list[int]

    @property
    def for_clerks(self) -> list[int]:
        """Return the half of the kept seats that clerks sell, of each category; the others are sold and refunded by the thousand."""
        return sorted(self.kept)[: KEPT // 2]

    @property
    def for_refunds(self) -> list[int]:
        return sorted(self.kept)[KEPT // 2 :]

    @property
    def others(self) -> list[int]:
        return self.seat_ids[KEPT + PAINTED :]


def prepare_hall(performance_id: int, *, price: int | None = None) -> Hall:
    """Keep the first seats of a new hall back, in turns in each of the categories; give all of them a price in won."""
    if price:
        version = Performance.objects.get(pk=performance_id).seat_map_version
        prices = dict.fromkeys(Grade, price)
        correct_prices(performance_id=performance_id, prices=prices, seat_map_version=version)
    seat_ids = list(seats_of(performance_id).order_by("pk").values_list("pk", flat=True))
    kept = {}
    for number, code in enumerate(CATEGORIES):
        category_id = InventoryCategory.objects.get(code=code).pk
        own = seat_ids[:KEPT][number :: len(CATEGORIES)]
        allocate_seats(
            performance_id=performance_id,
            seat_ids=own,
            category_id=category_id,
            reason="For a drill",
            staff_id=None,
        )
        kept.update(dict.fromkeys(own, category_id))
    return Hall(performance_id, seat_ids, kept, seat_ids[KEPT : KEPT + PAINTED])


def category_nobody_sells() -> int:
    """Return the id of a category whose seats have to be released before anybody may have them."""
    return InventoryCategory.objects.get(code=InventoryCategory.Code.TECHNICAL).pk


def employ(count: int) -> list[tuple[User, str]]:
    """Make accounts of staff who may sell, and give money back; returns each with its password."""
    employed = []
    for number in range(count):
        password = secrets.token_urlsafe(12)
        user = User.objects.create_user(
            f"drill-{number}@staff.example", password, name=f"Clerk {number}", is_staff=True
        )
        user.groups.set(Group.objects.filter(name__in=(BOX_OFFICE, FINANCE)))
        employed.append((user, password))
    return employed
