"""The sidebar of the admin: what staff do, and below it the pages for it. A new page is one line here.

An account is shown what it may open, and nothing else.
"""

from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

Words = str | Promise


class Page(NamedTuple):
    """A page of the admin: the name of its address after `admin:`, what it is called, and the rights that it needs."""

    name: str
    title: Words
    icon: str
    rights: tuple[str, ...] = ()
    query: str = ""

    def is_open_to(self, request: HttpRequest) -> bool:
        return request.user.has_perms(self.rights)

    @property
    def words(self) -> str:
        return str(self.title)

    @property
    def url(self) -> str:
        return reverse(f"admin:{self.name}") + self.query


class Listing(NamedTuple):
    """The list of a model, such as "queue.waitingroom"; called as the model is, if nothing else is said."""

    label: str
    icon: str
    title: Words = ""

    def is_open_to(self, request: HttpRequest) -> bool:
        model_admin = admin.site.get_model_admin(apps.get_model(self.label))
        return model_admin.has_view_or_change_permission(request)

    @property
    def words(self) -> str:
        return str(self.title or capfirst(apps.get_model(self.label)._meta.verbose_name_plural))

    @property
    def url(self) -> str:
        return reverse(f"admin:{self.label.replace('.', '_')}_changelist")


SECTIONS: tuple[tuple[Words, tuple[Page | Listing, ...]], ...] = (
    ("", (Page("index", _("Overview"), "space_dashboard"),)),
    (
        _("Sales"),
        (
            Page(
                "reservations_reservation_find",
                _("Find an order"),
                "search",
                ("reservations.view_reservation",),
            ),
            Page(
                "reservations_counter",
                _("Counter"),
                "point_of_sale",
                ("reservations.view_reservation", "reservations.view_hold"),
            ),
            Listing("reservations.reservation", "receipt_long"),
            Listing("reservations.ticket", "confirmation_number"),
            Listing("reservations.hold", "timer"),
            Listing("reservations.holdernotice", "campaign"),
        ),
    ),
    (
        _("Concerts"),
        (
            Listing("concerts.concert", "music_note"),
            Listing("concerts.performance", "event"),
            Listing("concerts.seat", "event_seat"),
            Listing("concerts.inventorycategory", "sell"),
            Listing("concerts.halltemplate", "stadium"),
            Listing("concerts.rankingentry", "leaderboard", _("Ranking")),
        ),
    ),
    (
        _("Waiting rooms"),
        (
            Listing("queue.waitingroom", "groups"),
            Listing("queue.queueexit", "logout"),
            Listing("queue.policychange", "tune"),
            Listing("queue.roomnotice", "campaign"),
        ),
    ),
    (_("Customers"), (Listing("accounts.user", "person", _("Accounts")),)),
    (
        _("Money"),
        (
            Page(
                "reservations_sales_report",
                _("Sales by concert and day"),
                "table_chart",
                ("payments.view_ledgertransaction",),
            ),
            Page(
                "payments_reconciliation",
                _("Reconciliation"),
                "balance",
                ("payments.view_ledgertransaction",),
            ),
            Listing("payments.wallet", "account_balance_wallet"),
            Listing("payments.ledgertransaction", "swap_horiz", _("Transactions")),
            Listing("payments.ledgerentry", "menu_book"),
        ),
    ),
    (
        _("Operations"),
        (
            Listing("boxoffice.staffjob", "task"),
            Listing("boxoffice.staffjobrow", "checklist", _("Results of jobs")),
            Listing("outbox.eventdelivery", "local_shipping", _("Deliveries")),
            Listing("outbox.receiver", "cell_tower"),
            Listing("outbox.deliveryreplay", "replay", _("Replays")),
            Listing("outbox.outboxevent", "bolt", _("Events")),
            Listing("reservations.seatclaim", "lock"),
            Listing("concerts.seatallocation", "event_busy"),
            Listing("api.idempotencyrecord", "fingerprint"),
            Listing("ops.jobprogress", "hourglass_top"),
            Listing("accounts.accesstoken", "key"),
            Page(
                "accounts_user_changelist",
                _("Accounts of staff"),
                "badge",
                ("accounts.view_user", "auth.view_group"),
                "?is_staff__exact=1",
            ),
            Listing("auth.group", "group_work", _("Groups of staff")),
        ),
    ),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sections and pages that an account may open, as the theme takes them; the page in view is active."""
    shown = [
        (title, [(page, page.url) for page in pages if page.is_open_to(request)])
        for title, pages in SECTIONS
    ]
    # The longest one: that of a list begins the addresses of its objects, and one with a query says more than one without.
    active = max(
        (url for _title, pages in shown for _page, url in pages if _is_at(url, request)),
        key=len,
        default="",
    )
    return [
        {
            "title": title,
            "items": [
                {"title": page.words, "icon": page.icon, "link": url, "active": url == active}
                for page, url in pages
            ],
        }
        for title, pages in shown
        if pages
    ]


def _is_at(url: str, request: HttpRequest) -> bool:
    path, _mark, query = url.partition("?")
    if path == reverse("admin:index") or query:
        return path == request.path and dict(parse_qsl(query)).items() <= request.GET.dict().items()
    return request.path.startswith(path)


def way_to(list_url: str) -> tuple[str, str] | None:
    """Return the section and the title of the list with this address, as the sidebar has them."""
    for section, pages in SECTIONS:
        for page in pages:
            if isinstance(page, Listing) and page.url == list_url:
                return str(section), page.words
    return None
