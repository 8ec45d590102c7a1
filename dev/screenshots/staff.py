"""List the pages of staff that are in pictures: each page of the sidebar, and each page that leads through something.

There are more than a repository should carry. The ones that the documents show are kept; the others are for looking at a change.
"""

from collections.abc import Sequence
from typing import Any

from dev.screenshots.pictures import Look, Scene

# Staff work at a desk or with a tablet. Every page is taken at both widths and in both languages.
AT_WORK = (Look("desktop"), Look("tablet", language="ko"))
DARK = (Look("desktop", scheme="dark"), Look("tablet", scheme="dark", language="ko"))

FILLED_LIST = "#result_list"


def _of_staff(name: str, looks: Sequence[Look] = AT_WORK, **details: Any) -> Scene:
    return Scene(f"staff-{name}", None, details.pop("visitor", "staff"), looks, **details)


def scene_of(page: str) -> str:
    """Return the name of the scene that shows a page of the sidebar, such as `queue.waitingroom`."""
    return f"staff-{page.replace('.', '-').replace('_', '-')}"


# As in `apps/boxoffice/navigation.py`, with what has to be on the page.
SIDEBAR = {
    "index": ".figures",
    "reservations_reservation_find": "#id_q",
    "reservations_counter": "table",
    "reservations.reservation": FILLED_LIST,
    "reservations.ticket": FILLED_LIST,
    "reservations.hold": FILLED_LIST,
    "reservations.holdernotice": FILLED_LIST,
    "concerts.concert": FILLED_LIST,
    "concerts.performance": FILLED_LIST,
    "concerts.seat": FILLED_LIST,
    "concerts.inventorycategory": FILLED_LIST,
    "concerts.halltemplate": "#content",
    "concerts.rankingentry": "#content",
    "queue.waitingroom": FILLED_LIST,
    "queue.queueexit": FILLED_LIST,
    "queue.policychange": FILLED_LIST,
    "queue.roomnotice": FILLED_LIST,
    "accounts.user": FILLED_LIST,
    "reservations_sales_report": "table",
    "payments_reconciliation": "#content form",
    "payments.wallet": FILLED_LIST,
    "payments.ledgertransaction": FILLED_LIST,
    "payments.ledgerentry": FILLED_LIST,
    "boxoffice.staffjob": FILLED_LIST,
    "boxoffice.staffjobrow": "#content",
    "outbox.eventdelivery": FILLED_LIST,
    "outbox.receiver": "#content",
    "outbox.deliveryreplay": "#content",
    "outbox.outboxevent": FILLED_LIST,
    "reservations.seatclaim": FILLED_LIST,
    "concerts.seatallocation": FILLED_LIST,
    "api.idempotencyrecord": "#content",
    "ops.jobprogress": "#content",
    "accounts.accesstoken": "#content",
    "accounts_user_changelist": FILLED_LIST,
    "auth.group": FILLED_LIST,
}

STAFF_SCENES = (
    _of_staff("login", visitor="stranger", ready="#login-form"),
    *(
        _of_staff(
            scene_of(page).removeprefix("staff-"),
            (*AT_WORK, *DARK) if page == "index" else AT_WORK,
            ready=ready,
        )
        for page, ready in SIDEBAR.items()
    ),
    # Planning.
    _of_staff("concert", (*AT_WORK, *DARK), ready="#id_title"),
    _of_staff("new-concert", ready="#id_title"),
    _of_staff("dates", ready="[name=times]"),
    _of_staff("duplicate", ready="[name=days]"),
    _of_staff("poster", ready="[name=picture]"),
    _of_staff("publish", ready="[name=entry_reason]"),
    _of_staff(
        "generator",
        ready="#content svg",
        typed=(
            ("[name=form-0-name]", "Stalls"),
            ("[name=form-0-rows]", "20"),
            ("[name=form-0-seats_per_row]", "20"),
            ("[name=form-0-price]", "90000"),
            ("[name=form-0-aisles]", "5, 15"),
        ),
        pressed="[name=preview]",
    ),
    _of_staff("performance", (*AT_WORK, *DARK), ready="#id_starts_at_0"),
    _of_staff("prices", ready="[name=entry_reason]"),
    _of_staff("grades", ready="[name=grade]"),
    _of_staff("seat-sheet", ready="[name=file]"),
    _of_staff("template", ready="[name=name]"),
    _of_staff("inventory", (*AT_WORK, *DARK), ready=".painting-canvas"),
    _of_staff("room", (*AT_WORK, *DARK), ready="#id_capacity"),
    # The sale.
    _of_staff("cockpit", (*AT_WORK, *DARK), ready=".figures"),
    _of_staff("pause", ready="[name=reason]"),
    _of_staff("room-notice", ready="[name=text_en]"),
    _of_staff("live-seats", (*AT_WORK, *DARK), ready=".picture__hall svg"),
    _of_staff("sale", ready="[name=paid_by]"),
    _of_staff("tickets", ready=".ticket img"),
    # Customers.
    _of_staff("order", (*AT_WORK, *DARK), ready="#content time"),
    _of_staff("customer", ready="#content"),
    _of_staff(
        "refund",
        ready="#plan",
        typed=(("[name=seats] >> nth=0", "yes"), ("[name=reason]", "The customer is ill.")),
        pressed="#content form[method=post] button[type=submit]",
    ),
    _of_staff("move-customer", ready="[name=reason]"),
    _of_staff("move", ready="[name=reason]"),
    _of_staff(
        "call-off",
        ready="#plan",
        typed=(("[name=reason]", "The singer is ill."),),
        pressed="#content form[method=post] button[type=submit]",
    ),
    _of_staff("holder-notice", ready="[name=text_en]"),
    # What waits for a second person, and what is told to the outside.
    _of_staff("job", (*AT_WORK, *DARK), ready="progress"),
    _of_staff("approve", ready="#content form"),
    _of_staff("delivery", ready="#content"),
    _of_staff("wallet", ready="#content"),
    _of_staff("adjustment", ready="#content form"),
    _of_staff("history", ready="#content"),
)

# By name of the picture: those that `docs/box-office.md` shows, one screen of each.
KEPT = frozenset(
    {
        "staff-index-desktop",
        "staff-generator-desktop",
        "staff-inventory-desktop",
        "staff-live-seats-desktop",
        "staff-cockpit-desktop-dark",
        "staff-order-tablet-ko",
    }
)
