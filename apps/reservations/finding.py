"""Find orders by whatever a customer reads out."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.lookups import Contains
from django.utils.translation import gettext_lazy as _

from apps.boxoffice.base.days import days_as_time
from apps.boxoffice.base.lookups import (
    Days,
    Ids,
    Lookup,
    Named,
    NamesTooMany,
    narrowed,
    people_lookup,
)
from apps.concerts.lookups import concert_lookup
from apps.concerts.models import Performance
from apps.concerts.selectors import seats_called
from apps.core.search import SearchFold, folded_words
from apps.reservations.lookups import OrderNumbers, code_lookup
from apps.reservations.models import Reservation, Ticket

PERFORMANCES_MAX = 1_000  # of one concert, or on one day


def orders_found(
    text: str, *, concert_id: int | None = None, day: date | None = None
) -> QuerySet[Reservation]:
    """Return the orders that a text names, of one concert or for performances of one day; all of these without a text.

    With all that describes them, in a fixed number of queries.

    :raises NamesTooMany: the text has to say more, or a concert or a day has to be chosen.
    """
    scope = _scope(concert_id, day)
    orders = Reservation.objects.with_details().select_related("customer")
    if not text:
        return orders.filter(scope)
    lookups: list[Lookup] = [
        OrderNumbers(),
        _People(is_scoped=bool(scope)),
        code_lookup(key="reservation"),
        Ids(("id", "hold")),
        Named("pk", _("seat"), lambda seat: _tickets_for(seat, scope), key="reservation"),
        Days("reserved_at"),
    ]
    if concert_id is None:
        lookups.append(concert_lookup("performance__concert"))
    return narrowed(orders, [_Within(lookup, scope) for lookup in lookups], text)


def _scope(concert_id: int | None, day: date | None) -> Q:
    """Return the condition of what belongs to the chosen performances; by their ids, so that no statement has to join them."""
    if concert_id is None and day is None:
        return Q()
    performances = Performance.objects.all()
    if concert_id is not None:
        performances = performances.of_concert(concert_id)
    if day is not None:
        since, until = days_as_time(day, day)
        performances = performances.filter(starts_at__gte=since, starts_at__lt=until)
    ids = performances.order_by("pk").values_list("pk", flat=True)
    return Q(performance__in=list(ids[:PERFORMANCES_MAX]))


def _tickets_for(seat: str, scope: Q) -> QuerySet[Ticket]:
    return Ticket.objects.filter(seat__in=seats_called(seat, within=scope))


@dataclass(frozen=True, slots=True)
class _Within:
    """Narrow what a lookup finds."""

    lookup: Lookup
    scope: Q

    @property
    def label(self) -> Any:
        return self.lookup.label

    def find(self, text: str) -> Q | None:
        found = self.lookup.find(text)
        return None if found is None else found & self.scope


@dataclass(frozen=True, slots=True)
class _People:
    """Find customers as everywhere; of the orders of some performances also those with a name that very many have."""

    is_scoped: bool
    label: Any = people_lookup().label

    def find(self, text: str) -> Q | None:
        try:
            return people_lookup().find(text)
        except NamesTooMany:
            if not self.is_scoped:
                raise
        # No index is of use for a name that so many have: the names of those who have ordered are compared.
        named = Q()
        for word in folded_words(text):
            named &= Q(Contains(SearchFold("customer__name"), word))
        return named or None
