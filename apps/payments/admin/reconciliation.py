"""The page on which staff add up the books, as `manage.py reconcile` does."""

import threading
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView
from unfold.widgets import UnfoldAdminSelectWidget

from apps.boxoffice.base.pages import StaffPage
from apps.boxoffice.base.words import in_won
from apps.core.transactions import QUERY_CANCELED, sqlstate
from apps.payments.reconciling import lines_of, reconcile

RECONCILE = "payments_reconciliation"
SECONDS = 8.0  # a web process has few threads
BREACHES_SHOWN = 100
EVERYTHING = "all"
# One at a time in a process: it keeps a thread and the database busy.
_is_busy = threading.Lock()


class ScopeForm(forms.Form):
    days = forms.ChoiceField(
        label=_("What to add up"),
        choices=[
            ("1", _("What moved in the last 24 hours")),
            ("7", _("What moved in the last 7 days")),
            ("31", _("What moved in the last 31 days")),
            (EVERYTHING, _("Everything")),
        ],
        widget=UnfoldAdminSelectWidget,
    )

    @property
    def since(self) -> datetime | None:
        days: str = self.cleaned_data["days"]
        return None if days == EVERYTHING else timezone.now() - timedelta(days=int(days))


class ReconciliationView(StaffPage, TemplateView):
    """Add up the books when asked to, in a few seconds or not at all."""

    title = _("Reconciliation")
    permission_required = ("payments.view_ledgertransaction",)
    template_name = "admin/payments/reconciliation.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = ScopeForm(request.GET if "days" in request.GET else None)
        context: dict[str, Any] = {"form": form}
        if form.is_valid():
            context |= self._reconciled(form.since)
        return self.render_to_response(self.get_context_data(**context))

    @staticmethod
    def _reconciled(since: datetime | None) -> dict[str, Any]:
        if not _is_busy.acquire(blocking=False):
            return {
                "note": gettext(
                    "The books are being added up for a colleague. Try again in a moment."
                )
            }
        try:
            found = reconcile(since=since, seconds=SECONDS)
        except OperationalError as error:
            if sqlstate(error) != QUERY_CANCELED:
                raise
            return {
                "note": gettext(
                    "This took too long and was stopped. Choose fewer days, or have `manage.py reconcile` run on the server."
                )
            }
        finally:
            _is_busy.release()
        lines = [(name, in_won(amount)) for name, amount in lines_of(found.totals)]
        if since is not None:
            lines = lines[:-1]  # the balances of all wallets
        return {
            "found": found,
            "lines": lines,
            "breaches": found.breaches[:BREACHES_SHOWN],
            "transactions": f"{found.totals.transactions:,}",
        }
