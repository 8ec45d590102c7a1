"""Say which role may open which page of staff, and carry out which action; `test_rights.py` asks for all of them.

A letter stands for a role: B box office, F finance, O operations, A administrator, - staff without a role. Each page has two texts: who may
look at it, and who may send it. A page that takes no form, or is no page, has "" there.
"""

ALL = "BFOA-"

# By label of a model: who may view, add, change and delete its objects by the usual pages.
MODELS: dict[str, tuple[str, str, str, str]] = {
    "accounts.accesstoken": ("A", "", "", ""),
    "accounts.user": ("BFOA", "A", "A", "A"),
    "api.idempotencyrecord": ("OA", "", "", ""),
    "auth.group": ("A", "A", "A", "A"),
    "boxoffice.staffjob": ("BFOA", "", "", ""),
    "boxoffice.staffjobrow": ("BFOA", "", "", ""),
    "concerts.concert": ("BFOA", "BA", "BA", "A"),
    "concerts.performance": ("BFOA", "BA", "BA", "A"),
    "concerts.rankingentry": ("BA", "", "", ""),
    "concerts.seat": ("BFOA", "", "", "A"),
    "ops.jobprogress": ("OA", "", "", ""),
    "outbox.deliveryreplay": ("OA", "", "", ""),
    "outbox.eventdelivery": ("OA", "", "", ""),
    "outbox.outboxevent": ("OA", "", "", ""),
    "outbox.receiver": ("OA", "", "", ""),
    "payments.ledgerentry": ("FA", "", "", ""),
    "payments.ledgertransaction": ("FA", "FA", "", ""),
    "payments.wallet": ("FA", "", "", ""),
    "queue.policychange": ("BOA", "", "", ""),
    "queue.queueexit": ("BOA", "", "", ""),
    "queue.waitingroom": ("BOA", "", "BOA", ""),
    "reservations.hold": ("BFOA", "", "", ""),
    "reservations.reservation": ("BFOA", "", "", ""),
    "reservations.seatclaim": ("OA", "", "", ""),
    "reservations.ticket": ("BFOA", "", "", ""),
}

# By address below `/admin/`: all other pages, and the buttons of the usual ones.
OTHERS: dict[str, tuple[str, str]] = {
    "": (ALL, ALL),
    "<app_label>/": ("BFOA", "BFOA"),
    "<url>": ("", ""),
    "accounts/user/<id>/password/": ("A", "A"),
    "autocomplete/": ("BFOA", ""),
    "boxoffice/staffjob/<path:object_id>/approve/": ("FA", "FA"),
    "boxoffice/staffjob/<path:object_id>/reject/": ("FA", "FA"),
    "boxoffice/staffjob/<uuid:pk>/approve/": ("FA", "FA"),
    "boxoffice/staffjob/<uuid:pk>/reject/": ("FA", "FA"),
    "concerts/concert/<int64:pk>/publish/": ("BA", "BA"),
    "concerts/concert/<path:object_id>/generate_seats/": ("BA", "BA"),
    "concerts/concert/<path:object_id>/publish_this/": ("BA", "BA"),
    "concerts/concert/<path:object_id>/withdraw_this/": ("BA", "BA"),
    "concerts/concert/withdraw/": ("BA", "BA"),
    "concerts/performance/<int64:pk>/prices/": ("BA", "BA"),
    "concerts/performance/<path:object_id>/correct_prices/": ("BA", "BA"),
    "concerts/performance/<path:object_id>/delete_hall/": ("A", "A"),
    "concerts/performance/generate-seats/": ("BA", "BA"),
    "concerts/seat/hall/<int64:performance_id>/delete/": ("A", "A"),
    "jsi18n/": (ALL, ""),
    "login/": (ALL, ALL),
    "logout/": ("", ALL),
    "password_change/": (ALL, ALL),
    "password_change/done/": (ALL, ""),
    "payments/ledgertransaction/export/": ("FA", ""),
    "payments/wallet/<path:object_id>/adjust/": ("FA", "FA"),
    "queue/waitingroom/<int:pk>/steer/<str:control>/": ("BOA", "BOA"),
    "queue/waitingroom/<path:object_id>/close/": ("BOA", "BOA"),
    "queue/waitingroom/<path:object_id>/open_now/": ("BOA", "BOA"),
    "queue/waitingroom/<path:object_id>/pause/": ("BOA", "BOA"),
    "queue/waitingroom/<path:object_id>/remove_visitor/": ("BOA", "BOA"),
    "queue/waitingroom/<path:object_id>/resume/": ("BOA", "BOA"),
    "r/<path:content_type_id>/<path:object_id>/": ("", ""),
    "search/": (ALL, ALL),
}

# By model and name: the actions of lists.
ACTIONS: dict[str, str] = {
    "accounts.AccessToken: revoke": "A",
    "accounts.User: delete_selected": "A",
    "auth.Group: delete_selected": "A",
    "concerts.Concert: delete_selected": "A",
    "concerts.Concert: publish": "BA",
    "concerts.Concert: withdraw": "BA",
    "concerts.Performance: delete_selected": "A",
    "concerts.Performance: generate_seats": "BA",
    "concerts.Seat: block": "BA",
    "concerts.Seat: delete_selected": "A",
    "concerts.Seat: unblock": "BA",
    "outbox.EventDelivery: replay": "OA",
    "outbox.Receiver: replay_all": "OA",
    "payments.LedgerTransaction: export": "FA",
}

# What answers a customer with anything but the way to the login.
OPEN = {"login/", "logout/", "search/"}


def _usual(label: str, view: str, add: str, change: str, delete: str) -> dict[str, tuple[str, str]]:
    base = label.replace(".", "/")
    return {
        f"{base}/": (view, view),
        f"{base}/add/": (add, add),
        f"{base}/<path:object_id>/history/": (view, view),
        f"{base}/<path:object_id>/delete/": (delete, delete),
        f"{base}/<path:object_id>/change/": (view, change),
        f"{base}/<path:object_id>/": (ALL, ALL),  # leads to the one before
    }


PAGES: dict[str, tuple[str, str]] = dict(OTHERS)
for _label, _roles in MODELS.items():
    PAGES |= _usual(_label, *_roles)
