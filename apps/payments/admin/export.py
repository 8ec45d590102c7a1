"""Export the ledger for staff: as one file, or in parts when it is more than a file should have."""

from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from itertools import count
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView
from unfold.admin import ModelAdmin
from unfold.decorators import action

from apps.boxoffice.base.pages import StaffPage
from apps.core.transactions import QUERY_CANCELED, sqlstate
from apps.payments.export import ENTRIES_OF_A_TRANSACTION, Part, between, parts_of, write_ledger
from apps.payments.models import LedgerTransaction

ENTRIES_OF_A_FILE = 100_000  # a spreadsheet opens a million, a web process keeps a file of 20 MB
FILE_SECONDS = 10.0
FIRST, END = "_from", "_until"  # of the address of a part; the rest are the filters of the list


class LedgerExports(ModelAdmin):
    """The action "Export as CSV" of a list of transactions, and the page of parts behind it.

    A file is sent with its length when it is complete, so a browser knows whether it has all of it. What is being sent lies in the
    memory of the server and occupies no thread, however slowly it is read.
    """

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.export_money")

    @action(description=_("Export as CSV"), permissions=["export"])
    def export(self, request: HttpRequest, queryset: QuerySet[LedgerTransaction]) -> HttpResponse:
        """Send what was selected, or the whole filtered list; if that is too much, show its parts."""

        def answer() -> HttpResponse:
            if _fits_into_a_file(queryset):
                return _file(queryset, "ledger.csv")
            page = reverse("admin:payments_ledgertransaction_export")
            return redirect(f"{page}?{request.GET.urlencode()}")

        return _in_time(request, answer)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(LedgerPartsView.as_view(model_admin=self))
        export = path("export/", view, name="payments_ledgertransaction_export")
        return [export, *super().get_urls()]


class LedgerPartsView(StaffPage, TemplateView):
    """The parts of a filtered list as links, and each of them."""

    permission_required = ("payments.view_ledgertransaction", "payments.export_money")
    template_name = "admin/payments/export.html"
    title = _("Export as CSV")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        show = super().get if FIRST not in request.GET else self._send_part
        return _in_time(request, lambda: show(request, *args, **kwargs))

    def _send_part(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        first, end = _key(request.GET[FIRST]), _key(request.GET.get(END, ""))
        chosen = between(self._transactions(), first, end)
        if not _fits_into_a_file(chosen):
            raise Http404
        return _file(chosen, f"ledger-from-{first[0]:%Y%m%d-%H%M%S}.csv")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        parts = parts_of(self._transactions(), entries=ENTRIES_OF_A_FILE, seconds=FILE_SECONDS)
        links = [
            {"number": number, "part": part, "url": self._url(part)}
            for number, part in zip(count(1), parts, strict=False)
        ]
        return super().get_context_data(**kwargs, links=links)

    def _filters(self) -> QueryDict:
        filters = self.request.GET.copy()
        for name in (FIRST, END):
            filters.pop(name, None)
        return filters

    def _transactions(self) -> QuerySet[LedgerTransaction]:
        """Return what the list shows with these filters."""
        asked, self.request.GET = self.request.GET, self._filters()  # type: ignore[assignment]
        try:
            shown = self.model_admin.get_changelist_instance(self.request)
            found: QuerySet[LedgerTransaction] = shown.get_queryset(self.request)
            return found
        except IncorrectLookupParameters as error:
            raise Http404 from error
        finally:
            self.request.GET = asked

    def _url(self, part: Part) -> str:
        ends = {
            name: f"{at.isoformat()},{pk}"
            for name, (at, pk) in ((FIRST, part.first), (END, part.end))
        }
        return f"?{urlencode([*self._filters().lists(), *ends.items()], doseq=True)}"


def _fits_into_a_file(transactions: QuerySet[LedgerTransaction]) -> bool:
    most = ENTRIES_OF_A_FILE // ENTRIES_OF_A_TRANSACTION
    return transactions.order_by()[: most + 1].count() <= most


def _file(transactions: QuerySet[LedgerTransaction], name: str) -> HttpResponse:
    file = BytesIO()
    write_ledger(transactions, file, seconds=FILE_SECONDS)
    return HttpResponse(
        file.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _in_time(request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
    """Return the answer, or lead back to the list when it takes the database too long."""
    try:
        return answer()
    except OperationalError as error:
        if sqlstate(error) != QUERY_CANCELED:
            raise
    messages.error(
        request,
        _("The export took too long. Filter the list further, or use `manage.py export_ledger`."),
    )
    return redirect("admin:payments_ledgertransaction_changelist")


def _key(text: str) -> tuple[datetime, UUID]:
    """Read one end of a part.

    :raises Http404: it is none.
    """
    at, _comma, pk = text.partition(",")
    try:
        key = (datetime.fromisoformat(at), UUID(pk))
    except ValueError as error:
        raise Http404 from error
    if key[0].tzinfo is None:
        raise Http404
    return key
